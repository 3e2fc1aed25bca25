"""Who may ask: this machine only, by the name that the page itself was opened under, with the token.

Against other pages in the same browser: a foreign `Host` is a rebound name (Jackson et al. 2007, DNS rebinding), a
foreign `Origin` or `Sec-Fetch-Site` a request that another page makes, and without the token another user of this
machine is refused too.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable
from http.cookies import CookieError, SimpleCookie
from typing import Final, final
from urllib.parse import parse_qs

from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

NAMES: Final = ("127.0.0.1", "localhost", "[::1]")
LONGEST_ADDRESS: Final = 2048
METHODS: Final = ("GET", "HEAD")
POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS: Final = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}
ASK_AGAIN: Final = "Open the address that `unstuck serve` printed: it has the token at its end.\n"


def _header(scope: Scope, name: bytes) -> list[str]:
    return [value.decode("latin-1") for key, value in scope["headers"] if key == name]


@final
class Guard:
    """Refuses whatever does not come from the page itself, and marks what is answered as closed to others.

    Args:
        app: What answers those that pass.
        port: The port that is served.
        token: What the address must hold once and the cookie from then on; "" lets everyone on this machine in.
    """

    def __init__(self, app: ASGIApp, port: int, token: str) -> None:
        self._app = app
        self._token = token
        self._cookie = f"unstuck_{port}"
        self._hosts = {f"{name}:{port}" for name in NAMES} | (set(NAMES) if port == 80 else set())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or refuse."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            return

        async def closed(message: Message) -> None:
            if message["type"] == "http.response.start":
                given = {key.lower() for key, _ in message["headers"]}
                added = [(key.encode(), value.encode()) for key, value in HEADERS.items() if key.encode() not in given]
                message = {**message, "headers": [*message["headers"], *added]}
            await send(message)

        refused = self._refusal(scope)
        if refused is not None:
            await refused(scope, receive, closed)
            return
        await self._app(scope, receive, closed)

    def _refusal(self, scope: Scope) -> Response | None:
        hosts = _header(scope, b"host")
        if len(hosts) != 1 or hosts[0].lower() not in self._hosts:
            return PlainTextResponse("This page is for this machine only.\n", 403)
        if any(origin != f"http://{hosts[0]}" for origin in _header(scope, b"origin")):
            return PlainTextResponse("Another page may not ask.\n", 403)
        address = scope.get("raw_path") or scope["path"].encode()
        query: bytes = scope.get("query_string", b"")
        at_the_door = address == b"/" and _header(scope, b"sec-fetch-mode") in ([], ["navigate"])
        if not at_the_door and not set(_header(scope, b"sec-fetch-site")) <= {"same-origin", "none"}:
            return PlainTextResponse("Another page may not ask.\n", 403)
        if scope["method"] not in METHODS:
            return PlainTextResponse("Nothing here can be changed.\n", 405)
        if len(address) + len(query) > LONGEST_ADDRESS:
            return PlainTextResponse("The address is too long.\n", 414)
        return self._without_token(scope, query) if self._token else None

    def _without_token(self, scope: Scope, query: bytes) -> Response | None:
        if self._same(self._cookies(_header(scope, b"cookie"))):
            return None
        if not self._same(parse_qs(query.decode("latin-1")).get("token", [])):
            return PlainTextResponse(ASK_AGAIN, 403)
        answer = RedirectResponse("/", 303)
        answer.set_cookie(self._cookie, self._token, httponly=True, samesite="strict", path="/")
        return answer

    def _same(self, given: Iterable[str]) -> bool:
        return any(hmac.compare_digest(each.encode("utf-8", "replace"), self._token.encode()) for each in given)

    def _cookies(self, headers: Iterable[str]) -> list[str]:
        found: list[str] = []
        for header in headers:
            try:
                jar = SimpleCookie(header)
            except CookieError:
                continue
            found += [jar[self._cookie].value] if self._cookie in jar else []
        return found
