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

RARE: Final = 0.01
"""Share of those samples that begin beyond it."""


@final
class Cliff(nn.Module):
    """The identity up to an edge, and a wall of a given slope beyond (Pascanu et al. 2013)."""

    def __init__(self, slope: float) -> None:
        """Without an edge yet.

        Args:
            slope: Beyond the edge.
        """
        super().__init__()
        self.slope = slope
        self.register_buffer("edge", torch.tensor(float("inf")))
        self.edge: Tensor

    def forward(self, values: Tensor) -> Tensor:
        """Shape `[N, ...]` to the same."""
        return values + self.slope * (values - self.edge.to(values.dtype)).clamp_min(0.0)


def raise_cliff(setup: Setup, slope: float) -> Setup:
    """Put a wall into the loss surface that few samples are beyond: the fault of gradients that explode.

    It is put behind the first hidden affine or recurrent layer, its edge where one sample in a hundred passes it.

    Args:
        setup: What is trained.
        slope: Of the wall; the surface elsewhere stays as it is.

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
            seen.append(values.detach().float().flatten(1).amax(1))

        place = next(iter(model.parameters())).device
        handle = host.register_forward_hook(see)
        try:
            with torch.no_grad():
                setup.outputs(model, map_tensors(batch, lambda tensor: tensor.to(place)))
        finally:
            handle.remove()
        cliff = Cliff(slope)
        cliff.edge.fill_(float(seen[0].quantile(1.0 - RARE)))
        insert_behind(host, "cliff", cliff)
        return model

    edit = Edit(
        f"model: behind {name}", "nothing", f"a wall of slope {slope:g} that one sample in a hundred hits", apply
    )
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
