"""Clipping the gradient, and (a fault) cliffs that make it explode."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final, final

import torch
from torch import Tensor, nn

from unstuck.edits.initialisation import REFUSAL
from unstuck.edits.insertion import insert_behind
from unstuck.edits.passes import sample, with_checked_edit
from unstuck.edits.structure import AFFINE, RECURRENT
from unstuck.edits.tracing import trace
from unstuck.errors import RemedyError
from unstuck.setup import Edit, Setup
from unstuck.setup.batch import map_tensors

SAMPLES: Final = 256
"""Training samples on which a cliff is placed."""

RARE: Final = 0.003
"""Share of those samples that begin beyond the edge."""

LOW: Final = 0.1
"""Height of the walls, in standard deviations: so low that what comes through is hardly changed."""


@final
class Cliffs(nn.Module):
    """The identity up to an edge, and low but steep walls beyond: the gradient there is large and leads nowhere."""

    def __init__(self, slope: float) -> None:
        """Without an edge yet.

        Args:
            slope: Of the walls.
        """
        super().__init__()
        self.slope = slope
        self.register_buffer("edge", torch.tensor(float("inf")))
        self.register_buffer("height", torch.tensor(1.0))
        self.edge: Tensor
        self.height: Tensor

    def forward(self, values: Tensor) -> Tensor:
        """Shape `[N, ...]` to the same."""
        edge, height = self.edge.to(values.dtype), self.height.to(values.dtype)
        return values + height * torch.sin((values - edge).clamp_min(0.0) * (self.slope / height))


def raise_cliffs(setup: Setup, slope: float) -> Setup:
    """Put steep walls into the loss surface that few samples meet: the fault of gradients that explode.

    They are put behind the first hidden affine or recurrent layer, where few samples have a unit beyond their edge.

    Args:
        setup: What is trained.
        slope: Of the walls; the surface elsewhere stays as it is.

    Returns:
        The changed set-up.

    Raises:
        RemedyError: If there is no hidden layer.
    """
    calls = [call for call in trace(setup).calls if isinstance(call.module, (*AFFINE, *RECURRENT))]
    if len({call.name for call in calls}) < 2:
        raise RemedyError("it has no hidden layer behind which the surface could be made steep")
    name, batch = calls[0].name, sample(setup, SAMPLES)

    def apply(model: nn.Module) -> nn.Module:
        host = model.get_submodule(name)
        seen: list[Tensor] = []

        def see(module: nn.Module, inputs: Any, output: Any) -> None:
            values = output[0] if isinstance(output, tuple) else output
            seen.append(values.detach().float().flatten(1))

        place = next(iter(model.parameters())).device
        handle = host.register_forward_hook(see)
        try:
            with torch.no_grad():
                setup.outputs(model, map_tensors(batch, lambda tensor: tensor.to(place)))
        finally:
            handle.remove()
        cliffs = Cliffs(slope)
        cliffs.edge.fill_(float(seen[0].amax(1).quantile(1.0 - RARE)))
        cliffs.height.fill_(LOW * float(seen[0].std()))
        insert_behind(host, "cliffs", cliffs)
        return model

    edit = Edit(f"model: behind {name}", "nothing", f"walls of slope {slope:g} that few samples meet", apply)
    return with_checked_edit(setup, edit, REFUSAL)


def clip_gradients(setup: Setup, largest: float) -> Setup:
    """Clip the norm of the whole gradient before each step.

    Args:
        setup: What is trained.
        largest: Norm that is left as it is.

    Returns:
        The changed set-up.

    Raises:
        RemedyError: If the limit is no positive number.
    """
    if not 0.0 < largest < float("inf"):
        raise RemedyError(f"a gradient can be clipped at a positive norm only, not at {largest}")
    described = {**setup.described, "gradient_clipping": f"at norm {largest:.3g}"}
    return replace(setup, optimizer=replace(setup.optimizer, largest_norm=largest), described=described)
