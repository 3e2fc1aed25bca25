from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from tests.edits import patients
from unstuck.edits.guarding import GUARDED, Guard, guarded, in_single_precision, spellings, with_sound_eps
from unstuck.errors import RemedyError
from unstuck.gauge import loss_compares
from unstuck.loop import fit

BREAKING: dict[str, tuple[Callable[[Tensor], Tensor], list[float]]] = {
    "log": (torch.log, [0.0, 1.0]),
    "log1p": (torch.log1p, [-1.0, 1.0]),
    "sqrt": (torch.sqrt, [0.0, 4.0]),
    "rsqrt": (torch.rsqrt, [0.0, 4.0]),
    "reciprocal": (torch.reciprocal, [0.0, -2.0]),
    "quotient": (lambda x: 3.0 / x, [0.0, 2.0]),
    "ratio": (lambda x: x / x, [0.0, 2.0]),
    "root": (lambda x: x**0.3, [0.0, 2.0]),
    "root of what is negative": (lambda x: x**1.5, [-1.0, 2.0]),
    "inverse square": (lambda x: x**-2, [0.0, 2.0]),
    "acos": (torch.acos, [1.0, 0.3]),
    "atanh": (torch.atanh, [-1.0, 0.3]),
    "exp": (torch.exp, [1e4, 0.3]),
    "softmax": (lambda x: torch.where(x > 5.0, x, -torch.inf).softmax(0), [0.0, 1.0]),
}


@pytest.mark.parametrize("name", BREAKING)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_value_and_gradient_become_finite_and_others_stay(name: str, dtype: torch.dtype) -> None:
    function, values = BREAKING[name]

    def outcome(*, guard: bool, part: slice = slice(None)) -> tuple[Tensor, Tensor]:
        inputs = torch.tensor(values[part], dtype=dtype, requires_grad=True)
        if guard:
            with Guard(GUARDED).mode():
                result = function(inputs)
        else:
            result = function(inputs)
        (gradient,) = torch.autograd.grad(result.sum(), inputs)
        return result.detach(), gradient

    broken, cured = outcome(guard=False), outcome(guard=True)
    assert not all(bool(torch.isfinite(part).all()) for part in broken)
    assert all(bool(torch.isfinite(part).all()) for part in cured)
    if name != "softmax":
        fine = outcome(guard=False, part=slice(1, 2)), outcome(guard=True, part=slice(1, 2))
        assert all(torch.equal(before, after) for before, after in zip(*fine, strict=True))


def test_operations_are_known_by_all_their_spellings() -> None:
    assert spellings("div") >= {"div", "__rdiv__", "true_divide"}
    assert spellings("log") == {"log"}
    assert spellings("conv2d") == frozenset()


def test_a_guarded_setup_trains_as_before_where_nothing_breaks() -> None:
    for make in (patients.plain, patients.transformer, patients.functional_net):
        setup = make()
        assert fit(guarded(setup, GUARDED)).losses == fit(setup).losses
    with pytest.raises(RemedyError, match="no bounds"):
        guarded(patients.plain(), frozenset())


def test_a_guarded_loss_is_compared_with_the_given_one() -> None:
    """It is the same number wherever that is one."""
    setup = patients.plain()
    assert loss_compares(setup, [guarded(setup, GUARDED)])


def test_half_precision_becomes_single() -> None:
    setup = patients.classes_setup(lambda: patients.perceptron().half(), patients.vectors().half())
    edited = in_single_precision(setup)
    assert {parameter.dtype for parameter in edited.build()[0].parameters()} == {torch.float32}
    assert len(fit(edited).losses) == 4
    with pytest.raises(RemedyError, match="full precision"):
        in_single_precision(patients.plain())


def test_eps_is_made_sound() -> None:
    def without(parameters: object) -> torch.optim.Optimizer:
        return torch.optim.Adam(parameters, 1e-2, eps=0.0)  # type: ignore[arg-type]

    edited = with_sound_eps(patients.classes_setup(patients.perceptron, patients.vectors(), optimizer=without))
    assert edited.build()[1].param_groups[0]["eps"] == 1e-8
    with pytest.raises(RemedyError, match="nothing that could be zero"):
        with_sound_eps(patients.plain())
    sgd = patients.classes_setup(patients.perceptron, patients.vectors(), optimizer=_sgd)
    with pytest.raises(RemedyError, match="no `eps`"):
        with_sound_eps(sgd)


def _sgd(parameters: object) -> torch.optim.Optimizer:
    return torch.optim.SGD(parameters, 1e-2)  # type: ignore[arg-type]
