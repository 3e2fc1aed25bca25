"""The reference learners: every kind of task and input, each number against a twin, nothing left behind."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from tests.measure.programs import blobs, generator, line, noise, prepared, setup_of
from unstuck.examine import Examination
from unstuck.loop import evaluate
from unstuck.measure.best_constant import BestConstant
from unstuck.measure.learners import logistic, ridge
from unstuck.measure.loss_form import OutputForm
from unstuck.measure.problem import Problem, as_outputs
from unstuck.measure.protocol import NotMeasurable, Unmeasured
from unstuck.measure.references import (
    BoostingReference,
    LinearReference,
    Reference,
    References,
    ShuffledControl,
    SmallNetReference,
)
from unstuck.measure.task import Kind, Task
from unstuck.setup import Setup

KINDS = (LinearReference, BoostingReference, SmallNetReference)


def by_kind(setup: Setup) -> dict[str, Reference]:
    material, task = prepared(setup), Task.measure(setup)
    found = {}
    for kind in KINDS:
        try:
            one = kind.measure(material, task).reference
        except NotMeasurable:
            continue
        found[one.kind] = one
    return found


def affine(width: int, outputs: int, *after: nn.Module) -> Callable[[], nn.Module]:
    return lambda: nn.Sequential(nn.Flatten(), nn.Linear(width, outputs), *after)


def yes_no(count: int = 400) -> tuple[Tensor, Tensor]:
    inputs = torch.randn(count, 6, generator=generator())
    return inputs, (inputs[:, :1] + 0.5 * inputs[:, 1:2] > 0).float()


def several(count: int = 400) -> tuple[Tensor, Tensor]:
    inputs = torch.randn(count, 6, generator=generator())
    return inputs, (inputs[:, :3] > 0.3).float()


def ordered_tokens() -> tuple[Tensor, Tensor]:
    tokens = torch.randint(0, 6, (300, 8), generator=generator())
    return tokens, (tokens[:, 0] >= 3).long()


def pictures() -> tuple[Tensor, Tensor]:
    labels = torch.arange(400) % 3
    patterns = functional.interpolate(torch.randn(3, 2, 3, 3, generator=generator(2)), size=12)
    return patterns[labels] + torch.randn(400, 2, 12, 12, generator=generator()), labels


def waves() -> tuple[Tensor, Tensor]:
    series = torch.randn(400, 15, 3, generator=generator())
    return series, series[:, -1, :1] + series[:, :, 1].mean(1, keepdim=True)


def segments() -> tuple[Tensor, Tensor]:
    pictures = torch.randn(120, 2, 8, 8, generator=generator())
    return pictures, (functional.avg_pool2d(pictures, 3, 1, 1).sum(1) > 0).long()


class Bigrams(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.scores = nn.Embedding(5, 5)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.scores(tokens).transpose(1, 2)


def chains() -> tuple[Tensor, Tensor]:
    tokens = torch.randint(0, 5, (100, 12), generator=generator())
    return tokens, (2 * tokens + 1) % 5


def rates(count: int = 500) -> tuple[Tensor, Tensor]:
    inputs = torch.randn(count, 4, generator=generator())
    return inputs, torch.poisson((0.4 * inputs[:, :1] + 2.0).exp(), generator=generator(1))


PROGRAMS: dict[str, tuple[Callable[[], nn.Module], Any, Callable[[], Any], Kind, set[str]]] = {
    "classes": (
        affine(6, 4),
        nn.CrossEntropyLoss(),
        lambda: blobs(400),
        Kind.CLASSES,
        {"linear", "boosting", "net"},
    ),
    "log-probabilities": (
        affine(6, 4, nn.LogSoftmax(1)),
        nn.NLLLoss(),
        lambda: blobs(400),
        Kind.CLASSES,
        {"linear"},
    ),
    "one-hot": (
        affine(6, 4, nn.Sigmoid()),
        nn.BCELoss(),
        lambda: (lambda x, y: (x, functional.one_hot(y).float()))(*blobs(400)),
        Kind.CLASSES,
        {"linear", "net"},
    ),
    "one-hot, squared": (
        affine(6, 4),
        nn.MSELoss(),
        lambda: (lambda x, y: (x, functional.one_hot(y).float()))(*blobs(400)),
        Kind.CLASSES,
        {"linear", "net"},
    ),
    "yes or no": (affine(6, 1), nn.BCEWithLogitsLoss(), yes_no, Kind.BINARY, {"linear", "boosting", "net"}),
    "yes or no, probabilities": (
        affine(6, 1, nn.Sigmoid()),
        nn.BCELoss(),
        yes_no,
        Kind.BINARY,
        {"linear", "net"},
    ),
    "labels": (affine(6, 3), nn.BCEWithLogitsLoss(), several, Kind.LABELS, {"linear", "boosting", "net"}),
    "numbers": (affine(5, 2), nn.MSELoss(), lambda: line(400, 5, 2), Kind.VALUES, {"linear", "net"}),
    "absolute": (affine(5, 1), nn.L1Loss(), lambda: line(400), Kind.VALUES, {"linear", "net"}),
    "rates": (affine(4, 1), nn.PoissonNLLLoss(), rates, Kind.VALUES, {"boosting", "net"}),
    "tokens": (
        affine(8, 2),
        nn.CrossEntropyLoss(),
        ordered_tokens,
        Kind.CLASSES,
        {"linear", "boosting", "net"},
    ),
    "images": (affine(288, 3), nn.CrossEntropyLoss(), pictures, Kind.CLASSES, {"linear", "boosting", "net"}),
    "sequences": (affine(45, 1), nn.MSELoss(), waves, Kind.VALUES, {"linear", "net"}),
    "positions of images": (
        lambda: nn.Conv2d(2, 2, 1),
        nn.CrossEntropyLoss(),
        segments,
        Kind.CLASSES,
        {"linear", "net"},
    ),
    "positions of tokens": (
        Bigrams,
        nn.CrossEntropyLoss(),
        chains,
        Kind.CLASSES,
        {"linear", "boosting", "net"},
    ),
    "autoencoder": (
        lambda: nn.Conv2d(2, 2, 1),
        nn.MSELoss(),
        lambda: (pictures()[0], pictures()[0]),
        Kind.VALUES,
        {"linear"},
    ),
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_learners_beat_the_constant_where_there_is_a_signal(name: str) -> None:
    model, loss, data, kind, able = PROGRAMS[name]
    if name == "tokens":
        model = lambda: nn.Sequential(nn.Embedding(6, 4), nn.Flatten(), nn.Linear(32, 2))  # noqa: E731
    setup = setup_of(model, loss, data())
    material, task = prepared(setup), Task.measure(setup)
    assert task.kind is kind
    found = by_kind(setup)
    constant = BestConstant.measure(material, task)
    assert able <= set(found)
    for reference in (found[kind] for kind in able):
        assert reference.held_out_loss is not None
        assert reference.training_loss is not None
        assert reference.held_out_error is not None
        assert reference.held_out_error_standard_error is not None
        assert reference.held_out_loss < constant.held_out_loss, reference
        assert reference.training_loss < constant.training_loss, reference
        assert reference.held_out_error + 2.0 * reference.held_out_error_standard_error < 1.0, reference
        assert reference.test_loss is None
        assert reference.test_error is None


def test_nothing_is_found_in_noise_and_the_control_says_the_same() -> None:
    data = noise(700)
    setup = setup_of(affine(6, 3), nn.CrossEntropyLoss(), data)
    task, material = Task.measure(setup), prepared(setup)
    control = ShuffledControl.measure(material, task)
    assert len(control.null_held_out_errors) == 19
    for reference in by_kind(setup).values():
        assert reference.held_out_error is not None
        assert reference.held_out_error > min(control.null_held_out_errors) - 0.1
    signal = setup_of(affine(6, 4), nn.CrossEntropyLoss(), blobs(500, spread=3.0))
    found = LinearReference.measure(prepared(signal), Task.measure(signal)).reference
    null = ShuffledControl.measure(prepared(signal), Task.measure(signal))
    assert found.held_out_error is not None
    assert found.held_out_error < min(null.null_held_out_errors)
    assert {one.kind for one in null.references} == {"linear", "boosting"}


def test_the_loss_is_that_of_a_model_with_the_same_answers() -> None:
    # The weights of the linear learner, put into the user's own model, must score the same under `evaluate`.
    inputs, targets = line(300, 5, 1, noise=1.0)
    held_out = line(120, 5, 1, seed=1, noise=1.0)
    setup = setup_of(affine(5, 1), nn.L1Loss(), (inputs, targets), validation=held_out, test=held_out, batch_size=70)
    reference = LinearReference.measure(prepared(setup), Task.measure(setup)).reference
    mean, scale = inputs.double().mean(0).numpy(), inputs.double().std(0, correction=0).numpy()
    predict = ridge((inputs.double().numpy() - mean) / scale, targets.double().numpy())
    offset = predict((np.zeros((1, 5)) - mean) / scale)
    weights = [(predict((row - mean) / scale) - offset)[0, 0] for row in np.eye(5)]
    model = affine(5, 1)()
    with torch.no_grad():
        model[1].weight.copy_(torch.tensor([weights]))  # type: ignore[index, union-attr, operator]
        model[1].bias.copy_(torch.tensor(offset[0]))  # type: ignore[index, union-attr, operator]
    assert setup.validation is not None
    score = evaluate(setup, model, setup.validation)
    assert reference.held_out_loss == pytest.approx(score.loss, rel=1e-4)
    assert reference.held_out_standard_error == pytest.approx(score.standard_error, rel=1e-2)
    assert reference.test_loss == pytest.approx(reference.held_out_loss)
    assert reference.test_error == pytest.approx(reference.held_out_error)
    predicted = predict((held_out[0].double().numpy() - mean) / scale)
    truth = held_out[1].double().numpy()
    squares = ((predicted - truth) ** 2)[:, 0]
    assert reference.held_out_error == pytest.approx(squares.mean() / truth.var(), rel=1e-6)
    assert reference.held_out_error_standard_error == pytest.approx(
        squares.std(ddof=1) / math.sqrt(120) / truth.var(), rel=1e-6
    )


def test_ridge_is_the_closed_form_and_shrinks_where_there_is_nothing() -> None:
    draws = np.random.default_rng(0)
    table = draws.normal(size=(60, 4))
    wanted = table @ draws.normal(size=(4, 2)) + 3.0
    assert ridge(table, wanted)(table) == pytest.approx(wanted, abs=1e-3)
    wide, nothing = draws.normal(size=(60, 50)), draws.normal(size=(60, 1))
    assert ridge(wide, nothing)(draws.normal(size=(40, 50))).std() < 0.3


def test_classes_that_are_never_seen_keep_a_small_share() -> None:
    table = np.random.default_rng(0).normal(size=(50, 2))
    said = logistic(table, (table[:, 0] > 0).astype(np.int64), 4)(table)
    assert said.shape == (50, 4)
    assert np.exp(said).sum(1) == pytest.approx(np.ones(50))
    assert np.exp(said[:, 3]).max() < 0.02
    only = logistic(table, np.zeros(50, dtype=np.int64), 3)(table)
    assert only[:, 0].min() > -0.1


@pytest.mark.parametrize("form", [form for form in OutputForm if form not in (OutputForm.UNKNOWN, OutputForm.NOTHING)])
def test_answers_in_every_form_are_undone_by_its_inverse(form: OutputForm) -> None:
    inverse: dict[OutputForm, Callable[[Tensor], Tensor]] = {
        OutputForm.CLASS_LOGITS: lambda o: o.softmax(1),
        OutputForm.CLASS_LOG_PROBABILITIES: lambda o: o.exp(),
        OutputForm.BINARY_LOGITS: lambda o: o.sigmoid(),
        OutputForm.LOG_RATES: lambda o: o.exp(),
    }
    answers = torch.randn(7, 3, generator=generator(), dtype=torch.float64).log_softmax(1)
    task = Task(Kind.CLASSES, 3, True, False, (9, 3), (9, 3), "", form, True)
    outputs = as_outputs(task, answers)
    assert outputs is not None
    assert torch.allclose(inverse.get(form, lambda o: o)(outputs), answers.exp(), atol=1e-5)
    assert as_outputs(Task(Kind.CLASSES, 3, True, False, (9, 5), (9, 3), "", form, True), answers) is None


def test_an_unknown_loss_still_has_errors() -> None:
    own = lambda o, t: (o - t).abs().pow(1.7).mean() + 0.01 * o.square().mean()  # noqa: E731
    setup = setup_of(affine(5, 1), own, line(300))
    assert Task.measure(setup).output_form is OutputForm.UNKNOWN
    reference = by_kind(setup)["linear"]
    assert reference.training_loss is None
    assert reference.held_out_standard_error is None
    assert reference.held_out_error is not None
    assert reference.held_out_error < 0.01


def test_padding_is_not_learned() -> None:
    tokens, targets = chains()
    targets = targets.clone()
    targets[:, 8:] = -100
    setup = setup_of(Bigrams, nn.CrossEntropyLoss(), (tokens, targets))
    found = by_kind(setup)
    assert found["linear"].held_out_loss is not None
    assert found["linear"].held_out_loss < 0.3


def test_several_inputs_dictionaries_doubles_and_rare_classes() -> None:
    first, labels = blobs(300)
    data = {"x": first[:, :3].double(), "ids": torch.randint(0, 5, (300, 4)), "labels": labels}
    data["labels"][:1] = 3

    class Both(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.head = nn.Linear(3, 6).double()

        def forward(self, x: Tensor, ids: Tensor) -> Tensor:
            return self.head(x)

    found = by_kind(setup_of(Both, nn.CrossEntropyLoss(), data))
    assert set(found) == {"linear", "boosting", "net"}
    assert found["net"].name == "multi-layer perceptron, small network of embeddings"
    assert all(one.held_out_loss is not None and one.held_out_loss < 1.2 for one in found.values())


def test_what_cannot_be_learned_says_why() -> None:
    setup = setup_of(affine(5, 1), nn.MSELoss(), line(9))
    with pytest.raises(NotMeasurable, match="10 training samples"):
        LinearReference.measure(prepared(setup), Task.measure(setup))
    last = setup_of(
        lambda: nn.Embedding(5, 5),
        lambda o, t: functional.cross_entropy(o.flatten(0, 1), t.flatten()),
        (torch.randint(0, 5, (60, 7)), torch.randint(0, 5, (60, 7))),
    )
    task = Task.measure(last)
    if task.per_position and task.output_shape[2:] != task.target_shape[1:]:
        with pytest.raises(NotMeasurable, match="positions"):
            Problem.of(prepared(last), task)


def test_references_gathers_what_there_is() -> None:
    examination = Examination(setup_of(affine(5, 6), nn.MSELoss(), line(300, 5, 6)))
    found = examination.get(References)
    assert not isinstance(found, Unmeasured)
    assert [one.kind for one in found.references] == ["linear", "net"]
    assert found.best.kind == "linear"
    assert "6 target columns" in found.missing[0]


def test_the_same_call_gives_the_same_answer_and_leaves_no_trace() -> None:
    setup = setup_of(affine(6, 4), nn.CrossEntropyLoss(), blobs(200))
    before, legacy = torch.random.get_rng_state(), np.random.get_state()[1].copy()
    threads = torch.get_num_threads()
    twice = [by_kind(setup) for _ in range(2)]
    for kind, reference in twice[0].items():
        again = twice[1][kind]
        assert (reference.training_loss, reference.held_out_loss) == (
            again.training_loss,
            again.held_out_loss,
        )
    ShuffledControl.measure(prepared(setup), Task.measure(setup))
    assert torch.equal(before, torch.random.get_rng_state())
    assert (np.random.get_state()[1] == legacy).all()
    assert torch.get_num_threads() == threads


def test_each_is_quick() -> None:
    setup = setup_of(affine(64, 10), nn.CrossEntropyLoss(), blobs(1500, 64, 10, spread=3.0))
    start = time.process_time()
    by_kind(setup)
    assert time.process_time() - start < 6.0  # about 1 s on an idle machine
