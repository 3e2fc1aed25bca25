"""The benchmark's tables, for the terminal and for docs/accuracy.md."""

from collections.abc import Callable, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench.figures import Figures, confusion, figures
from bench.outcome import Outcome
from bench.programs import programs
from unstuck.catalogue import entry

CONFUSIONS = Path(__file__).parent / "confusions.md"
"""What is known of the worst confusions, written by hand."""

ROWS: tuple[tuple[str, Callable[[Figures], str]], ...] = (
    ("patients, sick", lambda f: str(f.sick)),
    ("patients, healthy", lambda f: str(f.healthy)),
    ("top-1: the first cause named is right", lambda f: str(f.top1)),
    ("top-3", lambda f: str(f.top3)),
    ("branch of the guide", lambda f: str(f.branch)),
    ("right by cure: top-1, or cured all the same", lambda f: str(f.right_by_cure)),
    ("false alarms on healthy patients", lambda f: str(f.false_alarms)),
    ("wrong cause called proven", lambda f: str(f.wrong_confident)),
    ("cure closes ≥ 80 % of the gap to the twin", lambda f: str(f.cured)),
    ("all causes proven in some round, and cured", lambda f: str(f.solved)),
    ("floor: random remedies, as many trainings", lambda f: str(f.randomly_cured)),
    ("floor: always the most frequent cause", lambda f: str(f.most_frequent)),
    ("largest shortfall of a healthy patient (0.1 counts as large)", lambda f: f"{f.healthy_shortfall:.3f}"),
    ("seconds a diagnosis, median", lambda f: f"{f.seconds_median:.1f}"),
    ("seconds a diagnosis, 95 %", lambda f: f"{f.seconds_95:.1f}"),
    ("seconds to the first suspicion, 95 %", lambda f: f"{f.first_finding_95:.1f}"),
)


def groups(outcomes: Sequence[Outcome]) -> dict[str, Figures]:
    """The figures in all, and of each group of sick patients with all healthy ones."""
    healthy = [outcome for outcome in outcomes if not outcome.truth]
    found = {"all": figures(outcomes)}
    for group, name in {"program": "real programs", "injected": "injected faults", "pair": "pairs of faults"}.items():
        sick = [outcome for outcome in outcomes if outcome.group == group]
        if sick:
            found[name] = figures([*sick, *healthy])
        if sick and group == "program":
            full = {f"program/{program.id}" for program in programs() if program.full_facts}
            found["of these with full facts"] = figures([*(one for one in sick if one.id in full), *healthy])
    return found


def per_rule(outcomes: Sequence[Outcome]) -> list[tuple[str, str, Figures, int]]:
    """Code, name, figures and number of false alarms of each rule."""
    codes = sorted({code for outcome in outcomes for code in (*outcome.truth[:1], *outcome.named[:1])})
    rows = []
    for code in codes:
        own = [
            outcome
            for outcome in outcomes
            if outcome.group != "pair" and (outcome.truth[:1] == (code,) or (outcome.top1 and outcome.named[0] == code))
        ]
        accused = sum(code in outcome.named for outcome in outcomes if not outcome.truth and not outcome.skipped)
        rows.append((code, _name(code), figures(own), accused))
    return rows


def _name(code: str) -> str:
    try:
        return entry(code).name
    except LookupError:
        return ""


def show(console: Console, outcomes: Sequence[Outcome]) -> None:
    """Print everything."""
    columns = groups(outcomes)
    table = Table("figure", *columns, title="Accuracy, with 95 % intervals")
    for name, cell in ROWS:
        table.add_row(name, *(cell(value) for value in columns.values()))
    console.print(table)
    rules = Table("rule", "sick", "top-1", "top-3", "cured", "false alarms", "median s", title="Per rule")
    for code, name, value, accused in per_rule(outcomes):
        rules.add_row(
            f"{code} {name}",
            str(value.sick),
            _brief(value.top1.value),
            _brief(value.top3.value),
            _brief(value.cured.value),
            str(accused),
            f"{value.seconds_median:.1f}",
        )
    console.print(rules)
    console.print("Confusion (true → named first):")
    for truth, named in confusion(outcomes).items():
        console.print(f"  {truth:8} → " + ", ".join(f"{code} {count}" for code, count in named.most_common()))


def _brief(value: float) -> str:
    return "–" if value != value else f"{value:.2f}"


def show_difference(console: Console, before: Sequence[Outcome], after: Sequence[Outcome]) -> None:
    """What moved since the baseline, patient by patient."""
    old = {outcome.id: outcome for outcome in before}
    moved = []
    for outcome in after:
        known = old.get(outcome.id)
        if known is None or known.skipped or outcome.skipped:
            continue
        was, now = (known.named or ("none",))[0], (outcome.named or ("none",))[0]
        if was != now:
            right = outcome.top1 or (not outcome.truth and not outcome.named)
            how = "better" if right else "worse " if known.top1 or not known.truth else "other "
            moved.append(f"  {how} {outcome.id}: {was} → {now}")
    console.print(f"Against the baseline: {len(moved)} patients moved." + ("" if moved else " Nothing changed."))
    for line in sorted(moved):
        console.print(line)
    one, two = figures([old[o.id] for o in after if o.id in old]), figures([o for o in after if o.id in old])
    for name, cell in ROWS:
        if cell(one) != cell(two):
            console.print(f"  {name}: {cell(one)} → {cell(two)}")


def accuracy_page(outcomes: Sequence[Outcome], total: int) -> str:
    """docs/accuracy.md; `total` is the number of patients that the benchmark has."""
    columns = groups(outcomes)
    lines = [
        "# How often it is right",
        "",
        "Written by `make bench ARGS=--accept`; do not edit. Shares come with 95 % Wilson intervals. Real programs are",
        "scored against what repairing them one cause at a time over five seeds established",
        "(`bench/programs/established.json`), not against their published labels.",
        "",
        f"Examined: {len(outcomes)} of {total} patients"
        + ("; the run was stopped before the others." if len(outcomes) < total else "."),
        "",
        "| figure | " + " | ".join(columns) + " |",
        "|---|" + "---|" * len(columns),
    ]
    lines += [f"| {name} | " + " | ".join(cell(value) for value in columns.values()) + " |" for name, cell in ROWS]
    lines += [
        "",
        "## Per rule",
        "",
        "| rule | sick | top-1 | top-3 | cured | false alarms |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {code} {name} | {value.sick} | {_brief(value.top1.value)} | {_brief(value.top3.value)} | "
        f"{_brief(value.cured.value)} | {accused} |"
        for code, name, value, accused in per_rule(outcomes)
    ]
    lines += ["", "## Confusion: true cause → named first", "", "| true | named first |", "|---|---|"]
    lines += [
        f"| {truth} | " + ", ".join(f"{code} × {count}" for code, count in named.most_common()) + " |"
        for truth, named in confusion(outcomes).items()
    ]
    wrong = [o for o in outcomes if not o.skipped and not (o.top1 or (not o.truth and not o.named))]
    lines += [
        "",
        "## Every patient that it got wrong",
        "",
        "| patient | true | named | sentence |",
        "|---|---|---|---|",
    ]
    lines += [
        f"| {o.id} | {' '.join(o.truth) or 'healthy'} | {' '.join(o.named) or 'nothing'} "
        f"| {(o.error or o.sentence)[:160]} |"
        for o in wrong
    ]
    return "\n".join(lines) + "\n\n" + CONFUSIONS.read_text()
