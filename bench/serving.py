"""What the live page costs: `python -m bench.serving [--gigabyte]`. Needs `unstuck[serve]`.

`unstuck serve` runs as it does for a user, over a folder of 50 runs of which 5 are being written by another process,
each twice a second. A client listens as the page does. Told are the time from a write to its event, and the memory and
the processor time of the server. `--gigabyte` copies finished runs until the folder holds as much.
"""

from __future__ import annotations

import argparse
import http.client
import json
import math
import os
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any, Final

from unstuck.recording import LayerEntry, RecordWriter

FINISHED: Final = 45
WRITTEN: Final = 5
STEPS: Final = 20_000
LAYERS: Final = 20
WRITES: Final = 30
PAUSE: Final = 0.5
GIGABYTE: Final = 2**30
TICKS: Final = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100


def feed(writer: RecordWriter, steps: range) -> None:
    """Some steps of a run that goes down."""
    quantities = tuple(("gradient_norm", str(layer)) for layer in range(LAYERS))
    for step in steps:
        writer.log(step, {"loss": 2.3 * math.exp(-step / 5000), "rate": 0.1})
        if step % 50 == 0:
            writer.add(quantities, step, [1.0 / (1 + layer) for layer in range(LAYERS)])


def fill(folder: Path, gigabyte: bool) -> None:
    """The finished runs."""
    layers = [LayerEntry(str(layer), "Linear", 100, layer) for layer in range(LAYERS)]
    with RecordWriter.create(folder, "first", layers=layers) as writer:
        feed(writer, range(STEPS))
    size = writer.path.stat().st_size
    for number in range(FINISHED - 1):
        shutil.copy(writer.path, folder / f"run{number}.unstuck")
    for number in range((GIGABYTE - FINISHED * size) // size if gigabyte else 0):
        shutil.copy(writer.path, folder / f"more{number}.unstuck")


def write(folder: Path) -> None:
    """The other process: writes the five runs, and prints the time of each write of the first."""
    writers = [RecordWriter.create(folder, f"running{number}") for number in range(WRITTEN)]
    for each in writers:
        feed(each, range(1000))
        each.flush()
    print("ready", flush=True)
    sys.stdin.readline()
    for turn in range(WRITES):
        for each in writers:
            feed(each, range(1000 + 10 * turn, 1010 + 10 * turn))
            each.flush()
            if each is writers[0]:
                print(1009 + 10 * turn, time.monotonic(), flush=True)
        time.sleep(PAUSE)
    for each in writers:
        each.close()


def listened(connection: http.client.HTTPResponse, key: str, seen: dict[int, float]) -> None:
    """Note when each last step of a run is told."""
    kind = ""
    try:
        for line in connection:
            if line.startswith(b"event: "):
                kind = line[7:].strip().decode()
            elif line.startswith(b"data: ") and kind == "run":
                news: dict[str, Any] = json.loads(line[6:])
                if news["key"] == key and "last_step" in news:
                    seen.setdefault(int(news["last_step"]), time.monotonic())
    except (OSError, http.client.HTTPException, ValueError):
        return


def asked(port: int, path: str) -> Any:
    """The answer to a request, as the page gets it."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    connection.request("GET", path)
    return json.loads(connection.getresponse().read())


def main() -> None:
    """Measure and print a line."""
    parser = argparse.ArgumentParser(prog="python -m bench.serving", description=__doc__)
    parser.add_argument("--gigabyte", action="store_true", help="a folder of as much")
    parser.add_argument("--write", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.write is not None:
        write(options.write)
        return
    with tempfile.TemporaryDirectory() as kept:
        folder = Path(kept)
        fill(folder, options.gigabyte)
        writing = subprocess.Popen(
            [sys.executable, "-m", "bench.serving", "--write", kept],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        serving = subprocess.Popen(
            [sys.executable, "-m", "unstuck", "serve", kept, "--port", "0", "--no-token"],
            stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )  # fmt: skip
        assert writing.stdin is not None and writing.stdout is not None and serving.stdout is not None
        writing.stdout.readline()
        address = next(line for line in serving.stdout if "http" in line)
        port = int(re.findall(r":(\d+)/", address)[0])
        begun = time.monotonic()
        items = asked(port, "/api/list")["items"]
        listing = time.monotonic() - begun
        unread = sum(item.get("status") == "not read yet" for item in items)
        while any(item.get("status") == "not read yet" for item in asked(port, "/api/list")["items"]):
            time.sleep(0.1)
        reading = time.monotonic() - begun
        running = {item["name"]: item["key"] for item in items if str(item.get("name", "")).startswith("running")}
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
        connection.request("GET", "/api/events?" + "&".join(f"run={key}" for key in running.values()))
        seen: dict[int, float] = {}
        listener = threading.Thread(
            target=listened, args=(connection.getresponse(), running["running0"], seen), daemon=True
        )
        listener.start()
        time.sleep(2.0)
        spent, begun = _processor(serving.pid), time.monotonic()
        writing.stdin.write("go\n")
        writing.stdin.flush()
        delays = []
        for line in writing.stdout:
            step, at = line.split()
            deadline = time.monotonic() + 10.0
            while int(step) not in seen and not any(told > int(step) for told in seen) and time.monotonic() < deadline:
                time.sleep(0.005)
            later = [moment for told, moment in seen.items() if told >= int(step)]
            delays.append(max(0.0, min(later) - float(at)) if later else math.inf)
        share = (_processor(serving.pid) - spent) / (time.monotonic() - begun)
        highest = next(
            line for line in Path(f"/proc/{serving.pid}/status").read_text().splitlines() if line.startswith("VmHWM")
        )
        size = sum(path.stat().st_size for path in folder.iterdir())
        serving.send_signal(signal.SIGINT)
        serving.wait(20)
        writing.wait(20)
        print(
            f"{len(items)} runs, {size / 1e6:.0f} MB, {len(running)} being written: listed in {listing:.2f} s, "
            f"{len(items) - unread} of them with their names, all after {reading:.1f} s; "
            f"{len(delays)} updates seen after {1000 * statistics.median(delays):.0f} ms (median), "
            f"{1000 * max(delays):.0f} ms at most; memory {int(highest.split()[1]) / 1024:.0f} MiB at most; "
            f"{100 * share:.0f} % of one core"
        )


def _processor(pid: int) -> float:
    """Processor time of a process so far, in seconds."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


if __name__ == "__main__":
    main()
