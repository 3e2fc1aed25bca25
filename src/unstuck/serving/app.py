"""The local page and what it asks for: the list of runs and reports, one run, one report, and news as they come."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, Final

import msgspec
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp

from unstuck.errors import RecordError
from unstuck.languages import marked
from unstuck.recording import open_record
from unstuck.render import FORMS
from unstuck.render.html import embedded
from unstuck.render.html.language import in_language, in_words, words_of
from unstuck.render.machine import from_json
from unstuck.serving.curves import Known, shown_of
from unstuck.serving.guard import Guard
from unstuck.serving.library import UNREAD, Item, Library, signature_of, told

STATIC: Final = Path(__file__).parent / "static"
FILES: Final = {
    "app.js": "text/javascript; charset=utf-8",
    "app.css": "text/css; charset=utf-8",
    "uplot.min.js": "text/javascript; charset=utf-8",
    "uplot.min.css": "text/css; charset=utf-8",
}
LOOK_SECONDS: Final = 0.15
"""How often the files of the runs on the screen are looked at; a change is a second's worth of training."""
ALIVE_SECONDS: Final = 10.0
MOST_LISTENERS: Final = 16
MOST_RUNS: Final = 12
LARGEST_REPORT: Final = 64 * 2**20

SEALED: Final = (
    "sandbox allow-scripts; default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; "
    "img-src data:; font-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""A report is a page of its own: it can neither ask this server for anything, nor load anything from elsewhere."""


def _json(value: Any, status: int = 200) -> Response:
    return Response(msgspec.json.encode(value), status, media_type="application/json")


def _number(request: Request, name: str, otherwise: int) -> int:
    text = request.query_params.get(name, "")
    try:
        return min(2**62, max(-1, int(text[:20]))) if text else otherwise
    except ValueError:
        raise HTTPException(400, f"`{name}` must be a whole number.") from None


def _item(library: Library, key: str, kind: str) -> Item:
    found = library.find(key)
    if found is None or found.kind != kind:
        raise HTTPException(404, "There is nothing of that name.")
    return found


def _news(path: Path, layers_of: str, known: Known) -> dict[str, Any]:
    try:
        with open_record(path) as record:
            return shown_of(record, layers_of, known)
    except (RecordError, OSError, ValueError, TypeError, KeyError) as error:
        return {"problem": str(error)}


def report_page(path: Path) -> tuple[bytes, str]:
    """A saved report as a page; nothing in the file is run or unpickled here.

    Args:
        path: A ".html" file, or a ".json" that `unstuck` wrote.

    Returns:
        The bytes and their media type.

    Raises:
        ValueError: If it is too large, or no report.
    """
    size = path.stat().st_size
    if size > LARGEST_REPORT:
        raise ValueError(
            f"A report must be of at most {LARGEST_REPORT >> 20} MiB; got {size >> 20} MiB. Open the file."
        )
    data = path.read_bytes()
    if path.suffix.lower() == ".html":
        return data, "text/html; charset=utf-8"
    report = from_json(data)
    form = ".html" if ".html" in FORMS else ".txt"
    return FORMS[form](report), "text/html; charset=utf-8" if form == ".html" else "text/plain; charset=utf-8"


def _front() -> str:
    """The page itself, and what its script says, in the language of the reader."""
    script = (STATIC / "app.js").read_text(encoding="utf-8")
    front = in_language((STATIC / "index.html").read_text(encoding="utf-8"))
    return front.replace(NO_WORDS, NO_WORDS.replace("{}", embedded({**words_of(script), **in_words(NAMES)})), 1)


def _event(kind: str, value: Any) -> bytes:
    return b"event: " + kind.encode() + b"\ndata: " + msgspec.json.encode(value) + b"\n\n"


NAMES: Final = (
    *(marked("finished"), marked("crashed"), marked("unreadable"), UNREAD),
    *(marked("loss"), marked("validation loss"), marked("learning rate"), marked("gradient norm"), marked("none")),
    *(marked("update ratio"), marked("dead share"), marked("saturated share"), marked("activation mean")),
    marked("rate"),
)
"""Statuses and usual measurements, which the script passes on as they come."""

NO_WORDS: Final = '<script type="application/json" id="words">{}</script>'
"""Where the page has room for what its script says in other languages."""


async def events(
    library: Library, keys: tuple[str, ...], layers_of: str, ended: Callable[[], bool] = lambda: False
) -> AsyncIterator[bytes]:
    """What a page is told while it is open: the list when it changes, each run on the screen when it was written to.

    Args:
        library: The folder.
        keys: The runs on the screen.
        layers_of: The measurement that is shown for every layer.
        ended: Whether the server is about to end.

    Yields:
        Server-sent events "list" and "run", and a comment where nothing happened for a while.
    """
    listed = -1
    before: dict[str, Item] = {}
    signatures: dict[str, object] = {}
    seen: dict[str, Known] = {}
    told_problems: dict[str, str] = {}
    quiet = 0.0
    while not ended():
        told_something = False
        items = await run_in_threadpool(library.items)
        if library.version != listed:
            changed = [told(item) for key, item in items.items() if before.get(key) is not item]
            gone = [key for key in before if key not in items]
            yield _event("list", {"anew": listed < 0, "items": changed, "gone": gone})
            listed, before = library.version, items
            told_something = True
        for key in keys:
            item = items.get(key)
            if item is None:
                continue
            try:
                signature: object = (signature_of(item.path), None if item.run is None else item.run.status)
            except OSError:
                continue
            if signatures.get(key) == signature:
                continue
            signatures[key] = signature
            news = await run_in_threadpool(_news, item.path, layers_of, seen.get(key, Known()))
            seen[key] = news.pop("known", Known())
            if "problem" in news:
                signatures.pop(key)  # it may have been in the middle of being written
                if told_problems.get(key) == news["problem"]:
                    continue
            told_problems[key] = news.get("problem", "")
            yield _event("run", {"key": key, **news})
            told_something = True
        quiet = 0.0 if told_something else quiet + LOOK_SECONDS
        if quiet >= ALIVE_SECONDS:
            quiet = 0.0
            yield b": nothing new\n\n"
        await asyncio.sleep(LOOK_SECONDS)


def _routes(library: Library, ended: Callable[[], bool]) -> list[Route]:
    listeners = asyncio.Semaphore(MOST_LISTENERS)

    async def page(_: Request) -> Response:
        return Response(_front(), media_type="text/html")

    async def static(request: Request) -> Response:
        name = request.path_params["name"]
        if name not in FILES:
            raise HTTPException(404, "There is nothing of that name.")
        return Response((STATIC / name).read_bytes(), media_type=FILES[name])

    async def listing(_: Request) -> Response:
        items = await run_in_threadpool(library.items)
        return _json({"folder": str(library.folder), "items": [told(item) for item in items.values()]})

    async def run(request: Request) -> Response:
        item = await run_in_threadpool(_item, library, request.path_params["key"], "run")
        layers_of = request.query_params.get("layers", "")[:200]
        news = await run_in_threadpool(_news, item.path, layers_of, Known(_number(request, "since", -1)))
        news.pop("known", None)
        return _json({"key": item.key, **news}, 422 if "problem" in news else 200)

    async def report(request: Request) -> Response:
        item = await run_in_threadpool(_item, library, request.path_params["key"], "report")
        try:
            data, kind = await run_in_threadpool(report_page, item.path)
        except (ValueError, OSError) as error:
            return PlainTextResponse(f"{error}\n", 422)
        return Response(data, media_type=kind, headers={"content-security-policy": SEALED})

    async def stream(request: Request) -> Response:
        keys = tuple(dict.fromkeys(request.query_params.getlist("run")))[:MOST_RUNS]
        layers_of = request.query_params.get("layers", "")[:200]
        if listeners.locked():
            raise HTTPException(503, "Too many pages are open; close one.")

        async def guarded() -> AsyncIterator[bytes]:
            async with listeners:
                async for event in events(library, keys, layers_of, ended):
                    yield event

        return StreamingResponse(guarded(), media_type="text/event-stream")

    return [
        Route("/", page),
        Route("/static/{name}", static),
        Route("/api/list", listing),
        Route("/api/run/{key}", run),
        Route("/api/events", stream),
        Route("/report/{key}", report),
    ]


async def _refused(_: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    text = error.detail if isinstance(error, HTTPException) else "`unstuck serve` could not answer this."
    return PlainTextResponse(f"{text}\n", status)


def application(folder: Path, port: int, token: str, ended: Callable[[], bool] = lambda: False) -> ASGIApp:
    """The page as an ASGI application.

    Args:
        folder: The folder that is shown.
        port: The port that it will be served on.
        token: What the address must hold once; "" for none.
        ended: Whether the server is about to end, so that pages which listen are let go.

    Returns:
        The application, behind its guard.
    """
    handlers: dict[Any, Callable[..., Any]] = {HTTPException: _refused, Exception: _refused}
    return functools.partial(Guard, port=port, token=token)(
        Starlette(routes=_routes(Library(folder), ended), exception_handlers=handlers)
    )
