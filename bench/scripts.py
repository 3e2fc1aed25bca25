"""What `unstuck run` makes of whole scripts, healthy and with a mistake each: `python -m bench.scripts`.

Each script runs under observation in a process of its own, and what it trains is diagnosed. Results are kept in
build/scripts.json, so that a run can be cut off and taken up again; `--write` makes docs/scripts.md of them.
"""

import argparse
import json
import math
import os
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch: one thread a process

import torch

from bench.figures import Share
from bench.script_faults import FAULTS, SCRIPTS, Fault
from bench.yardstick import HARMFUL, Yardstick
from tests.capture.forked import Told, alone_with_losses, in_fork, observed, without_times

PAGE = Path(__file__).parents[1] / "docs" / "scripts.md"
KEPT = Path(__file__).parents[1] / "build" / "scripts.json"


@dataclass(frozen=True)
class Result:
    """What came of one script.

    Attributes:
        name: Of the script, with its fault behind a colon.
        wanted: What it is right to name; none for a healthy script.
        recovered: Whether a set-up came of it, whose first loss is the script's.
        missing: What could not be recovered.
        same: Whether its losses, to the last bit, and what it prints, but for times, are as without `unstuck`.
        named: What the report names, the cause first.
        proven: What it says is proven.
        harm: Share of the healthy script's span that the fault loses.
        seconds: The diagnosis took.
        sentence: The report's first.
        budget: Seconds that the diagnosis might take.
    """

    name: str
    wanted: tuple[str, ...]
    recovered: bool
    missing: tuple[str, ...]
    same: bool
    named: tuple[str, ...]
    proven: tuple[str, ...]
    harm: float
    seconds: float
    sentence: str
    budget: float = 90.0

    @property
    def is_right(self) -> bool:
        return self.named[:1] != () and self.named[0] in self.wanted


def setup_of(path: Path) -> Any:
    """The set-up that a script trains, seen in its first steps; None where there is none."""
    import contextlib
    import io

    from unstuck.capture.observer import Observer
    from unstuck.capture.rebuilding import recover
    from unstuck.capture.running import run
    from unstuck.capture.script import as_main, script

    program, observer = script(str(path), ()), Observer()
    with as_main(program), contextlib.redirect_stdout(io.StringIO()):
        ending = run(program, observer)
        return recover(observer, ending.finished).setup


def harm(sick: Path, healthy: Path) -> float:
    """How much worse the sick script's set-up does than the healthy one's; NaN where one of them is not recovered."""

    def work() -> float:
        torch.set_num_threads(1)
        patient, twin = setup_of(sick), setup_of(healthy)
        return math.nan if patient is None or twin is None else Yardstick(twin, patient).gap()

    return in_fork(work)


def examine(script: str, fault: Fault | None, budget: float) -> Result:
    """Run a script with and without `unstuck`, and examine what it trains."""
    torch.set_num_threads(1)
    healthy = SCRIPTS / f"{script}.py"
    with tempfile.TemporaryDirectory() as folder:
        path = healthy
        if fault is not None:
            path = Path(folder) / f"{script}.py"
            path.write_text(fault.source())
        told: Told = observed(path, budget=budget)
        printed, losses = alone_with_losses(path)
        same = told.status == 0 and told.losses == losses and without_times(told.output) == without_times(printed)
        hurt = math.nan if fault is None or told.missing else harm(path, healthy)
    return Result(
        script if fault is None else fault.name,
        () if fault is None else fault.codes,
        not told.missing and any("computed again" in note for note in told.notes),
        told.missing,
        same,
        told.named,
        told.proven,
        hurt,
        told.seconds,
        told.sentence,
        budget,
    )


def load() -> dict[str, Result]:
    """Results that were kept."""
    if not KEPT.exists():
        return {}
    found = {}
    for each in json.loads(KEPT.read_text()):
        values: dict[str, Any] = {key: tuple(part) if isinstance(part, list) else part for key, part in each.items()}
        found[each["name"]] = Result(**values)
    return found


def keep(results: dict[str, Result]) -> None:
    KEPT.parent.mkdir(exist_ok=True)
    KEPT.write_text(json.dumps([asdict(each) for each in results.values()], indent=1))


def _row(result: Result) -> str:
    found = result.named[0] if result.named else "none"
    proven = ", proven" if found in result.proven else ""
    hurt = "" if math.isnan(result.harm) else f"{result.harm:.2f}"
    recovered = "yes" if result.recovered else "no"
    if not result.wanted:
        return f"| {result.name} | {recovered} | {found}{proven} | {result.seconds:.0f} |"
    name, _, what = result.name.partition(": ")
    right = "yes" if result.is_right else "**no**"
    return (
        f"| {name} | {what} | {hurt} | {recovered} | {' or '.join(result.wanted)} | {found}{proven} | {right} "
        f"| {result.seconds:.0f} |"
    )


def page(results: dict[str, Result]) -> str:
    """docs/scripts.md."""
    healthy = [each for each in results.values() if not each.wanted]
    sick = [each for each in results.values() if each.wanted]
    harmful = [each for each in sick if not each.harm < HARMFUL]
    seconds = sorted(each.seconds for each in results.values() if each.recovered)
    examined = [each for each in healthy if each.recovered]
    budgets = sorted({each.budget for each in results.values()})
    budget = f"{budgets[0]:g}" if len(budgets) == 1 else f"{budgets[0]:g} to {budgets[-1]:g}"
    middle = seconds[len(seconds) // 2] if seconds else math.nan
    return "\n".join(
        [
            "# Whole scripts",
            "",
            "<!-- written by `python -m bench.scripts --write` -->",
            "",
            f"The scripts of `tests/scripts` under `unstuck run`, {len(healthy)} as they are and {len(sick)} with one",
            "mistake that people make; `bench/script_faults.py` has each as the text that it changes, and what it is",
            "right to name, written down before any was examined. Recovered: a set-up came of it whose first loss,",
            "computed again, is the script's. Harm: how much worse the set-up does than the healthy script's, as a",
            f"share of the span from the best constant; what does less than {HARMFUL:g} counts for nothing. Right: the",
            f"report names the mistake first. Each diagnosis had {budget} seconds on two cores that others used too.",
            "Same: every loss to the last bit, and all that is printed but for run times and rates per second.",
            "",
            "| figure | |",
            "|---|---|",
            f"| recovered, healthy scripts | {Share(sum(each.recovered for each in healthy), len(healthy))} |",
            f"| recovered, scripts with a mistake | {Share(sum(each.recovered for each in sick), len(sick))} |",
            f"| cause named first, of the harmful | {Share(sum(each.is_right for each in harmful), len(harmful))} |",
            f"| false alarms on healthy scripts | {Share(sum(bool(each.named) for each in examined), len(examined))} |",
            f"| same losses and same print | {Share(sum(e.same for e in results.values()), len(results))} |",
            f"| seconds a diagnosis, median | {middle:.0f} |",
            "",
            "| script | mistake | harm | recovered | right | named first | is it right | seconds |",
            "|---|---|---|---|---|---|---|---|",
            *(_row(each) for each in sick),
            "",
            "| healthy script | recovered | named | seconds |",
            "|---|---|---|---|",
            *(_row(each) for each in healthy),
            "",
            *(f"- {each.name}: {'; '.join(each.missing)}" for each in results.values() if each.missing),
            "",
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.scripts", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--budget", type=float, default=60.0, help="seconds a diagnosis may take (default: 60)")
    parser.add_argument("--only", default="", metavar="TEXT", help="those whose name holds this")
    parser.add_argument("--again", action="store_true", help="also those whose results are kept")
    parser.add_argument("--sick", action="store_true", help="only those with a mistake")
    parser.add_argument("--write", action="store_true", help=f"write {PAGE.name}")
    options = parser.parse_args()
    jobs: list[tuple[str, Fault | None]] = [(each.script, each) for each in FAULTS]
    if not options.sick:
        jobs += [(path.stem, None) for path in sorted(SCRIPTS.glob("*.py"))]
    results = load()
    for script, fault in jobs:
        name = script if fault is None else fault.name
        if options.only not in name or (name in results and not options.again):
            continue
        start = time.monotonic()
        try:
            result = examine(script, fault, options.budget)
        except (AssertionError, EOFError):
            print(f"{name}: could not be run here", flush=True)  # a framework is not installed
            continue
        results = load() | {name: result}
        keep(results)
        print(_row(result), f"{time.monotonic() - start:.0f} s in all", *result.missing, flush=True)
    order = {name: place for place, name in enumerate([each.name for each in FAULTS] + [job[0] for job in jobs])}
    if options.write:
        kept = dict(sorted(load().items(), key=lambda each: order.get(each[0], -1)))
        PAGE.write_text(page({name: each for name, each in kept.items() if name in order}))


if __name__ == "__main__":
    main()
