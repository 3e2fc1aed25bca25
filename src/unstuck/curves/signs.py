"""What each curve can honestly be suspected of. Pure: judges of a `CurveSummary`, named by the diagnosis they point to.

Curves show signs, not causes: several causes share a sign, and each sentence says which. Thresholds were set on the
curves of 69 healthy set-ups (bench/healthy and bench/bases), logged at every step, every tenth step and every epoch,
and on those of 60 sick ones (the faults of the rules, injected into bench/bases).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Final

from unstuck.curves.summary import CurveSummary
from unstuck.measure.course import Course
from unstuck.measure.protocol import Unmeasured
from unstuck.quantity import Quantity, Threshold
from unstuck.report import Evidence, Outcome, Verdict

RISEN: Final = Threshold(
    2.0,
    "first logged loss",
    "twice: the highest of the healthy curves rises to 1.5 times its first value, two inputs of different scale",
)

TURNED: Final = Threshold(
    0.05,
    "share of the fall of the loss",
    "between the largest rise of a healthy curve after its best epoch (0.023) and the smallest that overfitting "
    "injected into bench/bases gave (0.08)",
)

FALLING: Final = Threshold(
    0.15,
    "share of the whole fall",
    "a straight line has half of its fall in the second half, a decay that has arrived next to nothing; of the healthy "
    "curves the largest whose interval lies clear of a tenth is 0.13",
)

FALLING_COARSE: Final = Threshold(
    0.4,
    "share of the fall that was logged",
    "where a value stands for ten steps or an epoch the first fall is not seen: healthy curves have up to 0.34, those "
    "of rates divided by 300 have 0.46 and more",
)

FEWEST_COARSE: Final = 10
"""Values of such a log from which its course is told."""

CLEAR: Final = 0.1
"""Lower end of the interval of that share from which a curve clearly still falls."""

UNMOVED: Final = Threshold(
    0.03,
    "first logged loss",
    "three hundredths: networks whose units are off end within 0.02 of where they began; the healthy curve that falls "
    "least, next to no signal in much noise, falls by 0.05",
)

GUESSING: Final = 2.0
"""Standard errors by which the end may lie above the loss of guessing and still count as it."""

GROWN: Final = 1.5
"""Loss before it became NaN over the lowest before: above it the run was on its way up."""

SHORT: Final = 2
"""Epochs up to which a run that still falls was most likely stopped early."""

SLOW: Final = 0.85
"""Share of its first value above which a loss that is still falling has hardly begun to."""

Judge = Callable[[CurveSummary, "Course | Unmeasured"], Verdict]


def _none(what: str) -> Verdict:
    return Verdict(Outcome.UNDECIDED, f"The log holds {what}.")


def _axis_unit(curves: CurveSummary) -> str:
    return "epochs" if curves.axis == "epoch" else "steps"


def _ended_in_nan(curves: CurveSummary) -> Evidence:
    name = f"{curves.axis} from which the training loss was no finite number"
    return Evidence(Quantity(name, curves.non_finite_step, _axis_unit(curves)))


def rate_too_high(curves: CurveSummary, course: Course | Unmeasured) -> Verdict:
    """OPT001: the loss was driven up, thrown far above its start, or ended in no number after growing."""
    if curves.entries == 0:
        return _none("no training loss")
    if math.isfinite(curves.gradient_failed_step) and not math.isfinite(curves.non_finite_step):
        name = f"{curves.axis} from which the norm of the gradient was no finite number"
        evidence = Evidence(Quantity(name, curves.gradient_failed_step, _axis_unit(curves)))
        sentence = (
            f"From {curves.axis} {curves.gradient_failed_step:g} on the norm of the gradient is NaN or infinite; some "
            "loggers leave such losses out of their means. A single operation that breaks looks the same."
        )
        return Verdict(Outcome.PRESENT, sentence, (evidence,))
    if math.isfinite(curves.non_finite_step):
        where = f"From {curves.axis} {curves.non_finite_step:g} on the training loss is NaN or infinite"
        if curves.before_failure >= GROWN:
            sentence = f"{where}, after it had risen to {curves.before_failure:.3g} times its lowest."
            return Verdict(Outcome.PRESENT, sentence, (_ended_in_nan(curves),))
        sentence = (
            f"{where}, with no rise before it that was logged: too high a rate and an operation that breaks look so."
        )
        return Verdict(Outcome.PRESENT, sentence, (_ended_in_nan(curves),))
    if not curves.first > 0.0 or isinstance(course, Unmeasured):
        reason = course.reason if isinstance(course, Unmeasured) else "the first loss is not above 0"
        return Verdict(Outcome.UNDECIDED, f"Whether the loss was driven up cannot be told: {reason}.")
    ratio = curves.highest / curves.first
    evidence = Evidence(Quantity("highest training loss, smoothed / first logged", ratio, RISEN.unit), RISEN)
    clear = curves.highest - curves.first > 4.0 * course.late_noise
    if ratio >= RISEN.value and clear:
        end = f"and ended at {curves.end:.3g}"
        sentence = f"The training loss rose from {curves.first:.3g} to {curves.highest:.3g}, {end}."
        return Verdict(Outcome.PRESENT, sentence, (evidence,))
    sentence = f"The training loss never rose above {ratio:.3g} times its first value."
    return Verdict(Outcome.ABSENT, sentence, (evidence,))


def breaks(curves: CurveSummary, course: Course | Unmeasured) -> Verdict:
    """OPT020: the loss ended in no number although it had not grown before."""
    if curves.entries == 0:
        return _none("no training loss")
    if math.isnan(curves.non_finite_step):
        sentence = f"All {curves.entries} logged losses up to the end are finite numbers."
        if curves.passing_non_finite:
            sentence = f"{curves.passing_non_finite} logged losses were NaN or infinite, and the run went on."
        return Verdict(Outcome.ABSENT, sentence)
    if curves.before_failure >= GROWN:
        sentence = f"The loss had grown to {curves.before_failure:.3g} times its lowest before it was no number."
        return Verdict(Outcome.ABSENT, sentence, (_ended_in_nan(curves),))
    sentence = (
        f"The training loss is NaN or infinite from {curves.axis} {curves.non_finite_step:g} on and had not grown "
        "before, as far as it was logged."
    )
    return Verdict(Outcome.PRESENT, sentence, (_ended_in_nan(curves),))


def stuck(curves: CurveSummary, course: Course | Unmeasured) -> Verdict:
    """SET018: the loss stays where an answer that ignores its input has it."""
    if isinstance(course, Unmeasured):
        return Verdict(Outcome.UNDECIDED, f"Whether it is stuck cannot be told: {course.reason}.")
    if math.isfinite(curves.non_finite_step):
        return Verdict(Outcome.ABSENT, "The run ended in no finite loss.")
    same = "Dead units, frozen weights, a rate far too high or too low, and data without signal look the same."
    if curves.zero_rate_share == 1.0:
        return Verdict(Outcome.ABSENT, "The learning rate is 0 at every logged step, which explains a flat loss.")
    if curves.classes > 1:
        above = curves.end - curves.constant
        ratio = Quantity("training loss at the end / that of guessing", curves.end / curves.constant)
        evidence = Evidence(ratio, Threshold(1.0, "loss of guessing", "log of the number of classes (Shannon 1948)"))
        if above >= -UNMOVED.value * curves.constant and above <= max(GUESSING * curves.end_error, curves.constant):
            guessing = f"guessing {curves.classes} classes costs {curves.constant:.4g}"
            sentence = f"The loss ended at {curves.end:.4g}, and {guessing}. {same}"
            return Verdict(Outcome.PRESENT, sentence, (evidence,))
        if above < 0.0:
            sentence = f"The loss ended at {curves.end:.3g}, below the {curves.constant:.3g} of guessing."
            return Verdict(Outcome.ABSENT, sentence, (evidence,))
    moved = max(abs(curves.first - curves.end), abs(course.start - curves.end)) / abs(curves.first or math.nan)
    evidence = Evidence(Quantity("change of the training loss over the run / first loss", moved, UNMOVED.unit), UNMOVED)
    held = abs(curves.validation_first - curves.validation_best) / abs(curves.validation_first or math.nan)
    quiet = curves.end_error < UNMOVED.value / GUESSING * abs(curves.first)
    if moved < UNMOVED.value and quiet and not held >= UNMOVED.value and not course.late_fall_low > 0.0:
        sentence = f"The training loss ended where it began, at {curves.end:.4g} after {curves.first:.4g}. {same}"
        return Verdict(Outcome.PRESENT, sentence, (evidence,))
    sentence = f"The training loss moved by {moved:.1%} of its first value."
    return Verdict(Outcome.ABSENT, sentence, (evidence,))


def _still_falls(curves: CurveSummary, course: Course) -> tuple[bool, Evidence]:
    """Whether the training loss, or where that is too noisy the validation loss, still falls at the end."""
    low = course.late_fall_low / course.fall if course.fall > 0.0 and math.isfinite(course.fall) else math.nan
    high = course.late_fall_high / course.fall if course.fall > 0.0 and math.isfinite(course.fall) else math.nan
    name = "fall of the training loss over the second half / over the whole run"
    share = Quantity(name, course.late_share, "1", low, high) if low == low else Quantity(name, course.late_share)
    limit = FALLING_COARSE if curves.is_coarse else FALLING
    falls = course.late_share >= limit.value and low > CLEAR
    falls &= not curves.is_coarse or curves.entries >= FEWEST_COARSE
    turned = curves.validation_entries >= 2 and curves.rise.value >= TURNED.value
    return falls and not turned, Evidence(share, limit)


def _falling(curves: CurveSummary, course: Course | Unmeasured) -> tuple[Verdict | None, Evidence | None]:
    if isinstance(course, Unmeasured):
        return Verdict(Outcome.UNDECIDED, f"Whether the loss still falls cannot be told: {course.reason}."), None
    if math.isfinite(curves.non_finite_step):
        return Verdict(Outcome.ABSENT, "The run ended in no finite loss."), None
    falls, evidence = _still_falls(curves, course)
    if math.isnan(course.late_share):
        return Verdict(Outcome.ABSENT, "The training loss did not fall at all.", (evidence,)), None
    if falls and curves.cut:
        sentence = "The run did not come to its own end: that the loss still fell says nothing of its length or rate."
        return Verdict(Outcome.UNDECIDED, sentence, (evidence,)), None
    if falls:
        return None, evidence
    sentence = f"{course.late_share:.0%} of the fall came in the second half of the run."
    return Verdict(Outcome.ABSENT, sentence, (evidence,)), None


def rate_too_low(curves: CurveSummary, course: Course | Unmeasured) -> Verdict:
    """OPT002: the loss still falls, and has hardly begun to."""
    verdict, evidence = _falling(curves, course)
    if verdict is not None or evidence is None:
        return verdict or _none("no training loss")
    if 0 < curves.epochs <= SHORT or not curves.end >= SLOW * curves.first > 0.0:
        ended = f"{curves.end / curves.first:.0%}" if curves.first > 0.0 else f"{curves.end:.3g}"
        sentence = f"The loss still fell at the end, but it had come down to {ended} of its first value."
        return Verdict(Outcome.ABSENT, sentence, (evidence,))
    sentence = (
        f"The training loss went from {curves.first:.3g} to only {curves.end:.3g} and was still falling evenly at the "
        "end: too low a rate, or a run far too short."
    )
    return Verdict(Outcome.PRESENT, sentence, (evidence,))


def stopped_early(curves: CurveSummary, course: Course | Unmeasured) -> Verdict:
    """OPT017: the loss still falls at the end."""
    verdict, evidence = _falling(curves, course)
    if verdict is not None or evidence is None:
        return verdict or _none("no training loss")
    share = 0.0 if isinstance(course, Unmeasured) else course.late_share
    sentence = (
        f"The training loss was still falling when the log ends: {share:.0%} of its fall came in the second half. "
        "More epochs or a higher rate would tell how far it goes."
    )
    return Verdict(Outcome.PRESENT, sentence, (evidence,))


def overfitting(curves: CurveSummary, course: Course | Unmeasured) -> Verdict:
    """GEN001: past its best epoch the validation loss rises while the training loss goes on falling."""
    if curves.validation_entries < FEWEST_VALIDATIONS:
        what = "no validation loss" if curves.validation_entries == 0 else (
            f"{curves.validation_entries} values of the validation loss; {FEWEST_VALIDATIONS} are needed"
        )  # fmt: skip
        return _none(what)
    rise = curves.rise
    evidence = Evidence(rise, TURNED)
    lowest = (
        f"The validation loss is lowest, {curves.validation_best:.3g}, at {curves.axis} {curves.validation_best_step:g}"
    )
    if math.isnan(rise.value):
        return Verdict(Outcome.ABSENT, "The loss did not fall, so there is nothing that it could have overfitted.")
    if rise.value < TURNED.value:
        sentence = (
            f"{lowest}, and {curves.validation_end:.3g} at the end: a rise of {max(rise.value, 0.0):.1%} of the fall."
        )
        return Verdict(Outcome.ABSENT, sentence, (evidence,))
    if not curves.end < curves.training_at_best:
        sentence = f"{lowest}, and rises to {curves.validation_end:.3g}; the training loss rises with it."
        return Verdict(Outcome.ABSENT, sentence, (evidence,))
    if rise.low is None or not rise.low > 0.0:
        sentence = f"{lowest}, and {curves.validation_end:.3g} at the end, which its noise could explain."
        return Verdict(Outcome.UNDECIDED, sentence, (evidence,))
    sentence = (
        f"{lowest}, and rises to {curves.validation_end:.3g} by the end, while the training loss falls from "
        f"{curves.training_at_best:.3g} to {curves.end:.3g}."
    )
    return Verdict(Outcome.PRESENT, sentence, (evidence,))


FEWEST_VALIDATIONS: Final = 5
"""Values of the validation loss from which its turn is told."""

ORDER: Final[Mapping[str, Judge]] = {
    "OPT001": rate_too_high,
    "OPT020": breaks,
    "SET018": stuck,
    "OPT002": rate_too_low,
    "OPT017": stopped_early,
    "GEN001": overfitting,
}
"""Judges by the diagnosis that their sign points to, those that explain others first."""

PROOFS: Final[Mapping[str, str]] = {
    "OPT001": "training again, from the same seeds, with the rate divided by 3 to 1000",
    "OPT020": "taking the last steps again with every operation watched, and keeping the one that breaks in bounds",
    "SET018": "comparing the outputs of different inputs, before and after training",
    "OPT002": "training again, from the same seeds, with the rate times 3 to 10000",
    "OPT017": "training 3, 10 and 30 times as long",
    "GEN001": "training again with fewer epochs, weight decay, dropout and narrower layers",
    "OPT016": "training again without the decay, with a decay along a cosine, and with a warm-up",
    "OPT007": "training again with the norm of the gradient clipped",
}
"""What `unstuck diagnose` does to prove each."""
