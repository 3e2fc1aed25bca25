"""The live page: runs that are being recorded and saved reports of a folder, on this machine only. No torch."""

from __future__ import annotations

import secrets
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Final

LOOPBACK: Final = "127.0.0.1"
PORT: Final = 8650


def listening(port: int | None) -> socket.socket:
    """A socket that only this machine can reach.

    Args:
        port: The port, 0 for any; None for the usual one, or any where that is taken.

    Returns:
        The socket, listening.

    Raises:
        OSError: If the port is taken.
    """
    try:
        return _bound(PORT if port is None else port)
    except OSError:
        if port is not None:
            raise
        return _bound(0)


def _bound(port: int) -> socket.socket:
    found = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        found.bind((LOOPBACK, port))
        found.listen(64)
    except OSError:
        found.close()
        raise
    return found


def serve(
    folder: Path, port: int | None = None, has_token: bool = True, announce: Callable[[str], None] = print
) -> None:
    """Serve a folder until Ctrl-C.

    Args:
        folder: The folder; records and reports in it are only read.
        port: The port; None for the usual one, or any where that is taken.
        has_token: Whether the address must hold a token, so that other users of this machine are kept out.
        announce: Is given the address once it can be opened.

    Raises:
        OSError: If the port is taken.
    """
    import uvicorn

    from unstuck.serving.app import application

    with listening(port) as found:
        number = found.getsockname()[1]
        token = secrets.token_urlsafe(24) if has_token else ""
        servers: list[uvicorn.Server] = []
        app = application(folder, number, token, lambda: servers[0].should_exit)
        settings = uvicorn.Config(
            app, log_level="error", access_log=False, lifespan="off",
            timeout_graceful_shutdown=1, server_header=False, ws="none",
        )  # fmt: skip
        announce(f"http://{LOOPBACK}:{number}/" + (f"?token={token}" if token else ""))
        servers.append(uvicorn.Server(settings))
        servers[0].run(sockets=[found])
