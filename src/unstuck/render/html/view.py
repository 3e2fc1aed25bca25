"""What the page of a report says, in the order in which it says it: plain records for the templates."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, final

from markupsafe import Markup, escape

from unstuck.languages import translated
from unstuck.render.cause import NO_RESULT, OUTCOME_WORDS, UNTRIED, gained
from unstuck.render.figures import against, amount, duration, number, share, spread
from unstuck.render.floor import left_over
from unstuck.render.lines import clean, named
from unstuck.render.page import who_changes
from unstuck.render.pictures import Picture, pictures
from unstuck.report import Branch, Finding, Outcome, Report, Status, Trial

CODE: Final = re.compile(r"`([^`]+)`")
SENTENCE: Final = re.compile(r".+?(?:\.(?=\s|$)|。|$)", re.DOTALL)

ALWAYS: Final = ("curves", "standing")
TRIAL: Final = ("trial", "seeds", "confusion", "confusion-cured", "trials")
SHOWS: Final[Mapping[str, tuple[str, ...]]] = {
    "SET007": ("layer-updates",),
    "SET008": ("layer-gradients",),
    "SET009": ("layer-updates",),
    "SET015": ("rates",),
    "SET017": ("initial-outputs",),
    "SET020": ("gradient-norms",),
    "DAT001": ("feature-scales",),
    "DAT002": ("feature-scales",),
    "DAT004": ("recall",),
    "DAT005": ("label-noise", "suspects"),
    "DAT007": ("feature-scales",),
    "OPT001": ("range-test", "surface", "gradient-norms", "layer-updates"),
    "OPT002": ("range-test", "surface", "layer-updates"),
    "OPT003": ("surface", "eigenvalues", "escape", "layer-gradients"),
    "OPT004": ("surface", "eigenvalues", "escape"),
    "OPT005": ("surface", "eigenvalues", "optimizers"),
    "OPT006": ("depth-gradient", "layer-gradients", "layer-updates"),
    "OPT007": ("gradient-norms", "layer-gradients"),
    "OPT008": ("units", "layer-zeros"),
    "OPT009": ("units", "layer-gradients"),
    "OPT010": ("depth-signal", "depth-gradient"),
    "OPT012": ("batch-noise", "batch-time"),
    "OPT013": ("batch-noise", "batch-time"),
    "OPT015": ("optimizers",),
    "OPT016": ("rates",),
    "OPT019": ("feature-scales",),
    "OPT020": ("gradient-norms", "layer-outputs"),
    "OPT022": ("eigenvalues",),
    "GEN001": ("gap",),
    "MIS001": ("gap", "density-ratio", "strangers", "feature-shift"),
    "MIS002": ("gap",),
    "MIS003": ("gap",),
    "MIS004": ("gap", "strangers", "two-sample", "feature-shift"),
    "MIS005": ("gap", "two-sample"),
    "MIS007": ("gap", "feature-shift"),
}
"""Which pictures show a diagnosis best, besides the run itself and where it stands."""

LONGEST: Final = 640


@final
@dataclass(frozen=True, slots=True)
class Card:
    """One answer of the first screen.

    Attributes:
        question: What a stranger wants to know.
        answer: In a few words.
        more: In a sentence.
    """

    question: str
    answer: str
    more: str


@final
@dataclass(frozen=True, slots=True)
class Proof:
    """A trial as the page shows it.

    Attributes:
        facts: Seeds, budget, time, score.
        rows: Seed, score as given, score with the remedy.
        gained: What the remedy achieved, as a sentence.
        outcome: The outcome's name, for its colour.
        together: Which remedies it takes besides, or "".
        note: What a reader should know, or "".
    """

    facts: str
    rows: tuple[tuple[str, str, str], ...]
    gained: str
    outcome: str
    together: str
    note: str


def mood(report: Report) -> str:
    """How the page looks: "sick" where a cause is proven, "well" where all is well, else "doubt"."""
    if report.cause is not None:
        return "sick" if report.cause.status is Status.CONFIRMED else "doubt"
    if not report.complete or report.error:
        return "doubt"
    return {Branch.HEALTHY: "well", Branch.UNDECIDED: "doubt"}.get(report.branch_taken, "sick")


BADGE: Final = {"sick": "Cause found and proven", "well": "Nothing wrong found", "doubt": "Not proven"}


def badge(report: Report) -> str:
    """The state of the examination in three words."""
    if report.error:
        return "Could not be examined to the end"
    if not report.complete:
        return "Cut short"
    if mood(report) == "sick" and report.cause is None:
        return "No single cause proven"
    return BADGE[mood(report)]


def _mean(values: Sequence[float]) -> str:
    return number(sum(values) / len(values)) if values else "none"


def _how_sure(report: Report) -> Card:
    cause = report.cause
    if cause is None:
        checked = len(report.ruled_out)
        many = f"{checked} diagnos{'is' if checked == 1 else 'es'} ruled out, {len(report.unchecked)} not checked."
        well = report.branch_taken is Branch.HEALTHY and report.complete
        return Card("How sure?", "Ruled out with numbers" if well and checked else "Nothing is proven", many)
    trial = cause.trial
    if trial is None or not trial.before:
        answer = "Proven by measurement" if cause.status is Status.CONFIRMED else "Only suspected"
        return Card("How sure?", answer, UNTRIED[cause.status])
    seeds = f"{len(trial.seeds)} seed{'' if len(trial.seeds) == 1 else 's'}"
    gain = f"{share(trial.gain.value)}{f' {spread(trial.gain, as_share=True)}' if trial.gain.interval else ''}"
    more = (
        f"{clean(trial.score, 60)}: {_mean(trial.before)} → {_mean(trial.after)}; gains {gain} of what could be gained."
    )
    words = {Outcome.PRESENT: f"Proven by trying, {seeds}", Outcome.ABSENT: f"Refuted on {seeds}"}
    answer = words.get(trial.outcome, f"Tried on {seeds}, still open")
    if cause.status is Status.CONFIRMED and trial.outcome is not Outcome.PRESENT:
        answer = "Proven by measurement"
    return Card("How sure?", answer, more[:1].upper() + more[1:])


def cards(report: Report) -> tuple[Card, ...]:
    """What is wrong, how sure, what to change: the first screen.

    Args:
        report: The report.

    Returns:
        Three answers; two where an error says nothing of what to do.
    """
    cause = report.cause
    if cause is None:
        return _without_cause(report)
    question = "What is wrong?" if cause.status is Status.CONFIRMED else "What may be wrong?"
    wrong = Card(question, clean(cause.rule.title, 200), clean(cause.verdict.sentence, 240))
    changes = cause.trial.changes if cause.trial is not None else ()
    lines = "; ".join(
        f"{named(change.field, 40)}: {clean(change.before, 40)} → {clean(change.after, 40)}"
        + (f" ({clean(change.line, 60)})" if change.line else "")
        for change in changes[:2]
    )
    rest = translated(f" and {len(changes) - 2} more") if len(changes) > 2 else ""
    more = Markup('<span translate="no">{}</span>').format(f"{lines}{rest}") if lines else ""
    what = "What to change?" if cause.status is Status.CONFIRMED else "What to try?"
    first, *others = sentences(clean(cause.remedy, 400)) or ("",)
    return wrong, _how_sure(report), Card(what, coded(first) or "No remedy is known.", more or coded(" ".join(others)))


def _without_cause(report: Report) -> tuple[Card, ...]:
    """The first screen where there is no cause and no suspicion."""
    if report.error:
        said = sentences(clean(report.error, 400))
        wrong = Card("What is wrong?", "It stops with an error", "Nothing can be judged before that is mended.")
        sure = Card("How sure?", "The error arose while it was run", _how_sure(report).more)
        return (wrong, sure, Card("What to change?", coded(said[-1]), "")) if len(said) > 1 else (wrong, sure)
    if not report.complete:
        wrong = Card("What is wrong?", "No cause is proven", "The examination was cut short.")
        return wrong, _how_sure(report), Card("What next?", "Run it again, and let it end.", "")
    if report.branch_taken is Branch.HEALTHY:
        return (
            Card("What is wrong?", "Nothing that was looked for", " ".join(left_over(report))),
            _how_sure(report),
            Card("What next?", "Keep it as it is", "What was not checked, and why, is at the end of the page."),
        )
    wrong = Card("What is wrong?", "No cause is proven", "The examination did not come to a cause.")
    late = any("time budget" in one.reason for one in report.unchecked)
    longer = "Give it more time: some diagnoses were not reached."
    other = "See what was tried, and what was not checked and why."
    return wrong, _how_sure(report), Card("What next?", longer if late else other, "")


def sentences(text: str) -> list[str]:
    """The sentences of a text, each with its stop."""
    return [found.strip() for found in SENTENCE.findall(text) if found.strip()]


def coded(text: str) -> Markup:
    """Text with what stands between backticks as code."""
    return Markup(CODE.sub(r"<code>\1</code>", str(escape(translated(text)))))  # noqa: S704


def freely(report: Report) -> Markup:
    """Who makes the change."""
    return coded(who_changes(report))


def proof(trial: Trial) -> Proof:
    """A trial in words and rows.

    Args:
        trial: The trial.

    Returns:
        What the page says of it.
    """
    runs = "On one seed" if len(trial.seeds) == 1 else f"Paired over {len(trial.seeds)} seeds"
    facts = f"{runs} at equal budget, {duration(trial.seconds)}; {clean(trial.score, 80)}, lower is better."
    scores = zip(trial.seeds, trial.before, trial.after, strict=False)
    rows = tuple((f"seed {seed}", number(before, 4), number(after, 4)) for seed, before, after in scores)
    words, _ = OUTCOME_WORDS[trial.outcome]
    together = ", ".join(clean(code, 20) for code in trial.together_with)
    if not trial.seeds:
        return Proof(NO_RESULT, (), "", trial.outcome.value, together, clean(trial.note, 320))
    return Proof(
        facts, rows, f"The remedy {gained(trial)}: {words}.", trial.outcome.value, together, clean(trial.note, 320)
    )


def evidence_rows(finding: Finding) -> tuple[tuple[str, str, str, str], ...]:
    """Per number behind a finding: its name, the number, how it lies to its limit, where the limit comes from."""
    rows: list[tuple[str, str, str, str]] = []
    for evidence in finding.evidence:
        limit = evidence.limit
        comparison = "" if limit is None else against(evidence.quantity, limit)
        source = "" if limit is None else clean(limit.source, 320)
        rows.append((clean(evidence.quantity.name, 160), clean(amount(evidence.quantity)), comparison, source))
    return tuple(rows)


def why_not(finding: Finding) -> str:
    """Why a diagnosis does not hold, with the number that says so."""
    trial = finding.trial
    if trial is not None and trial.outcome is Outcome.ABSENT:
        return f"Its remedy {gained(trial)}."
    sentence = clean(finding.verdict.sentence)
    if any(character.isdigit() for character in sentence) or not finding.evidence:
        return sentence
    quantity, limit = finding.evidence[0].quantity, finding.evidence[0].limit
    if limit is None or math.isnan(quantity.value):
        return sentence
    name = clean(quantity.name, 160)
    return f"{sentence.rstrip('.')} ({name}: {clean(amount(quantity))}, {against(quantity, limit)})."


def unchecked(report: Report) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """What was not checked: each reason once, with what it holds for."""
    subjects: dict[str, list[str]] = {}
    for missing in report.unchecked:
        reason = clean(missing.reason)
        reason = f"{reason[:1].upper()}{reason[1:]}{'' if reason.endswith(('.', '…')) else '.'}"
        subjects.setdefault(reason, []).append(clean(missing.subject, 80))
    return tuple((reason, tuple(those)) for reason, those in subjects.items())


def split_pictures(report: Report) -> tuple[list[Picture], list[Picture], list[Picture]]:
    """The pictures of a report by where they stand on the page.

    Args:
        report: The report.

    Returns:
        Those that show what was seen, those of the trial, and all others.
    """
    every = pictures(report)
    code = report.cause.rule.code if report.cause is not None else ""
    seen = [name for name in (*ALWAYS, *SHOWS.get(code, ())) if name in every]
    tried = [name for name in TRIAL if name in every and (name != "confusion" or "confusion-cured" in every)]
    rest = [name for name in every if name not in seen and name not in tried]
    return [every[name] for name in seen], [every[name] for name in tried], [every[name] for name in rest]


def cost_rows(report: Report) -> tuple[tuple[str, str], ...]:
    """What the examination took, and with what."""
    cost, provenance = report.cost, report.provenance
    first = "" if cost.first_finding is None else f", the first suspicion after {duration(cost.first_finding)}"
    seeds = sorted({seed for finding in report.findings if finding.trial for seed in finding.trial.seeds})
    trials = f"; {', '.join(map(str, seeds[:8]))} in the trial{'' if len(seeds) == 1 else 's'}" if seeds else ""
    versions = ", ".join(f"{clean(name, 40)} {clean(value, 40)}" for name, value in provenance.versions.items())
    return (
        ("Time", f"{duration(cost.seconds)} of {duration(cost.budget)} allowed{first}"),
        (
            "Trainings",
            f"{cost.trainings or 'none'} of remedies and their controls; one run as given takes "
            f"{duration(cost.run_seconds)}",
        ),
        ("Seeds", f"{provenance.seed} as given{trials}"),
        ("Versions", versions or "not recorded"),
        ("Where, when", f"{clean(provenance.device, 80)}, {clean(provenance.created, 40)}"),
    )
