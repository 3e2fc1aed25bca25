"""`unstuck select`: its options, and what it does."""

from __future__ import annotations

import argparse
import functools
import inspect
import math
import sys
from collections.abc import Mapping
from contextlib import redirect_stdout
from typing import TYPE_CHECKING, Any, Final

from unstuck.cli.arguments import Formatter

if TYPE_CHECKING:
    from unstuck.choice import Between

DESCRIPTION: Final = """\
Judges candidates by cross-validation, chooses one, and says how far its score
can be believed: how many were tried on these samples, by how much the best
score flatters, and how many samples a smaller doubt would need."""

EPILOG: Final = """\
TARGET is path/file.py:function or package.module:function, where the function
  takes no argument and returns {name: unstuck.Setup, ...}, or
  takes hyper-parameters and returns an unstuck.Setup; then --vary says which:
    --vary width=16,32,64         a list of choices
    --vary rate=1e-4..1e-1:log    a range, by factors
    --vary epochs=5..50           a range of whole numbers

Exit status: 0 a candidate was chosen, 1 one was chosen whose lead over the
median candidate choosing alone explains, 2 none could be chosen (the reason is
on standard error), 130 stopped."""

CHOSEN: Final = 0
DOUBTFUL: Final = 1


def axis(text: str) -> tuple[str, Between | list[Any]]:
    """Read what varies.

    Args:
        text: "name=1,2,3", "name=1..10" or "name=1e-4..1e-1:log".

    Returns:
        The name, and a range or choices.

    Raises:
        argparse.ArgumentTypeError: If it is none of these.
    """
    from unstuck.choice import Between  # imports NumPy, which `--help` does without

    name, equals, values = text.partition("=")
    problem = f"must be NAME=A,B,C or NAME=LOW..HIGH or NAME=LOW..HIGH:log; got {text!r}"
    if not equals or not name.strip().isidentifier() or not values.strip():
        raise argparse.ArgumentTypeError(problem)
    span, _, kind = values.partition(":")
    if ".." not in span:
        return name.strip(), [_value(part.strip()) for part in values.split(",")]
    low, _, high = span.partition("..")
    ends = _value(low), _value(high)
    if kind not in ("", "log") or not all(isinstance(end, (int, float)) for end in ends):
        raise argparse.ArgumentTypeError(problem)
    whole = all(isinstance(end, int) and not isinstance(end, bool) for end in ends)
    try:
        return name.strip(), Between(*ends, log=kind == "log", whole=whole)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _value(text: str) -> Any:
    for kind in (int, float):
        try:
            value = kind(text)
        except ValueError:
            continue
        if math.isfinite(value):
            return value
    return {"true": True, "false": False}.get(text.lower(), text)


def add(commands: Any) -> argparse.ArgumentParser:
    """Add the command to the command line.

    Args:
        commands: The subparsers.

    Returns:
        Its parser.
    """
    parser: argparse.ArgumentParser = commands.add_parser(
        "select", help="choose among candidates", description=DESCRIPTION, epilog=EPILOG, formatter_class=Formatter
    )
    parser.add_argument_group("subject").add_argument(
        "target", metavar="TARGET", help="where the candidates are, see below"
    )
    group = parser.add_argument_group("choice")
    group.add_argument("--vary", type=axis, action="append", metavar="NAME=VALUES", help="what is searched, see below")
    group.add_argument(
        "--search", choices=("grid", "random", "tpe"), default="random", help="how it is searched (default: random)"
    )
    group.add_argument("--trials", type=int, default=20, metavar="N", help="candidates of a search (default: 20)")
    group.add_argument(
        "--folds", type=int, default=5, metavar="N", help="folds; 1 for the validation split (default: 5)"
    )
    group.add_argument("--nested", action="store_true", help="judge the whole procedure too, by nested folds")
    group.add_argument("--by", choices=("loss", "error"), help="what is compared (default: the error for classes)")
    group.add_argument("--best", action="store_true", help="take the best, not the smallest that is as good")
    group.add_argument(
        "--wish", type=float, default=0.02, metavar="GAP", help="gap for which samples needed are told (default: 0.02)"
    )
    group.add_argument("--log", metavar="PATH", help="the log of candidates (default: .unstuck/candidates.jsonl)")
    group.add_argument("--no-log", action="store_true", help="neither read nor write the log")
    running = parser.add_argument_group("examination")
    running.add_argument("--jobs", type=int, default=1, metavar="N", help="processes (default: 1)")
    running.add_argument("--budget", type=float, default=math.inf, metavar="SECONDS", help="no candidate after that")
    running.add_argument("--seed", type=int, default=0, metavar="N", help="seeds folds and search (default: 0)")
    return parser


def run(options: argparse.Namespace) -> int:
    """Choose, and give the choice out.

    Args:
        options: As parsed.

    Returns:
        The exit status.
    """
    from unstuck import candidate_log
    from unstuck.cli.output import FirstLines, deliver
    from unstuck.cli.target import load_function
    from unstuck.render.selection import selection_page, to_json
    from unstuck.selection import select

    space = dict(options.vary) if options.vary else None
    candidates: Any
    with redirect_stdout(FirstLines(sys.stderr)):
        function = load_function(options.target)
        candidates = function if space is not None else _named(function, options.target)
        chosen = select(
            candidates,
            space=space,
            search=options.search,
            trials=options.trials,
            folds=options.folds,
            nested=options.nested,
            by=options.by,
            rule="lowest" if options.best else "one-standard-error",
            jobs=options.jobs,
            seed=options.seed,
            budget=options.budget,
            wished=options.wish,
            log=None if options.no_log else options.log or candidate_log.DEFAULT,
        )
    layout = functools.partial(selection_page, chosen.choice)
    deliver(functools.partial(to_json, chosen.choice), layout, options.json, options.plain)
    return DOUBTFUL if chosen.choice.honesty.lead_is_chance else CHOSEN


def _named(function: Any, target: str) -> Mapping[str, Any]:
    from unstuck.errors import TargetError

    try:
        inspect.signature(function).bind()
    except TypeError:
        advice = "Say what varies: --vary NAME=VALUES."
        raise TargetError("a function of hyper-parameters must be searched", target, advice) from None
    found = function()
    if not isinstance(found, Mapping):
        advice = "Return {name: unstuck.Setup, ...}."
        raise TargetError(f"{target} must return named candidates", type(found).__name__, advice)
    return found
