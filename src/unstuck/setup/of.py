"""`Setup.of`: from what users hold to a set-up, with every check that needs no training."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import numpy as np
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim import lr_scheduler as schedulers
from torch.utils.data import DataLoader, Dataset

from unstuck.errors import SetupError
from unstuck.setup.checks import (
    check_batches,
    check_captured,
    check_functions,
    check_loss_parameters,
    check_numbers,
    check_parameters,
    check_sources,
)
from unstuck.setup.data import Data
from unstuck.setup.loader import data_of
from unstuck.setup.model import ModelRecipe, copy_together, unwrapped
from unstuck.setup.optimizer import OptimizerRecipe, group_names
from unstuck.setup.private import Memo, private
from unstuck.setup.randomness import isolated, trainable
from unstuck.setup.record import Forward, Loss, SchedulerFactory, Setup, TrainStep

Array = Tensor | np.ndarray[Any, Any]
ModelSource = nn.Module | Callable[[], nn.Module]
OptimizerSource = Optimizer | Callable[[Iterable[nn.Parameter]], Optimizer]
DataSource = DataLoader[Any] | Dataset[Any] | tuple[Any, ...] | list[Any] | Data

STEPPED_PER_BATCH = (schedulers.OneCycleLR, schedulers.CyclicLR)


def setup_of(
    *,
    model: ModelSource,
    loss: Loss | None,
    optimizer: OptimizerSource,
    train: DataSource,
    validation: DataSource | None,
    test: DataSource | None,
    epochs: int,
    batch_size: int | None,
    scheduler: SchedulerFactory | None,
    schedule_every: str | None,
    forward: Forward | None,
    train_step: TrainStep | None,
    seed: int,
) -> Setup:
    """Check every argument, copy what is live, and make the set-up. Arguments as in `Setup.of`."""
    with trainable(), isolated(seed if _is_whole(seed) else 0):
        check_numbers(epochs, batch_size, seed, schedule_every)
        functions = {"loss": loss, "forward": forward, "train_step": train_step, "scheduler": scheduler}
        check_functions(functions)
        check_sources(model, optimizer)
        check_captured(functions, model, optimizer)
        memo: Memo = {}
        recipe, optimizer_recipe = _recipes(model, optimizer, memo)
        data = {"train": data_of("train", train, batch_size)}
        size = batch_size if batch_size is not None else data["train"].batch_size
        unlabelled = _without_labels(test, size)
        for name, source in (("validation", validation), ("test", test if unlabelled is None else None)):
            if source is not None:
                data[name] = data_of(name, source, size)
        for name, split in data.items():
            check_batches(name, split, has_loss=loss is not None, has_step=train_step is not None)
        setup = Setup(
            model=recipe,
            loss=private(loss, memo),
            optimizer=optimizer_recipe,
            train=data["train"],
            validation=data.get("validation"),
            test=data.get("test"),
            unlabelled=unlabelled,
            epochs=int(epochs),
            scheduler=private(scheduler, memo),
            forward=private(forward, memo),
            train_step=private(train_step, memo),
            seed=int(seed),
        )
        memo = {}
        built, live_optimizer = recipe.make(memo)
        parameters = check_parameters(built)
        made = optimizer_recipe.make(built, live_optimizer, memo)
        check_loss_parameters(built, loss, made)
        every = _schedule_unit(private(setup.scheduler, memo), made, schedule_every)
    return replace(
        setup,
        schedule_every=every,
        device=parameters[0].device,
        described={"loss": name_of(loss), "optimizer": type(made).__name__},
    )


def _without_labels(test: object, batch_size: int) -> Data | None:
    """Test inputs given as `(inputs, …, None)`; None where there are labels, or no test data."""
    if not (isinstance(test, tuple) and len(test) >= 2 and test[-1] is None and test[0] is not None):
        return None
    count = len(test[0]) if hasattr(test[0], "__len__") else 0
    return data_of("test", (*test[:-1], np.zeros(count)), batch_size).mapped(lambda batch: (*batch[:-1], None))


def name_of(loss: object) -> str:
    """How a loss is called in a report."""
    if loss is None:
        return "inside train_step"
    if isinstance(loss, nn.Module):
        return repr(loss) if not list(loss.children()) else type(loss).__name__
    return str(getattr(loss, "__name__", type(loss).__name__))


def _is_whole(seed: object) -> bool:
    return isinstance(seed, int) and 0 <= seed < 2**63


def _recipes(model: Any, optimizer: Any, memo: Memo) -> tuple[ModelRecipe, OptimizerRecipe]:
    if not isinstance(model, nn.Module):
        return ModelRecipe(private(model, memo)), OptimizerRecipe(private(optimizer, memo))
    live = unwrapped(model)
    if not isinstance(optimizer, Optimizer):
        model_copy, _ = copy_together(live, None, memo)
        return ModelRecipe(None, model_copy), OptimizerRecipe(private(optimizer, memo))
    model_copy, optimizer_copy = copy_together(live, optimizer, memo)
    assert optimizer_copy is not None  # it was given
    names = group_names(model_copy, optimizer_copy)
    trained = {name for name, parameter in model_copy.named_parameters() if parameter.requires_grad}
    covers_all = trained <= {name for group in names for name in group}
    return ModelRecipe(None, model_copy, optimizer_copy), OptimizerRecipe(None, names, covers_all)


def _schedule_unit(scheduler: SchedulerFactory | None, optimizer: Optimizer, asked: str | None) -> str:
    if scheduler is None:
        return asked or "epoch"
    try:
        made = scheduler(optimizer)
    except Exception as error:
        raise SetupError(
            "`scheduler` must be a function optimizer -> LRScheduler",
            f"one that raised {type(error).__name__}: {' '.join(str(error).split())[:120]}",
            "Pass `lambda optimizer: StepLR(optimizer, 10)`, say.",
        ) from error
    if not callable(getattr(made, "step", None)) or isinstance(made, (Optimizer, type)):
        raise SetupError(
            "`scheduler` must return an object with a step() method that sets the rate",
            "None" if made is None else type(made).__name__,
            "Pass `lambda optimizer: StepLR(optimizer, 10)`, say.",
        )
    if isinstance(made, schedulers.ReduceLROnPlateau):
        return "plateau"
    return asked or ("step" if isinstance(made, STEPPED_PER_BATCH) else "epoch")
