"""Where in the user's own source something happened."""

from __future__ import annotations

import os
import sys
import traceback
from functools import lru_cache
from pathlib import Path

_OURS = str(Path(__file__).resolve().parents[1]) + os.sep
_LIBRARIES = (
    f"{os.sep}site-packages{os.sep}",
    f"{os.sep}dist-packages{os.sep}",
    str(Path(sys.prefix).resolve() / "lib") + os.sep,
    str(Path(traceback.__file__).resolve().parent) + os.sep,
)


@lru_cache(maxsize=4096)
def is_user_file(filename: str) -> bool:
    """Whether a file is neither ours nor a library's."""
    if filename.startswith("<"):
        return False
    resolved = str(Path(filename).resolve())
    return not resolved.startswith(_OURS) and not any(library in resolved for library in _LIBRARIES)


def user_line(error: BaseException) -> str:
    """The innermost line of the user's own source in a traceback, as "file.py:12", or ""."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if is_user_file(frame.filename)]
    return f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""


def calling_line(*hooks: str) -> str:
    """The line of the user's own source that is being executed, as "file.py:12", or "".

    For hooks: between the hook and the line may be frames of libraries. A line further out than code of ours, such as
    the user's call of `diagnose`, does not count.

    Args:
        hooks: Files of ours that hold the hook, besides the caller's.

    Returns:
        The line; "" where the code is not the user's, or has no source.
    """
    frame = sys._getframe(1)
    inside = (frame.f_code.co_filename, *hooks)
    while frame is not None and frame.f_code.co_filename in inside:
        frame = frame.f_back  # type: ignore[assignment]
    while frame is not None:
        filename = frame.f_code.co_filename
        if filename.startswith(_OURS):
            return ""
        if is_user_file(filename):
            return f"{Path(filename).name}:{frame.f_lineno}"
        frame = frame.f_back  # type: ignore[assignment]
    return ""
