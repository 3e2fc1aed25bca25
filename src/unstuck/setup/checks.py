"""The checks of `Setup.of` that need no training: each refuses in one sentence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
from torch import nn
from torch.nn.parameter import is_lazy
from torch.optim import Optimizer

from unstuck.errors import SetupError
from unstuck.setup.batch import split_batch
from unstuck.setup.data import Data, StackedData
from unstuck.setup.model import unwrapped
from unstuck.setup.private import captured

_CALLABLES: Final = {
    "loss": ("a callable (outputs, targets) -> scalar", "Pass nn.CrossEntropyLoss(), say."),
    "forward": ("a function (model, batch) -> outputs", "Pass `lambda model, batch: model(batch[0])`, say."),
    "train_step": ("a function (model, optimizer, batch) -> loss", "Write one that ends with `return loss`."),
    "scheduler": (
        "a function optimizer -> LRScheduler",
        "Pass `lambda optimizer: StepLR(optimizer, 10)`, say.",
    ),
}


def check_numbers(epochs: object, batch_size: object, seed: object, schedule_every: object) -> None:
    """Check the plain arguments.

    Raises:
        SetupError: If one is not what it must be.
    """
    _check_whole("epochs", epochs, "Set the number of passes over the training data.")
    if batch_size is not None:
        _check_whole("batch_size", batch_size, "Set the number of samples per batch.")
    whole = isinstance(seed, (int, np.integer)) and not isinstance(seed, bool)
    if not whole or not 0 <= seed < 2**63:  # type: ignore[operator]
        raise SetupError("`seed` must be a whole number from 0", repr(seed), "Pass seed=0.")
    if schedule_every not in (None, "step", "epoch", "plateau"):
        raise SetupError(
            "`schedule_every` must be 'step' or 'epoch'", repr(schedule_every), "Leave it out, or name one."
        )


def check_count(name: str, value: object) -> int | None:
    """A count that may be left out.

    Args:
        name: Of the argument.
        value: As given.

    Returns:
        It, or None.

    Raises:
        SetupError: If it is no whole number of at least 1.
    """
    if value is None:
        return None
    _check_whole(name, value, "Leave it out where it is not known.")
    return int(value)  # type: ignore[call-overload,no-any-return]


def _check_whole(name: str, value: object, advice: str) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
        raise SetupError(f"`{name}` must be a whole number of at least 1", repr(value)[:80], advice)


def check_functions(functions: Mapping[str, object]) -> None:
    """Check loss, forward, train_step and scheduler.

    Raises:
        SetupError: If one cannot be called, or is a class that makes what is called.
    """
    if functions["loss"] is None and functions["train_step"] is None:
        must, do = _CALLABLES["loss"]
        raise SetupError(f"`loss` must be {must}", "None", do)
    for name, value in functions.items():
        must, do = _CALLABLES[name]
        if value is not None and not callable(value):
            raise SetupError(f"`{name}` must be {must}", type(value).__name__, do)
        if isinstance(value, type) and name != "scheduler":
            raise SetupError(f"`{name}` must be {must}", f"the class {value.__name__}", f"Pass `{value.__name__}()`.")


def check_sources(model: object, optimizer: object) -> None:
    """Check that model and optimizer are live objects or factories, and fit each other.

    Raises:
        SetupError: If they do not.
    """
    if not (isinstance(model, nn.Module) or callable(model)):
        kind = "None" if model is None else type(model).__name__
        raise SetupError(
            "`model` must be a torch.nn.Module or a function that builds one", kind, "Pass the network itself."
        )
    if isinstance(optimizer, nn.Module) or not (isinstance(optimizer, Optimizer) or callable(optimizer)):
        raise SetupError(
            "`optimizer` must be a torch.optim.Optimizer or a function parameters -> Optimizer",
            "None" if optimizer is None else type(optimizer).__name__,
            "Pass torch.optim.Adam(model.parameters()), say.",
        )
    if isinstance(optimizer, Optimizer) and not isinstance(model, nn.Module):
        raise SetupError(
            "A model factory must come with an optimizer factory",
            f"a live {type(optimizer).__name__} over other parameters",
            "Pass `optimizer=lambda parameters: torch.optim.Adam(parameters)`.",
        )
    if isinstance(model, nn.Module):
        check_materialised(model)


def check_materialised(model: nn.Module) -> None:
    """Check that every parameter holds numbers.

    Raises:
        SetupError: If one is lazy, or is on the meta device.
    """
    for name, parameter in model.named_parameters():
        if is_lazy(parameter) or parameter.device.type == "meta":
            kind = "a lazy one that has no shape yet" if is_lazy(parameter) else "one on the meta device"
            raise SetupError(
                f"Parameter `{name}` of `model` must hold numbers",
                kind,
                "Run the model on one batch before, inside the factory where there is one.",
            )


def check_captured(functions: Mapping[str, object], model: object, optimizer: object) -> None:
    """Check that what is called with a model does not name the user's live model instead.

    A scheduler or a factory that does is given the run's own copy; but a loss, a forward function or a train step
    would use weights that no run trains, and move the user's.

    Raises:
        SetupError: If one does.
    """
    advice = {
        "loss": "Move what needs the model into `train_step`, or use the optimizer's weight_decay.",
        "forward": "Use its first argument.",
        "train_step": "Use its first two arguments.",
    }
    live = [unwrapped(model)] if isinstance(model, nn.Module) else []
    for name, do in advice.items():
        for value in captured(functions[name]):
            inner = unwrapped(value) if isinstance(value, nn.Module) else value
            if any(inner is each for each in live) or (isinstance(value, Optimizer) and value is optimizer):
                raise SetupError(
                    f"`{name}` must work on the model and optimizer that it is given",
                    f"one that names the live {type(inner).__name__} itself",
                    do,
                )


def check_parameters(model: nn.Module) -> list[nn.Parameter]:
    """Check that there is something to train.

    Args:
        model: As made for a run.

    Returns:
        The trainable parameters.

    Raises:
        SetupError: If there are none, or if one holds no numbers.
    """
    check_materialised(model)
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    if not parameters:
        every = sum(1 for _ in model.parameters())
        got = f"{every}, none with requires_grad=True" if every else "none at all"
        do = "Unfreeze the layers that are to be trained." if every else "Pass the network that is to be trained."
        raise SetupError("`model` must have at least one trainable parameter", got, do)
    return parameters


def check_loss_parameters(model: nn.Module, loss: object, optimizer: Optimizer) -> None:
    """Check that the optimizer trains no parameters of the loss, which no model that comes out would hold.

    Args:
        model: As made for a run.
        loss: The user's own.
        optimizer: As made for a run.

    Raises:
        SetupError: If it does.
    """
    if not isinstance(loss, nn.Module):
        return
    shapes = [parameter.shape for parameter in loss.parameters() if parameter.requires_grad]
    held = {id(parameter) for parameter in model.parameters()}
    others = [each.shape for group in optimizer.param_groups for each in group["params"] if id(each) not in held]
    if shapes and all(shape in others for shape in shapes):
        raise SetupError(
            "Parameters that the optimizer trains must belong to the model",
            f"{len(shapes)} of the loss {type(loss).__name__}",
            "Make the loss a part of the model, and compute it in `train_step`.",
        )


def check_batches(name: str, data: Data, *, has_loss: bool, has_step: bool) -> None:
    """Check that batches hold targets where a loss needs them.

    Args:
        name: The split, for messages.
        data: The split.
        has_loss: Whether there is a loss outside `train_step`.
        has_step: Whether there is a `train_step`.

    Raises:
        SetupError: If not.
    """
    batches = [data.samples] if isinstance(data, StackedData) else data.head(data.batch_size)
    if has_loss and batches:
        try:
            split_batch(batches[0])
        except SetupError as error:
            if not has_step:
                raise
            raise SetupError(
                "A batch must be (inputs, targets) where `loss` is given",
                f"one of type {type(batches[0]).__name__}",
                "Leave out `loss`: `train_step` holds it.",
            ) from error
