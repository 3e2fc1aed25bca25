"""Requests put to the application as they come off the wire, so that nothing tidies them up on the way."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from starlette.types import ASGIApp, Message

PORT = 8650
HOST = f"127.0.0.1:{PORT}"
TOKEN = "the-token"
COOKIE = {"cookie": f"unstuck_{PORT}={TOKEN}"}


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes


def scope_of(path: str, headers: Mapping[str, str], method: str = "GET") -> dict[str, Any]:
    raw, _, query = path.partition("?")
    given = {"host": HOST, **headers}
    return {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method, "scheme": "http",
        "path": unquoted(raw), "raw_path": raw.encode("utf-8", "replace"), "root_path": "",
        "query_string": query.encode("utf-8", "replace"),
        "headers": [(name.encode(), value.encode("latin-1", "replace")) for name, value in given.items() if value],
        "client": ("127.0.0.1", 5000), "server": ("127.0.0.1", PORT),
    }  # fmt: skip


def unquoted(path: str) -> str:
    from urllib.parse import unquote

    return unquote(path)


async def answered(app: ASGIApp, scope: dict[str, Any]) -> Answer:
    messages: list[Message] = []
    waiting = asyncio.Event()

    async def receive() -> Message:
        if not waiting.is_set():
            waiting.set()
            return {"type": "http.request", "body": b"", "more_body": False}
        await asyncio.sleep(3600)
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        messages.append(message)

    await app(scope, receive, send)
    headers = {name.decode(): value.decode() for name, value in messages[0]["headers"]}
    body = b"".join(message.get("body", b"") for message in messages[1:])
    return Answer(messages[0]["status"], headers, body)


def ask(app: ASGIApp, path: str, headers: Mapping[str, str] | None = None, method: str = "GET") -> Answer:
    return asyncio.run(answered(app, scope_of(path, COOKIE if headers is None else headers, method)))
