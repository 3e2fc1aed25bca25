"""The verdict in one sentence. Pure."""

from __future__ import annotations

from typing import Final

from unstuck.report import Branch, Finding, Outcome, Question, Status

UNTOLD: Final = "Whether it fails could not be decided"
"""Where no question of the guide was answered with a failure."""


def sentence_of(branch: Branch, findings: tuple[Finding, ...], questions: tuple[Question, ...], complete: bool) -> str:
    """What a stranger needs to know first.

    Args:
        branch: The branch taken.
        findings: Ranked.
        questions: As answered.
        complete: Whether the examination ran to its end.

    Returns:
        One or two sentences.
    """
    so_far = "" if complete else "So far: "
    if findings and findings[0].status is Status.CONFIRMED:
        return so_far + _proven(findings[0])
    if branch is Branch.HEALTHY and not findings:
        return so_far + _healthy(questions)
    shown = any(question.answer is Outcome.PRESENT for question in questions)
    where = {
        Branch.HEALTHY: "It trains, and holds up on held-out data",
        Branch.OPTIMISATION: "Optimisation fails: the same model, trained robustly, goes lower",
        Branch.MODEL_BIAS: "The model is too small for these data: a larger one goes lower",
        Branch.MISMATCH: "The test data come from another distribution than the training data",
        Branch.OVERFITTING: "The model overfits",
        Branch.UNDECIDED: "Where the failure lies could not be decided" if shown else UNTOLD,
        Branch.SETUP: "The program does not do what it should",
        Branch.DATA: "The data carry the fault",
    }[branch]
    if findings:
        names = ", ".join(finding.rule.name for finding in findings[:3])
        return f"{so_far}{where}. Suspected, but not proven: {names}."
    return f"{so_far}{where}; no single cause was proven."


def _proven(finding: Finding) -> str:
    title = finding.rule.title.rstrip(".")
    trial = finding.trial
    if trial is None or trial.outcome is not Outcome.PRESENT:
        return f"{title}."
    before, after = sum(trial.before) / len(trial.before), sum(trial.after) / len(trial.after)
    return f"{title}. Proven by trying: the remedy takes the {trial.score} from {before:.3g} to {after:.3g}."


def _healthy(questions: tuple[Question, ...]) -> str:
    if any("natural" in question.because for question in questions):
        return "Nothing wrong was found: it trains, and the gap to held-out data is one that no remedy tried closes."
    return "Nothing wrong was found: it trains as low as anything it was compared with, and holds up on held-out data."
