"""Reports made by hand, as they come out of an examination."""

from __future__ import annotations

import math

from unstuck.quantity import Quantity, Threshold
from unstuck.report import (
    Applies,
    Branch,
    Change,
    Cost,
    Curve,
    Evidence,
    Finding,
    Outcome,
    Provenance,
    Question,
    Report,
    RuleSummary,
    Status,
    Trial,
    Unchecked,
    Verdict,
)

RATE = RuleSummary(
    "OPT001",
    "learning-rate-too-high",
    "The learning rate is above what the loss surface bears.",
    "A step longer than the surface is curved lands higher on the other side of the valley than it"
    " started, so the loss rises or rings instead of falling.",
)
SCALES = RuleSummary("DAT001", "inputs-not-normalised", "The inputs are not on one scale.")
SLOW = RuleSummary("OPT002", "learning-rate-too-low", "The learning rate is too low.")
SHAPES = RuleSummary("SET001", "target-shape-broadcast", "Outputs and targets broadcast.")
SOFTMAX = RuleSummary("SET002", "probabilities-into-logits-loss", "The loss gets probabilities.")

BOUND = Threshold(2.0, "1", "Cohen et al. 2021, the edge of stability")
SPAN_SHARE = Threshold(0.1, "1", "healthy runs on the bench, 95 % quantile")

STEPS = tuple(range(0, 640, 20))
SICK = tuple(2.31 + 0.25 * math.sin(step * 1.7) * math.exp(-step / 900) for step in STEPS)
WELL = tuple(0.04 + 2.26 * math.exp(-step / 90) for step in STEPS)


def trial() -> Trial:
    """A trial that confirms a rate that is too high."""
    return Trial(
        remedy="Lower the learning rate from 3.0 to 0.1.",
        changes=(Change("optimizer.lr", "3.0", "0.1"),),
        outcome=Outcome.PRESENT,
        score="training loss at the end",
        seeds=(0, 1, 2),
        before=(2.3054, 2.3312, 2.2987),
        after=(0.04121, 0.03899, 0.04233),
        gain=Quantity("share of the shortfall closed", 0.984, "1", 0.971, 0.997),
        curves=(Curve("as given, seed 0", STEPS, SICK), Curve("with the remedy, seed 0", STEPS, WELL)),
        seconds=4.1,
    )


def sick() -> Report:
    """A rate that is too high, proven."""
    finding = Finding(
        rule=RATE,
        outcome=Outcome.PRESENT,
        status=Status.CONFIRMED,
        verdict=Verdict(
            Outcome.PRESENT,
            "The step times the sharpest curvature is 41.2, above 2: each step overshoots the valley"
            " that it should go down.",
            (
                Evidence(Quantity("rate × sharpest curvature", 41.2, "1", 38.9, 43.5), BOUND),
                Evidence(Quantity("steps on which the loss rose", 0.48, "1", 0.43, 0.53)),
            ),
        ),
        remedy="Lower the learning rate to 0.1.",
        applies=Applies.SAFE,
        trial=trial(),
    )
    other = Finding(
        rule=SCALES,
        outcome=Outcome.PRESENT,
        status=Status.SUSPECTED,
        verdict=Verdict(
            Outcome.PRESENT,
            "Feature scales differ by a factor of 312; with one rate for all, the largest sets the pace.",
            (Evidence(Quantity("largest feature scale / smallest", 312.0)),),
        ),
        remedy="Standardise the inputs with the training statistics.",
        explained_by="OPT001",
    )
    absent = Finding(
        rule=SHAPES,
        outcome=Outcome.ABSENT,
        status=Status.SUSPECTED,
        verdict=Verdict(
            Outcome.ABSENT,
            "Outputs [64, 10] and targets [64] do not broadcast.",
            (Evidence(Quantity("losses a sample", 1.0), Threshold(1.0, "1", "one loss a sample")),),
        ),
    )
    outputs = Finding(
        rule=SOFTMAX,
        outcome=Outcome.ABSENT,
        status=Status.SUSPECTED,
        verdict=Verdict(
            Outcome.ABSENT,
            "Outputs are not probabilities.",
            (Evidence(Quantity("rows that sum to 1", 0.0, "%"), Threshold(99.0, "%", "softmax")),),
        ),
    )
    slow = Finding(
        rule=SLOW,
        outcome=Outcome.ABSENT,
        status=Status.SUSPECTED,
        verdict=Verdict(Outcome.PRESENT, "The loss still falls."),
        trial=Trial(
            "Raise the learning rate to 9.0.",
            (),
            Outcome.ABSENT,
            "training loss at the end",
            (0,),
            (2.3,),
            (2.6,),
            Quantity("share of the shortfall closed", -0.13, "1", -0.2, -0.04),
        ),
    )
    return Report(
        sentence="The learning rate is above what the loss surface bears: 3.0 overshoots,"
        " and lowering it to 0.1 closes 98 % of the shortfall.",
        branch_taken=Branch.OPTIMISATION,
        questions=(
            Question(
                "Is the training loss large?",
                Outcome.PRESENT,
                Quantity("excess over the best comparison", 0.98, "1", 0.96, 0.99),
                SPAN_SHARE,
                "The run ends at 2.31; the best comparison reaches 0.038, a constant 2.303.",
            ),
            Question(
                "Can a robustly optimised copy of this very model go lower?",
                Outcome.PRESENT,
                Quantity("share of the excess that the copy closes", 1.0, "1", 0.98, 1.01),
                SPAN_SHARE,
                "The copy reaches 0.041 on the training data and 0.11 on held-out data.",
            ),
        ),
        findings=(finding, other),
        ruled_out=(absent, outputs, slow),
        unchecked=(
            Unchecked("MIS004 preprocessing-mismatch", "The set-up has no test data; give `test=`."),
            Unchecked("CAP001 model-too-small", "Optimisation fails first; treat it and examine again."),
        ),
        curves=(Curve("as given, seed 0", STEPS, SICK),),
        setup={"optimizer": "SGD(lr=3.0)", "loss": "CrossEntropyLoss()"},
        notes=(),
        cost=Cost(11.42, 60.0, 0.84, 0.61, 23, {"reference": 2.1}),
        provenance=Provenance(
            "unstuck diagnose examples/digits.py:rate_too_high --budget 60",
            {"unstuck": "0.1.0", "torch": "2.13.0", "python": "3.11.7"},
            "cpu",
            0,
            "2026-01-31T12:00:00Z",
        ),
        chart={"FirstBatch": {"loss": 2.31, "shapes": [[64, 10], [64]]}, "Robust": {"losses": [0.2, math.nan]}},
    )


def healthy() -> Report:
    """A run that trains."""
    source = sick()
    return Report(
        sentence="It trains: nothing that was examined keeps it from fitting or from generalising.",
        branch_taken=Branch.HEALTHY,
        questions=(
            Question(
                "Is the training loss large?",
                Outcome.ABSENT,
                Quantity("excess over the best comparison", 0.002, "1", -0.004, 0.008),
                SPAN_SHARE,
                "The run ends at 0.041, the best comparison at 0.038.",
            ),
            Question(
                "Is the loss large on held-out samples of the training distribution?",
                Outcome.ABSENT,
                Quantity("held-out excess", 0.04, "1", 0.01, 0.07),
                SPAN_SHARE,
                "Held-out loss 0.11 against 0.041.",
            ),
            Question(
                "Is the loss large on the test data?",
                Outcome.ABSENT,
                Quantity("test excess", 0.01, "1", -0.02, 0.03),
                SPAN_SHARE,
                "Test loss 0.12 against 0.11.",
            ),
        ),
        findings=(),
        ruled_out=source.ruled_out,
        unchecked=(),
        curves=(Curve("training loss", STEPS, WELL),),
        setup={},
        notes=(),
        cost=Cost(6.2, 60.0, 0.84, None, 11),
        provenance=source.provenance,
    )


def cut_short() -> Report:
    """An examination that was stopped after its first suspicion, of a loss that became NaN."""
    source = sick()
    cause = source.findings[0]
    losses = (2.3, 9.1, 812.0, 4.1e9, math.inf, math.nan, math.nan)
    return Report(
        sentence="Stopped before a cause was proven; the learning rate is suspected.",
        branch_taken=Branch.UNDECIDED,
        questions=(),
        findings=(Finding(cause.rule, Outcome.UNDECIDED, Status.SUSPECTED, cause.verdict, cause.remedy),),
        ruled_out=(),
        unchecked=(Unchecked("the guide", "Stopped by Ctrl-C."),),
        curves=(Curve("training loss", (0, 1, 2, 3, 4, 5, 6), losses),),
        setup={},
        notes=("stopped by Ctrl-C",),
        cost=Cost(1.9, 60.0, 0.84, 0.61, 1),
        provenance=source.provenance,
        complete=False,
    )
