"""Units of a layer that compute the same: at the start, and after a few steps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Final, final

import torch
from torch import Tensor, nn

from unstuck.edits.structure import AFFINE
from unstuck.errors import UnstuckError
from unstuck.loop import fit
from unstuck.measure.preparation import Prepared
from unstuck.measure.protocol import NotMeasurable
from unstuck.setup import Setup
from unstuck.setup.randomness import isolated, one_thread

STEPS: Final = 5
"""Steps after which units that differ in their gradients have parted."""

APART: Final = 1e-3
"""Difference of two units' weights, as a share of how far they moved, below which they are still the same."""

ROUNDING: Final = 1e-5
"""The same as a share of their norm: what is left of float32 after a few sums."""

KINDS: Final = (*AFFINE, nn.RNNBase, nn.RNNCellBase)


@final
@dataclass(frozen=True, slots=True)
class Units:
    """How many hidden units are copies of another one.

    Attributes:
        layers: Names of the hidden layers with at least two units, in the order in which they run, shape `[L]`; empty
            where there are none.
        copies_at_start: Share of each layer's units whose weights equal another's before training, shape `[L]`.
        copies_after: Likewise after a few steps, shape `[L]`.
        steps: Number of those steps.
    """

    cost: ClassVar[float] = 0.1

    layers: tuple[str, ...]
    copies_at_start: tuple[float, ...]
    copies_after: tuple[float, ...]
    steps: int

    @classmethod
    def measure(cls, prepared: Prepared) -> Units:
        """Compare units before and after a few steps.

        Args:
            prepared: The set-up.

        Returns:
            The shares of copies.

        Raises:
            NotMeasurable: If the model cannot be run outside the user's own training step.
        """
        setup = prepared.setup
        with isolated(setup.seed), one_thread():
            fresh, _ = setup.build()
            names = _hidden(setup, fresh)
        start = {name: _rows(fresh.get_submodule(name)) for name in names}
        at_start = tuple(_copies(start[name], start[name], 0.0) for name in names)
        after = at_start
        if max(at_start, default=0.0) > 0.0:
            model = fit(setup, steps=STEPS, validate=False).model
            after = tuple(_copies(_rows(model.get_submodule(name)), start[name], APART) for name in names)
        return cls(names, at_start, after, STEPS)

    @property
    def worst(self) -> float:
        """Largest share of copies in a layer, both at the start and after the steps."""
        return max(map(min, self.copies_at_start, self.copies_after), default=0.0)


def _hidden(setup: Setup, model: nn.Module) -> tuple[str, ...]:
    """Layers with trainable weights in the order in which they run, but the last one."""
    order: dict[str, None] = {}

    def note(name: str) -> Callable[..., None]:
        return lambda *_: order.setdefault(name)

    handles = [
        module.register_forward_hook(note(name)) for name, module in model.named_modules() if isinstance(module, KINDS)
    ]
    try:
        with torch.no_grad():
            for batch in setup.train.head(2):
                setup.outputs(model.eval(), setup.placed(batch))
    except UnstuckError:
        raise
    except Exception as error:
        raise NotMeasurable("the model could not be run outside the user's own training step") from error
    finally:
        for handle in handles:
            handle.remove()
    return tuple(name for name in list(order)[:-1] if len(_rows(model.get_submodule(name))) > 1)


def _rows(layer: nn.Module) -> Tensor:
    """The weights of each unit, `[U, K]`, biases included; `[0, 0]` where they are frozen or not there."""
    held: list[Tensor] = [p.detach() for p in layer.parameters(False) if p.requires_grad and p.dim() > 0]
    if all(p.dim() < 2 for p in held):
        return torch.empty(0, 0)
    if isinstance(layer, nn.modules.conv._ConvTransposeNd):
        held = [p.transpose(0, 1) if p.dim() > 1 else p for p in held]
    units = next(len(p) for p in held if p.dim() > 1)
    parts = [p.reshape(units, -1).double().cpu() for p in held if len(p) == units]
    return torch.cat(parts, dim=1).clone()


def _copies(rows: Tensor, start: Tensor, apart: float) -> float:
    """Share of rows, but one of each kind, that lie within the tolerance of another."""
    if not torch.isfinite(rows).all():
        return 0.0
    moved = (rows - start).norm(dim=1).max()
    tolerance = max(apart * float(moved), ROUNDING * float(rows.norm(dim=1).max()) if apart else 0.0)
    left = torch.ones(len(rows), dtype=torch.bool)
    kinds = 0
    for index in range(len(rows)):
        if left[index]:
            kinds += 1
            left &= (rows - rows[index]).norm(dim=1) > tolerance
    return 1.0 - kinds / len(rows)
