import pytest
import torch
from torch import nn

from unstuck.edits.insertion import insert_before
from unstuck.edits.regularisation import dropout_rates, weaker_dropout, weaker_weight_decay
from unstuck.errors import RemedyError
from unstuck.loop import fit
from unstuck.measure.preparation import Prepared, Trained
from unstuck.measure.regularisers import Regularisers
from unstuck.patients import classification, perceptron, sgd
from unstuck.setup import Setup


def measured(setup: Setup) -> Regularisers:
    prepared = Prepared.measure(setup)
    return Regularisers.measure(prepared, Trained(fit(prepared.setup, watched=True)))


def dropping(rate: float) -> Setup:
    return classification(lambda: nn.Sequential(nn.Linear(4, 24), nn.ReLU(), nn.Dropout(rate), nn.Linear(24, 3)))


def test_without_any_there_is_none() -> None:
    assert not measured(classification()).any


def test_noise_of_dropout_against_many_draws() -> None:
    """A slow twin: a thousand draws of a network that is not trained."""
    setup = dropping(0.5)
    prepared = Prepared.measure(setup)
    run = fit(prepared.setup, steps=1)
    given = Regularisers.measure(prepared, Trained(run))
    model, inputs = run.model.train(), setup.train.head(128)
    rows = torch.cat([batch[0] for batch in inputs])[:128]
    with torch.no_grad(), torch.random.fork_rng():
        torch.manual_seed(1)
        drawn = torch.stack([model(rows).double() for _ in range(1000)])
    within = drawn.var(0).mean(0).sum()
    assert given.noise_share == pytest.approx(float(within / drawn.flatten(0, 1).var(0).sum()), rel=0.1)
    assert given.dropout == 0.5


def test_noise_of_dropout_that_is_put_into_a_batch_norm() -> None:
    """It is the norm's own noise that is left out, not that of what hangs on it."""

    def norm() -> nn.Module:
        made = nn.BatchNorm1d(24)
        insert_before(made, "dropout", nn.Dropout(0.7))
        return made

    given = measured(classification(lambda: nn.Sequential(nn.Linear(4, 24), nn.ReLU(), norm(), nn.Linear(24, 3))))
    assert given.dropout == 0.7 and given.noise_share > 0.05


def test_noise_grows_with_the_rate() -> None:
    shares = [measured(dropping(rate)).noise_share for rate in (0.1, 0.5, 0.9)]
    assert shares == sorted(shares) and shares[2] > 2.0 * shares[0]


def test_decay_against_the_gradient_of_a_known_problem() -> None:
    """At rest under decay, the loss pulls exactly as hard as the decay does: a share of one half."""

    class Line(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(4, 3, bias=False)

        def forward(self, inputs: torch.Tensor) -> torch.Tensor:
            scores: torch.Tensor = self.layer(inputs)
            return scores

    def optimizer(parameters: object) -> torch.optim.Optimizer:
        return torch.optim.SGD(parameters, 0.3, weight_decay=0.3)  # type: ignore[arg-type]

    given = measured(classification(Line, optimizer=optimizer, epochs=200, batch_size=320))
    assert given.decay == 0.3 and given.decay_share == pytest.approx(0.5, abs=1e-3)
    weak = measured(classification(optimizer=lambda p: torch.optim.SGD(p, 0.1, weight_decay=1e-5)))
    assert weak.decay_share < 0.01


def test_smoothing_is_read_from_the_loss() -> None:
    assert measured(classification(loss=nn.CrossEntropyLoss(label_smoothing=0.3))).smoothing == pytest.approx(0.3)


def test_dropout_and_decay_become_weaker() -> None:
    assert dropout_rates(weaker_dropout(dropping(0.8), 0.5)) == (0.4,)
    decaying = classification(optimizer=lambda p: torch.optim.SGD(p, 0.1, weight_decay=0.1))
    assert weaker_weight_decay(decaying, 0.1).build()[1].param_groups[0]["weight_decay"] == pytest.approx(0.01)
    with pytest.raises(RemedyError, match="no layer of dropout"):
        weaker_dropout(classification(lambda: perceptron(4, 8, 3)), 0.5)
    with pytest.raises(RemedyError, match="same number"):
        weaker_weight_decay(classification(optimizer=sgd()), 0.1)
