"""The page in a real browser, served by the real command."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.serving.conftest import HOSTILE, feed
from unstuck.recording import Notice, RecordWriter

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@dataclass(frozen=True)
class Served:
    process: subprocess.Popen[str]
    address: str
    port: int


@pytest.fixture
def served(folder: Path) -> Iterator[Served]:
    command = [sys.executable, "-m", "unstuck", "serve", str(folder), "--port", "0"]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        address = next(line.strip() for line in process.stdout if "http" in line)
        yield Served(process, address, int(re.findall(r":(\d+)/", address)[0]))
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
            assert process.wait(10) == 0


@pytest.fixture
def page(served: Served) -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if BROWSER is None:
        pytest.skip("no Chromium is installed")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.problems = []
        page.on("pageerror", lambda error: page.problems.append(str(error)))
        page.on("console", lambda message: page.problems.append(message.text) if message.type == "error" else None)
        page.on("dialog", lambda dialog: (page.problems.append("a script of the data ran"), dialog.dismiss()))
        page.on(
            "request", lambda request: page.problems.append(request.url) if "127.0.0.1" not in request.url else None
        )
        page.goto(served.address)
        yield page
        assert page.problems == []
        browser.close()


@pytest.mark.slow
def test_of_many_runs_a_page_is_laid_out_and_more_when_asked_for(folder: Path, page: Any) -> None:
    (record,) = folder.glob("*digits*.unstuck")
    for number in range(130):
        shutil.copy(record, folder / f"copy{number}.unstuck")
    page.locator("#runs-title", has_text="131").wait_for()
    more = page.locator("#runs .more button")
    more.wait_for()
    assert page.locator("#runs .run").count() == 100 and "31" in more.text_content()
    page.locator("#filter").fill("copy129")  # what is not laid out is found all the same
    page.wait_for_function("document.querySelectorAll('#runs .run').length < 100")
    assert page.locator("#runs .run", has_text="digits").count() >= 1
    page.locator("#filter").fill("")
    more.click()
    page.wait_for_function("document.querySelectorAll('#runs .run').length === 131")
    assert more.count() == 0


@pytest.mark.slow
def test_runs_are_drawn_and_updated_while_they_are_written(writer: RecordWriter, page: Any) -> None:
    row = page.locator("#runs .run", has_text=HOSTILE)
    row.wait_for()
    assert "token" not in page.url
    assert row.locator("input").is_checked()  # the newest that is running is shown without being asked for
    page.locator("figcaption", has_text="loss").first.wait_for()
    delays = []
    for start in range(50, 110, 20):
        feed(writer, range(start, start + 20))
        writer.flush()
        began = time.monotonic()
        page.wait_for_function(
            "step => [...document.querySelectorAll('.u-legend')].some(each => each.textContent.includes(String(step)))",
            arg=start + 19,
        )
        delays.append(time.monotonic() - began)
    assert max(delays) < 1.0
    writer.notice(Notice(70, time.time(), "OPT001", "learning-rate-too-high", "severe", f"The loss {HOSTILE} rose."))
    writer.flush()
    finding = page.locator("#notices li", has_text="OPT001")
    finding.wait_for()
    assert HOSTILE in finding.inner_text() and page.locator("main img").count() == 0


@pytest.mark.slow
def test_runs_are_compared_and_reports_opened(writer: RecordWriter, page: Any) -> None:
    page.locator("#runs .run", has_text=HOSTILE).wait_for()
    for box in page.locator("#runs input").all():
        box.check()
    page.locator("#settings th[scope=col]").nth(2).wait_for()
    assert {"rate", "0.1", "0.3"} <= set(page.locator("#settings").inner_text().split())
    page.select_option("#layers", "gradient_norm")
    layers = page.locator("figure.wide .u-over")
    layers.hover(position={"x": 200, "y": 5})
    page.locator(".nearest", has_text=re.compile(r"^0$|img src")).wait_for()
    with page.context.expect_page() as opened:
        page.locator("#reports a").first.click()
    opened.value.wait_for_load_state()
    assert "learning rate" in opened.value.inner_text("body").lower()
    page.reload()
    page.locator(".uplot").first.wait_for()
    assert page.locator("#runs input:checked").count() == 2


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_shows_all_of_it(page: Any, scheme: str) -> None:
    page.set_viewport_size({"width": 360, "height": 740})
    page.emulate_media(color_scheme=scheme)
    page.locator(".uplot").first.wait_for()
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    for figure in page.locator("figure").all():
        box = figure.bounding_box()
        assert box["x"] >= 0 and box["x"] + box["width"] <= 360


@pytest.mark.slow
def test_the_page_says_when_the_server_has_gone(page: Any, served: Served) -> None:
    page.locator("#state.live").wait_for()
    served.process.send_signal(signal.SIGINT)
    page.locator("#state.lost").wait_for()
    served.process.wait(10)
    page.problems.clear()  # the browser complains that it cannot connect, as it should


def test_it_listens_on_this_machine_only_and_ends_with_ctrl_c(served: Served) -> None:
    with socket.create_connection(("127.0.0.1", served.port), 5) as asking:
        asking.sendall(b"GET /../../etc/passwd HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n")
        assert asking.recv(100).startswith(b"HTTP/1.1 403")
    listening = Path("/proc/net/tcp")
    if listening.exists():
        rows = [row.split()[1:4] for row in listening.read_text().splitlines()[1:]]
        own = [local for local, _, state in rows if local.endswith(f":{served.port:04X}") and state == "0A"]
        assert own == [f"0100007F:{served.port:04X}"]
    served.process.send_signal(signal.SIGINT)
    assert served.process.wait(10) == 0


def test_a_page_that_listens_is_let_go_when_the_server_ends(folder: Path) -> None:
    command = [sys.executable, "-m", "unstuck", "serve", str(folder), "--port", "0", "--no-token"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        address = next(line.strip() for line in process.stdout if "http" in line)
        host = address.removeprefix("http://").strip("/")
        with socket.create_connection(("127.0.0.1", int(host.split(":")[1])), 5) as asking:
            asking.sendall(f"GET /api/events HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
            assert asking.recv(100).startswith(b"HTTP/1.1 200")
            process.send_signal(signal.SIGINT)
            _, problems = process.communicate(timeout=10)
    assert process.returncode == 0 and problems == ""


@pytest.mark.parametrize(
    ("typed", "problem"),
    [(["nowhere"], "FOLDER must be a folder"), ([".", "--port", "70000"], "must be a number from 0 to 65535")],
)
def test_what_cannot_be_served_is_refused_in_a_sentence(
    typed: list[str], problem: str, capfd: pytest.CaptureFixture[str]
) -> None:
    from unstuck.cli import main

    try:
        status = main(["serve", *typed])
    except SystemExit as left:
        status = left.code if isinstance(left.code, int) else 1
    assert status == 2 and problem in capfd.readouterr().err


def test_a_port_that_is_taken_is_told(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    from unstuck.cli import main

    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert main(["serve", str(folder), "--port", str(taken.getsockname()[1])]) == 2
    assert "The port must be free" in capfd.readouterr().err
