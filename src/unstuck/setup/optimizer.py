"""How to make the optimizer of a set-up for a freshly made model."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any, final

from torch import nn
from torch.nn import Parameter
from torch.optim import Optimizer

from unstuck.errors import ExaminationError, SetupError
from unstuck.setup.advice import advice
from unstuck.setup.private import Memo, private
from unstuck.setup.source import user_line

OptimizerFactory = Callable[[Iterable[Parameter]], Optimizer]


@final
@dataclass(frozen=True, slots=True, eq=False)
class OptimizerRecipe:
    """Makes the optimizer.

    Attributes:
        factory: `parameters -> Optimizer`, or None where the user gave a live one.
        groups: For a live one, the parameter names of each group, shape `[G][P]`.
        covers_all: Whether the live one holds every trainable parameter; parameters that a remedy adds then
            join its first group.
        settings: Values written into every group after building, such as `{"weight_decay": 0.01}`.
        rate_factor: Multiplies the rate of every group, whatever a scheduler sets it to.
        adopts: Whether trainable parameters of the model that no group holds join the first group.
        largest_norm: Norm at which the whole gradient is clipped before each step, or None.
    """

    factory: OptimizerFactory | None
    groups: tuple[tuple[str, ...], ...] = ()
    covers_all: bool = True
    settings: tuple[tuple[str, Any], ...] = ()
    rate_factor: float = 1.0
    adopts: bool = False
    largest_norm: float | None = None

    def with_rate_times(self, factor: float) -> OptimizerRecipe:
        """The same recipe at another rate."""
        return replace(self, rate_factor=self.rate_factor * factor)

    def with_setting(self, name: str, value: Any) -> OptimizerRecipe:
        """The same recipe with a setting of all groups changed."""
        kept = tuple(pair for pair in self.settings if pair[0] != name)
        return replace(self, settings=(*kept, (name, value)))

    def make(self, model: nn.Module, live: Optimizer | None, memo: Memo | None = None) -> Optimizer:
        """Make the optimizer over `model`'s parameters.

        Args:
            model: A fresh model.
            live: The copy of the live optimizer that was made together with it, if any.
            memo: Copies that were made together with the model, so that a factory that names the user's live model
                means this one.

        Returns:
            The optimizer, with settings and rate factor applied.

        Raises:
            ExaminationError: If the factory raises.
            SetupError: If it makes no optimizer.
        """
        if live is not None and self.factory is None:
            optimizer = live
            self._rebind(optimizer, model)
        else:
            assert self.factory is not None  # one of the two is always given
            try:
                optimizer = private(self.factory, {} if memo is None else memo)(list(model.parameters()))
            except Exception as error:
                raise ExaminationError("optimizer", error, user_line(error), advice("optimizer", error)) from error
            if not isinstance(optimizer, Optimizer):
                raise SetupError(
                    "The factory `optimizer` must return a torch.optim.Optimizer",
                    type(optimizer).__name__,
                    "Return the optimizer that it builds.",
                )
        if self.adopts:
            adopt(model, optimizer)
        for name, value in self.settings:
            for group in optimizer.param_groups:
                if name in group:
                    group[name] = value
        if self.largest_norm is not None:
            clip_gradient(optimizer, self.largest_norm)
        if self.rate_factor != 1.0:
            scale_rate(optimizer, self.rate_factor)
        return optimizer

    def _rebind(self, optimizer: Optimizer, model: nn.Module) -> None:
        """Point the groups at the parameters that edits have replaced or added."""
        present = dict(model.named_parameters())
        held: set[str] = set()
        for group, names in zip(optimizer.param_groups, self.groups, strict=True):
            for position, name in enumerate(names):
                if name in present:
                    held.add(name)
                    if group["params"][position] is not present[name]:
                        optimizer.state.pop(group["params"][position], None)
                        group["params"][position] = present[name]
        if self.covers_all:
            known = {id(parameter) for group in optimizer.param_groups for parameter in group["params"]}
            added = [p for name, p in present.items() if name not in held and id(p) not in known]
            optimizer.param_groups[0]["params"].extend(added)


def adopt(model: nn.Module, optimizer: Optimizer) -> None:
    """Add the trainable parameters of a model that an optimizer does not hold to its first group."""
    known = {id(parameter) for group in optimizer.param_groups for parameter in group["params"]}
    missing = [each for each in model.parameters() if each.requires_grad and id(each) not in known]
    optimizer.param_groups[0]["params"].extend(missing)


def scale_rate(optimizer: Optimizer, factor: float) -> None:
    """Make every step run at `factor` times the rate that the groups show.

    The groups keep showing the unscaled rate between steps, so that a scheduler, which may compute from it or
    overwrite it, works as before. `factor` products of several calls multiply.

    Args:
        optimizer: Changed in place.
        factor: Multiplies the rate.
    """
    shown: list[Any] = []

    def before(optimizer: Optimizer, *_: Any) -> None:
        shown[:] = [group.get("lr") for group in optimizer.param_groups]
        for group, rate in zip(optimizer.param_groups, shown, strict=True):
            if rate is not None:
                group["lr"] = rate * factor

    def after(optimizer: Optimizer, *_: Any) -> None:
        for group, rate in zip(optimizer.param_groups, shown, strict=True):
            if rate is not None:
                group["lr"] = rate

    optimizer.register_step_pre_hook(before)
    optimizer.register_step_post_hook(after)


def clip_gradient(optimizer: Optimizer, largest: float) -> None:
    """Clip the norm of the whole gradient before each step (Pascanu et al. 2013).

    Args:
        optimizer: Changed in place.
        largest: Norm that is left as it is.
    """

    def before(optimizer: Optimizer, *_: Any) -> None:
        nn.utils.clip_grad_norm_([each for group in optimizer.param_groups for each in group["params"]], largest)

    optimizer.register_step_pre_hook(before)


def group_names(model: nn.Module, optimizer: Optimizer) -> tuple[tuple[str, ...], ...]:
    """The parameter names of each group, "" for a tensor that is no parameter of `model`."""
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    return tuple(
        tuple(names.get(id(parameter), "") for parameter in group["params"]) for group in optimizer.param_groups
    )
