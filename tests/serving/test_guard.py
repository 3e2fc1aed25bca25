"""Who is refused: other machines, other pages, other users, and whoever asks for what is not on the shelf."""

from __future__ import annotations

import asyncio
import random
import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.serving.asking import COOKIE, HOST, TOKEN, answered, ask, scope_of
from tests.serving.conftest import SECRET
from unstuck.serving.app import application

PORT = 8650


@pytest.mark.parametrize(
    "host",
    [
        "",
        "evil.example",
        "evil.example:8650",
        "127.0.0.1:8651",
        "127.0.0.1",
        "localhost.evil.example:8650",
        "0.0.0.0:8650",
    ],
)
def test_a_foreign_host_is_refused(folder: Path, host: str) -> None:
    assert ask(application(folder, PORT, TOKEN), "/api/list", {**COOKIE, "host": host}).status == 403


@pytest.mark.parametrize("host", [HOST, "localhost:8650", "[::1]:8650", "LOCALHOST:8650"])
def test_this_machine_is_let_in_under_its_names(folder: Path, host: str) -> None:
    assert ask(application(folder, PORT, TOKEN), "/api/list", {**COOKIE, "host": host}).status == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"}, {"origin": "null"}, {"origin": "http://127.0.0.1:9999"},
        {"sec-fetch-site": "cross-site"}, {"sec-fetch-site": "same-site"},
    ],
)  # fmt: skip
def test_another_page_is_refused(folder: Path, headers: Mapping[str, str]) -> None:
    app = application(folder, PORT, TOKEN)
    assert ask(app, "/api/list", {**COOKIE, **headers}).status == 403
    assert ask(app, "/api/list", {**COOKIE, "origin": f"http://{HOST}", "sec-fetch-site": "same-origin"}).status == 200


@pytest.mark.parametrize(
    "cookie", ["", "unstuck_8650=", "unstuck_8650=wrong", f"other={TOKEN}", "unstuck_8650=the-toke", ";;=\x01"]
)
def test_without_the_token_nothing_is_told(folder: Path, cookie: str) -> None:
    app = application(folder, PORT, TOKEN)
    for path in ("/", "/api/list", "/static/app.js", "/api/list?token=wrong", "/api/events"):
        answer = ask(app, path, {"cookie": cookie})
        assert answer.status == 403 and b"digits" not in answer.body


def test_the_token_in_the_address_is_taken_once_and_kept_in_a_cookie(folder: Path) -> None:
    answer = ask(application(folder, PORT, TOKEN), f"/?token={TOKEN}", {})
    assert answer.status == 303 and answer.headers["location"] == "/"
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith(f"unstuck_8650={TOKEN};") and "HttpOnly" in cookie and "SameSite=strict" in cookie


def test_without_a_token_everyone_on_this_machine_is_let_in(folder: Path) -> None:
    app = application(folder, PORT, "")
    assert ask(app, "/api/list", {}).status == 200
    assert ask(app, "/api/list", {"host": "evil.example:8650"}).status == 403


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "get"])
def test_nothing_can_be_changed(folder: Path, method: str) -> None:
    assert ask(application(folder, PORT, TOKEN), "/api/list", method=method).status == 405


def test_every_answer_is_closed_to_other_pages(folder: Path) -> None:
    app = application(folder, PORT, TOKEN)
    for path in ("/", "/api/list", "/static/app.js", "/nothing", "/api/run/nothing"):
        headers = ask(app, path).headers
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "unsafe-inline" not in headers["content-security-policy"]
        assert (
            headers["x-content-type-options"] == "nosniff" and headers["cross-origin-resource-policy"] == "same-origin"
        )
        assert "access-control-allow-origin" not in headers


def test_the_page_loads_nothing_from_elsewhere_and_makes_no_markup_of_text() -> None:
    static = Path(__file__).parents[2] / "src" / "unstuck" / "serving" / "static"
    for name in ("index.html", "app.js", "app.css"):
        text = (static / name).read_text(encoding="utf-8")
        assert not re.search(r"https?://|//cdn|@import", text)
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|new Function", text)
    assert "MIT" in (static / "uplot.LICENSE.txt").read_text()
    assert (static / "uplot.min.js").stat().st_size < 60_000


PLACES = ("secret.json", "../secret.json", "link.json", "up/secret.json", "etc/passwd", "report.json", "package.json")
CLIMBS = (
    "..",
    "%2e%2e",
    ".%2e",
    "..%2f..",
    "%252e%252e",
    "..%5c",
    "....//",
    "%c0%ae%c0%ae",
    "..;",
    "\\..",
    "%00",
    ".",
    "",
)
PREFIXES = (
    "/static/",
    "/report/",
    "/api/run/",
    "/api/",
    "/",
    "//",
    "/static/app.js/",
    "file:///",
    "/static%2f",
    "/%2f",
)
ENDS = ("", "%00.js", "?raw", "#x", ";.css", "/", "%20", "::$DATA", "%0d%0aX-Evil:1")


def hostile(rng: random.Random) -> tuple[str, dict[str, str], str]:
    """A request that must be refused: for its path, its host, its origin, its token or its method."""
    climb = "/".join(rng.choice(CLIMBS) for _ in range(rng.randint(1, 6)))
    path = rng.choice(PREFIXES) + climb + "/" + rng.choice(PLACES) + rng.choice(ENDS)
    headers, method = dict(COOKIE), "GET"
    match rng.randint(0, 5):
        case 0:
            headers["host"] = rng.choice(("evil.example", "127.0.0.1.evil.example:8650", "", "localhost@evil:8650"))
        case 1:
            headers["origin"] = rng.choice(
                ("null", "https://evil.example", "http://127.0.0.1:1", f"http://{HOST}.evil")
            )
        case 2:
            headers["cookie"] = rng.choice(
                ("", "unstuck_8650=x", f"unstuck_8651={TOKEN}", "unstuck_8650=" + "A" * 3000)
            )
        case 3:
            method = rng.choice(("POST", "PUT", "DELETE", "PROPFIND", "TRACE"))
        case _:
            pass
    if rng.random() < 0.2:
        path = "/report/" + "".join(rng.choice("0123456789abcdef") for _ in range(18))
    if rng.random() < 0.1:
        path += "?" + "a=" * rng.randint(1, 3000)
    return path, headers, method


def test_a_thousand_hostile_requests_are_refused(folder: Path) -> None:
    app = application(folder, PORT, TOKEN)
    rng = random.Random(0)
    statuses: set[int] = set()

    async def put() -> None:
        for _ in range(1000):
            path, headers, method = hostile(rng)
            answer = await answered(app, scope_of(path, headers, method))
            statuses.add(answer.status)
            assert 400 <= answer.status < 500, (path, headers, method, answer)
            assert SECRET.encode() not in answer.body and b"root:" not in answer.body
            assert b"learning rate" not in answer.body

    asyncio.run(put())
    assert {403, 404, 405} <= statuses
