"""What a loss is and what the task is, told from values; the task's error against counting."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional

from tests.measure.programs import generator, setup_of
from unstuck.measure.loss_form import OutputForm, recognise
from unstuck.measure.metric import error_on, joined, task_error
from unstuck.measure.protocol import NotMeasurable
from unstuck.measure.task import Kind, Task, tell_kind

LABELS = torch.arange(61) % 4
YES = (torch.arange(61) % 3 == 0).float()
OTHERS = torch.randn(61, 4, generator=generator())


class OwnLoss(nn.Module):
    def forward(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return -outputs.log_softmax(1).gather(1, targets[:, None]).mean()


@pytest.mark.parametrize(
    ("loss", "outputs", "targets", "name", "form", "exact"),
    [
        (nn.CrossEntropyLoss(), (61, 4), LABELS, "cross-entropy", OutputForm.CLASS_LOGITS, True),
        (OwnLoss(), (61, 4), LABELS, "cross-entropy", OutputForm.CLASS_LOGITS, True),
        (
            lambda o, t: functional.cross_entropy(o, t),
            (61, 4),
            LABELS,
            "cross-entropy",
            OutputForm.CLASS_LOGITS,
            True,
        ),
        (
            lambda o, t: functional.cross_entropy(o.softmax(1), t),
            (61, 4),
            LABELS,
            "cross-entropy of a softmax",
            OutputForm.CLASS_LOGITS,
            True,
        ),
        (nn.NLLLoss(), (61, 4), LABELS, "negative log-likelihood", OutputForm.CLASS_LOG_PROBABILITIES, True),
        (nn.MSELoss(), (61, 4), OTHERS, "mean squared error", OutputForm.VALUES, True),
        (nn.L1Loss(), (61, 4), OTHERS, "mean absolute error", OutputForm.VALUES, True),
        (nn.SmoothL1Loss(), (61, 4), OTHERS, "Huber", OutputForm.VALUES, True),
        (
            nn.BCEWithLogitsLoss(),
            (61,),
            YES,
            "binary cross-entropy with logits",
            OutputForm.BINARY_LOGITS,
            True,
        ),
        (nn.BCELoss(), (61,), YES, "binary cross-entropy", OutputForm.PROBABILITIES, True),
        (
            nn.PoissonNLLLoss(),
            (61,),
            YES * 3,
            "Poisson negative log-likelihood",
            OutputForm.LOG_RATES,
            True,
        ),
        (nn.MSELoss(reduction="sum"), (61, 4), OTHERS, "mean squared error", OutputForm.VALUES, False),
        (
            nn.CrossEntropyLoss(label_smoothing=0.1),
            (61, 4),
            LABELS,
            "cross-entropy (weighted, smoothed or focal)",
            OutputForm.CLASS_LOGITS,
            False,
        ),
        (
            nn.CrossEntropyLoss(weight=torch.tensor([1.0, 2.0, 3.0, 4.0])),
            (61, 4),
            LABELS,
            "cross-entropy (weighted, smoothed or focal)",
            OutputForm.CLASS_LOGITS,
            False,
        ),
        (
            nn.CrossEntropyLoss(),
            (61, 4, 5),
            LABELS[:, None].repeat(1, 5),
            "cross-entropy",
            OutputForm.CLASS_LOGITS,
            True,
        ),
        (
            nn.PoissonNLLLoss(log_input=False),
            (61,),
            YES * 3,
            "Poisson negative log-likelihood of rates",
            OutputForm.RATES,
            True,
        ),
        (lambda o, t: (t * (o / o - 1e-3).log()).mean(), (61, 1), YES[:, None], "loss", OutputForm.NOTHING, False),
        (lambda o, t: o.sum() * 0.0 + t.mean(), (61, 1), YES[:, None], "loss", OutputForm.NOTHING, False),
        (nn.MultiMarginLoss(), (61, 4), LABELS, "unrecognised", OutputForm.UNKNOWN, False),
        (lambda o, t: o["a"], (61, 4), LABELS, "unrecognised", OutputForm.UNKNOWN, False),
    ],
)
@pytest.mark.filterwarnings("ignore:Using a target size")
def test_losses_are_known_by_their_values(
    loss: Any, outputs: tuple[int, ...], targets: Tensor, name: str, form: OutputForm, exact: bool
) -> None:
    before = torch.random.get_rng_state()
    found = recognise(loss, torch.zeros(outputs), targets)
    assert (found.name, found.form, found.exact) == (name, form, exact)
    assert torch.equal(before, torch.random.get_rng_state())


@pytest.mark.parametrize("size", [1.0, 1e4, 1e8])
def test_a_loss_in_units_of_its_own_does_not_look_indifferent(size: float) -> None:
    targets = size * (2.0 + torch.randn(61, 1, generator=generator()).abs())
    found = recognise(lambda o, t: functional.mse_loss(o / size, t / size), torch.zeros(61, 1), targets)
    assert (found.name, found.form) == ("mean squared error", OutputForm.VALUES)


@pytest.mark.filterwarnings("ignore:Using a target size")
def test_a_squared_error_over_broadcast_shapes_is_one() -> None:
    found = recognise(nn.MSELoss(), torch.zeros(61, 1), torch.randn(61))
    assert (found.form, found.exact) == (OutputForm.VALUES, False)


def test_targets_that_are_no_tensor_are_unknown() -> None:
    assert recognise(nn.MSELoss(), torch.zeros(3), [1.0, 2.0, 3.0]).form is OutputForm.UNKNOWN


def affine(outputs: int) -> Any:
    return lambda: nn.Linear(3, outputs)


@pytest.mark.parametrize(
    ("model", "loss", "targets", "kind", "classes", "one_hot"),
    [
        (affine(4), nn.CrossEntropyLoss(), LABELS, Kind.CLASSES, 4, False),
        (affine(2), nn.CrossEntropyLoss(), LABELS % 2, Kind.CLASSES, 2, False),
        (affine(4), nn.CrossEntropyLoss(), functional.one_hot(LABELS).float(), Kind.CLASSES, 4, True),
        (affine(4), nn.MSELoss(), functional.one_hot(LABELS).float(), Kind.CLASSES, 4, True),
        (affine(1), nn.BCEWithLogitsLoss(), YES[:, None], Kind.BINARY, 2, False),
        (affine(1), nn.MSELoss(), YES[:, None], Kind.BINARY, 2, False),
        (affine(3), nn.BCEWithLogitsLoss(), torch.stack([YES, YES, 1 - YES], 1), Kind.LABELS, 0, False),
        (affine(4), nn.MSELoss(), OTHERS, Kind.VALUES, 0, False),
        (affine(1), nn.MSELoss(), LABELS.float()[:, None], Kind.VALUES, 0, False),
        (affine(4), nn.MultiMarginLoss(), LABELS, Kind.CLASSES, 4, False),
    ],
)
def test_kinds_of_task(model: Any, loss: Any, targets: Tensor, kind: Kind, classes: int, one_hot: bool) -> None:
    task = Task.measure(setup_of(model, loss, (torch.randn(61, 3), targets)))
    assert (task.kind, task.classes, task.one_hot, task.per_position) == (kind, classes, one_hot, False)
    assert task.output_shape[1:] == (model().out_features,)


def test_positions() -> None:
    data = (torch.randn(30, 2, 6, 6), torch.randint(0, 3, (30, 6, 6), generator=generator()))
    task = Task.measure(setup_of(lambda: nn.Conv2d(2, 3, 1), nn.CrossEntropyLoss(), data))
    assert task.per_position
    assert task.classes == 3


def test_a_loss_inside_the_step_has_no_task() -> None:
    def step(model: nn.Module, optimizer: Any, batch: Any) -> Tensor:
        return model(batch[0]).mean()

    data = (torch.randn(30, 3), torch.zeros(30))
    with pytest.raises(NotMeasurable, match="train_step"):
        Task.measure(setup_of(affine(1), None, data, train_step=step))


def task(kind: Kind, form: OutputForm = OutputForm.CLASS_LOGITS, one_hot: bool = False) -> Task:
    return Task(kind, 3, one_hot, False, (9, 3), (9,), "", form, True)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 2), min_size=2, max_size=30), st.integers(0, 10_000))
def test_the_error_of_classes_is_counted(labels: list[int], seed: int) -> None:
    outputs = torch.randn(len(labels), 3, generator=generator(seed))
    truth = torch.tensor(labels)
    wrong = sum(int(row.argmax()) != label for row, label in zip(outputs, labels, strict=True))
    others = len(labels) - max(labels.count(label) for label in labels)
    expected = wrong / max(others, 1)
    assert task_error(task(Kind.CLASSES), outputs, truth) == pytest.approx(expected)
    hot = functional.one_hot(truth, 3).float()
    assert task_error(task(Kind.CLASSES, one_hot=True), outputs, hot) == pytest.approx(expected)


@given(st.floats(-5.0, 5.0), st.floats(0.1, 100.0))
def test_a_constant_has_error_one_and_perfection_none(shift: float, scale: float) -> None:
    truth = scale * torch.randn(50, 2, dtype=torch.float64, generator=generator()) + shift
    values = task(Kind.VALUES, OutputForm.VALUES)
    assert task_error(values, truth.mean(0).expand(50, 2), truth) == pytest.approx(1.0)
    assert task_error(values, truth, truth) == 0.0
    assert task_error(values, truth[:, :1], truth[:, 0]) == 0.0  # shapes that differ by ones


@pytest.mark.parametrize("form", [OutputForm.BINARY_LOGITS, OutputForm.PROBABILITIES, OutputForm.VALUES])
def test_yes_or_no_is_cut_in_the_middle_of_its_form(form: OutputForm) -> None:
    logits = torch.tensor([-2.0, -0.1, 0.1, 3.0, -1.0])
    truth = torch.tensor([0, 1, 1, 1, 0])
    outputs = logits if form is OutputForm.BINARY_LOGITS else logits.sigmoid()
    assert task_error(task(Kind.BINARY, form), outputs[:, None], truth) == pytest.approx(0.2 / 0.4)
    two = torch.stack([-logits, logits], 1)
    assert task_error(task(Kind.BINARY, form), two, truth) == pytest.approx(0.2 / 0.4)


def test_what_cannot_be_told_is_nan() -> None:
    assert math.isnan(task_error(task(Kind.VALUES), "text", torch.zeros(3)))
    assert math.isnan(task_error(task(Kind.VALUES), torch.zeros(0), torch.zeros(0)))
    assert math.isnan(task_error(task(Kind.VALUES), torch.zeros(4, 3), torch.zeros(4)))
    assert math.isnan(task_error(task(Kind.CLASSES), torch.zeros(4, 3, 2), torch.zeros(4).long()))
    assert math.isnan(task_error(task(Kind.BINARY), torch.zeros(4, 3), torch.zeros(4, 1)))
    assert math.isnan(task_error(task(Kind.UNKNOWN), torch.zeros(4), torch.zeros(4)))


def test_batches_are_scored_together() -> None:
    data = (torch.randn(61, 3), LABELS)
    setup = setup_of(affine(4), nn.CrossEntropyLoss(), data, batch_size=20)
    batches = setup.train.head(61)
    outputs = [torch.randn(len(batch[1]), 4, generator=generator(number)) for number, batch in enumerate(batches)]
    told = Task.measure(setup)
    assert error_on(setup, told, outputs, batches) == task_error(told, torch.cat(outputs), LABELS)
    assert joined(["a", "b"]) == "a"
    assert joined([torch.zeros(2, 1), torch.zeros(2, 2)]).shape == (2, 1)


def normalised(outputs: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy as Keras has it."""
    chance = (outputs / outputs.sum(1, keepdim=True)).clamp(1e-7, 1 - 1e-7)
    return -chance.gather(1, labels.unsqueeze(1)).log().mean()


@pytest.mark.parametrize(
    ("loss", "targets", "name", "form"),
    [
        (
            lambda o, t: functional.nll_loss((o + 1e-8).log(), t),
            LABELS,
            "cross-entropy of probabilities",
            OutputForm.CLASS_PROBABILITIES,
        ),
        (
            lambda o, t: -(t * o.clamp(1e-7, 1 - 1e-7).log() + (1 - t) * (1 - o.clamp(1e-7, 1 - 1e-7)).log()).mean(),
            10.0 * OTHERS,
            "binary cross-entropy",
            OutputForm.PROBABILITIES,
        ),
        (normalised, LABELS, "cross-entropy of probabilities", OutputForm.CLASS_PROBABILITIES),
        (
            lambda o, t: -(t * o.log()).sum(1).mean(),
            functional.one_hot(LABELS, 4).float(),
            "cross-entropy of probabilities",
            OutputForm.CLASS_PROBABILITIES,
        ),
        (
            lambda o, t: functional.mse_loss(o, functional.one_hot(t, 4).float()),
            LABELS,
            "mean squared error to one-hot targets",
            OutputForm.VALUES,
        ),
        (
            lambda o, t: functional.binary_cross_entropy_with_logits(o.sigmoid(), t),
            functional.one_hot(LABELS, 4).float(),
            "binary cross-entropy with logits of a sigmoid",
            OutputForm.BINARY_LOGITS,
        ),
    ],
)
def test_losses_of_other_libraries_and_slips_are_recognised(
    loss: Any, targets: Tensor, name: str, form: OutputForm
) -> None:
    found = recognise(loss, torch.randn(61, 4, generator=generator()), targets)
    assert (found.name, found.form, found.exact) == (name, form, True)


def test_a_cross_entropy_on_numbers_makes_them_no_classes() -> None:
    """Rows that sum to 1 are shares of classes; several labels and continuous targets are not."""
    form = recognise(functional.cross_entropy, OTHERS, OTHERS)
    assert form.form is OutputForm.CLASS_LOGITS
    assert tell_kind(OTHERS.softmax(1), OTHERS, form) == (Kind.CLASSES, 4, True)
    assert tell_kind(OTHERS, OTHERS, form)[0] is Kind.VALUES
    assert tell_kind((OTHERS > 0.0).float(), OTHERS, form)[0] is Kind.LABELS
