"""Run the benchmark: `make bench`.

python -m bench                       everything, two patients at a time; compares with bench/baseline.json
python -m bench --only 'injected/OPT*'
python -m bench --resume              goes on where a run of the same tree was stopped
python -m bench --draw 1              in another random order: what was mended is measured on other patients
python -m bench --accept              and makes the result the new baseline (and docs/accuracy.md)
"""

import argparse
import fnmatch
import json
import os
import random
import time
import warnings
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch: one thread a process

from joblib import Parallel, delayed
from rich.console import Console

from bench.cases import cases
from bench.outcome import Outcome, examine, plain, restored
from bench.tables import accuracy_page, show, show_difference

BASELINE = Path(__file__).parent / "baseline.json"
FLOOR_EVERY = 3
"""Random remedies are tried on every third patient: they take as long as the diagnosis."""
LATEST = Path(__file__).parent / "latest.json"


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="*", metavar="GLOB", help="examine only patients whose id matches")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="examine a fixed random N-th of them")
    parser.add_argument("--draw", type=int, default=0, metavar="N", help="the random order in which they come")
    parser.add_argument("--jobs", type=int, default=2, help="patients at a time (default: 2)")
    parser.add_argument("--resume", action="store_true", help="keep what bench/latest.json holds, examine the others")
    parser.add_argument("--no-floor", action="store_true", help="leave random remedies out")
    parser.add_argument("--again", action="store_true", help="examine nothing: show what bench/latest.json holds")
    parser.add_argument(
        "--accept", action="store_true", help="make the result the baseline, and write docs/accuracy.md"
    )
    return parser.parse_args()


def one(id: str, floor: bool) -> Outcome:
    """One patient in a worker; a crash is an outcome too."""
    import torch

    torch.set_num_threads(1)
    warnings.simplefilter("ignore")  # sick programs warn, rightly
    try:
        return examine(id, floor)
    except Exception as error:
        case = cases()[id]
        return Outcome(id, case.group, case.truth, error=f"crashed: {type(error).__name__}: {error}")


def known_outcomes(path: Path) -> list[Outcome]:
    """What an earlier run wrote."""
    return [restored(values) for values in json.loads(path.read_text())]


def examined(ids: list[str], options: argparse.Namespace, console: Console) -> list[Outcome]:
    """Examine patients, several at a time, and keep each at once so that a stop loses nothing."""
    outcomes = (
        [known for known in known_outcomes(LATEST) if known.id in ids] if options.resume and LATEST.exists() else []
    )
    done = {known.id for known in outcomes}
    work = Parallel(n_jobs=options.jobs, return_as="generator_unordered")(
        delayed(one)(id, not options.no_floor and number % FLOOR_EVERY == 0)
        for number, id in enumerate(ids)
        if id not in done
    )
    for outcome in work:
        outcomes.append(outcome)
        outcomes.sort(key=lambda outcome: outcome.id)
        LATEST.write_text(json.dumps([plain(known) for known in outcomes], indent=1) + "\n")
        told = outcome.skipped or outcome.error or f"{' '.join(outcome.named) or 'nothing'}  {outcome.seconds:.1f} s"
        mark = "-" if outcome.skipped else "ok" if outcome.top1 or not (outcome.truth or outcome.named) else "XX"
        closed = "" if outcome.closed != outcome.closed else f"  closed {outcome.closed:.2f}"
        console.print(
            f"{mark:2} {len(outcomes):3}/{len(ids)} {outcome.id}: {told}{closed}", markup=False, highlight=False
        )
    return outcomes


def main() -> None:
    options = arguments()
    console = Console()
    ids = [id for id in cases() if fnmatch.fnmatch(id, options.only)]
    random.Random(options.draw).shuffle(ids)  # a part of them is then a fair sample, the same each time
    ids = ids[:: options.every]
    start = time.monotonic()
    outcomes = known_outcomes(LATEST) if options.again else examined(ids, options, console)
    show(console, outcomes)
    console.print(f"{len(outcomes)} patients in {(time.monotonic() - start) / 60:.1f} min")
    if BASELINE.exists():
        show_difference(console, known_outcomes(BASELINE), outcomes)
    if options.accept:
        BASELINE.write_text(LATEST.read_text())
        (Path(__file__).parents[1] / "docs" / "accuracy.md").write_text(accuracy_page(outcomes, len(cases())))


if __name__ == "__main__":
    main()
