"""What feeds a layer lies on one side of zero, so that its weights are pushed to and fro together.

## What it checks
Whether, before training, what feeds some layer behind the first is all of one sign and lies at least five times its own
spread away from zero, and whether the gradients of the weights of each unit then share their sign.

## Why it hurts
The gradient of a weight is what feeds it times the error of its unit. Where all inputs are positive, all weights of a
unit rise together or fall together on a sample; a direction in which some must rise and others fall is reached by a
zig-zag only. The common offset also makes one direction of the loss surface far steeper than the others: the rate that
this one bears is too low for those that carry the information.

## How it is measured
One pass over some training samples before training: mean and spread of each feature that feeds each layer; and from
the gradient of the first batch, how far the entries of each unit's weight gradient share one sign. ReLUs too give no
negative values, but theirs lie within twice their spread or so, and single entries differ. The suspicion is tested by
subtracting the mean that each feature has at the start, with everything else as given; it is confirmed if that ends
lower on the training data and on held-out data by at least a tenth of the span. Normalisation layers are no test of it:
they speed up much that was centred before.

## Remedy
Centre what feeds the layers: subtract its mean, or use an activation that gives both signs, as tanh does;
normalisation layers keep it centred throughout training.

## When to leave it
Networks of ReLUs train well although they give no negative values. Raw inputs that are all positive are a matter of
scaling the data. If the loss is low, nothing is wrong.

## References
Y. LeCun, L. Bottou, G. Orr, K. Müller, "Efficient backprop", 1998, sections 4.3 and 4.4.
S. Ioffe, C. Szegedy, "Batch normalization", 2015.
S. Wiesler, H. Ney, "A convergence analysis of log-linear training", 2011 (the mean and the conditioning).
"""

from __future__ import annotations

from typing import Final

from torch import Tensor, nn

from unstuck import patients
from unstuck.edits.centring import centre_activations, move_activations
from unstuck.measure.depth_profile import DepthProfile
from unstuck.quantity import Quantity, Threshold, roughly
from unstuck.report import Applies, Evidence, Outcome, Verdict
from unstuck.rule import Case, Remedy, Rule
from unstuck.setup import Setup

AWAY: Final = Threshold(
    5.0,
    "standard deviations of what feeds the layer",
    "five; hidden layers of the healthy set-ups of bench/bases are at 4.2 and below, standard normal ReLUs at 0.7",
)

ONE_SIGN: Final = Threshold(
    0.99, "share of what feeds the layer", "all but one value in a hundred, as the zig-zag asks (LeCun et al. 1998)"
)

TOGETHER: Final = Threshold(
    0.9,
    "mean sign of a unit's weight gradient",
    "nine tenths; layers of the healthy set-ups of bench/bases are at 0.9 and below, at 0.4 in the median",
)

MOVED: Final = 30.0
"""Standard deviations by which the fault moves what feeds the layers."""


def judge(profile: DepthProfile) -> Verdict:
    """Suspect a layer fed from one side of zero only, whose units' weights are pushed together."""
    fed = profile.layers[1:]
    there = [
        layer
        for layer in fed
        if layer.off_centre >= AWAY.value and layer.one_sign >= ONE_SIGN.value and layer.coherence >= TOGETHER.value
    ]
    shown = max(there or fed, key=lambda layer: layer.off_centre, default=None)
    if shown is None:
        none = Evidence(Quantity("layers that activations feed", 0.0, "layers"))
        return Verdict(Outcome.ABSENT, "No layer is fed by activations.", (none,))
    evidence = (
        Evidence(Quantity(f"mean of what feeds {shown.name} / its spread", shown.off_centre, AWAY.unit), AWAY),
        Evidence(Quantity("share of it that has one sign", shown.one_sign, ONE_SIGN.unit), ONE_SIGN),
        Evidence(Quantity("mean sign of a unit's weight gradient", shown.coherence, TOGETHER.unit), TOGETHER),
    )
    told = f"What feeds {shown.name} lies {roughly(shown.off_centre)} times its spread from zero"
    if there:
        sentence = f"{told}, all on one side, and {shown.coherence:.0%} of a unit's weights are pushed one way."
        return Verdict(Outcome.PRESENT, sentence, evidence, tuple(layer.name for layer in there))
    return Verdict(Outcome.ABSENT, f"{told}: no layer is fed from one side only.", evidence)


def move_away(setup: Setup) -> Setup:
    """Add thirty times its spread to what feeds each layer behind the first."""
    return move_activations(setup, MOVED)


class _Raised(nn.Module):
    """A tanh that gives values about a mean of ten."""

    def forward(self, values: Tensor) -> Tensor:
        return values.tanh() + 10.0


RULE = Rule(
    code="OPT019",
    judge=judge,
    fault=move_away,
    remedy=Remedy(
        "Centre what feeds the layers: subtract its mean, or use an activation of both signs.",
        centre_activations,
        Applies.OPT_IN,
    ),
    cases=(
        Case(
            "tanhs about a mean of ten",
            lambda: patients.shells(
                lambda: patients.perceptron(4, 32, 32, 3, activation=_Raised), optimizer=patients.sgd(0.05)
            ),
            Outcome.PRESENT,
        ),
        Case("ReLUs, which give no negative values either", patients.shells, Outcome.ABSENT),
        Case(
            "one layer of sigmoids, from which Adam learns well",
            lambda: patients.shells(lambda: patients.perceptron(4, 48, 3, activation=nn.Sigmoid), epochs=30),
            Outcome.ABSENT,
        ),
    ),
    is_cure_all=True,
    explained_by=("DAT001", "OPT001", "OPT006", "OPT009"),
)
