"""Whether the answer to one sample depends on the other samples of its batch, and where that begins.

One sample at a time is replaced by another, in evaluation mode, and the outputs of the others are looked at. That
needs no gradient, so that it works for whole-number inputs as well.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final, final

import torch
from torch import Tensor, nn

from unstuck.measure.leaf_calls import LeafSeen, seen_calls
from unstuck.measure.preparation import Prepared
from unstuck.measure.protocol import NotMeasurable
from unstuck.setup import Batch
from unstuck.setup.batch import map_tensors, tensors
from unstuck.setup.data import gather
from unstuck.setup.randomness import isolated, one_thread

SAMPLES: Final = 13
"""Samples in the batch: a prime, so that no other dimension is mistaken for that of the samples."""

REPLACED: Final = (0, 5, 12)
"""Places of the samples that are replaced: the first and the last too, as what looks one way only would miss one."""

ROUNDING: Final = 1e-4
"""Changes below this share of the largest are taken for rounding of float32 sums in another order."""


@final
@dataclass(frozen=True, slots=True)
class SampleMixing:
    """What one sample does to the outputs of the others.

    Attributes:
        mixing: Share of the change in all outputs, when one sample is replaced, that lands on other samples; 0 where
            every sample is answered by itself.
        module: The first module whose outputs mix the samples though what it takes does not, or before which they are
            mixed; "" where none was seen.
        inside: Whether the mixing happens inside that module, not on the way to it.
        kind: Class of that module, such as "LSTM".
        batch_norm: Whether it normalises by the batch's own statistics on purpose.
    """

    cost: ClassVar[float] = 0.0

    mixing: float
    module: str
    inside: bool
    kind: str
    batch_norm: bool

    @classmethod
    def measure(cls, prepared: Prepared) -> SampleMixing:
        """Replace some samples, one at a time.

        Args:
            prepared: The set-up.

        Returns:
            The measurement.

        Raises:
            NotMeasurable: If there are too few samples, or the outputs are no tensor `[N, …]`.
        """
        setup = prepared.setup
        with isolated(setup.seed), one_thread():
            own, model, _ = setup.fresh()
            batch = own.placed(gather(own.train.head(SAMPLES)))
            batch = map_tensors(batch, lambda tensor: tensor[:SAMPLES] if tensor.dim() else tensor)
            if any(tensor.dim() and len(tensor) != SAMPLES for tensor in tensors(batch)):
                raise NotMeasurable(f"fewer than {SAMPLES} samples could be put into one batch")
            before = seen_calls(own, model, batch)
            runs = [(place, seen_calls(own, model, _replaced(batch, place))) for place in REPLACED]
        outputs = _share([(place, before[-1].made, seen[-1].made) for place, seen in runs])
        if outputs is None:
            raise NotMeasurable("the outputs must be tensors `[N, …]`")
        if outputs <= ROUNDING:
            return cls(outputs, "", False, "", False)
        name, inside = _first(before, runs)
        module = model.get_submodule(name) if name is not None else None
        is_norm = isinstance(module, nn.modules.batchnorm._BatchNorm)
        return cls(outputs, name or "", inside, "" if module is None else type(module).__name__, is_norm and inside)


def _replaced(batch: Batch, place: int) -> Batch:
    """The batch with the sample at a place replaced by the one half a batch away."""

    def change(tensor: Tensor) -> Tensor:
        if not tensor.dim():
            return tensor
        changed = tensor.clone()
        changed[place] = tensor[(place + SAMPLES // 2) % SAMPLES]
        return changed

    return map_tensors(batch, change)


def _share(pairs: list[tuple[int, list[Tensor], list[Tensor]]]) -> float | None:
    """The largest share of what replacing one sample changes that lands on others; None where none can be told."""
    shares = []
    for place, before, after in pairs:
        for old, new in zip(before, after, strict=False):
            rows = _rows(old), _rows(new)
            if rows[0] is None or rows[1] is None or rows[0].shape != rows[1].shape:
                continue
            moved = (rows[1] - rows[0]).abs().nan_to_num().sum(1)
            others = torch.cat([moved[:place], moved[place + 1 :]]).sum()
            scale = float(rows[0].abs().nan_to_num().sum())
            whole = float(moved.sum())
            shares.append(float(others) / whole if whole > ROUNDING * scale / SAMPLES else 0.0)
    return max(shares, default=None)


def _rows(tensor: Tensor) -> Tensor | None:
    """One row a sample, float64: along the first axis, folded with positions or not, or the second; else None."""
    if not tensor.dim() or not tensor.numel():
        return None
    if len(tensor) % SAMPLES == 0:
        return tensor.double().reshape(SAMPLES, -1)
    if tensor.dim() > 1 and tensor.shape[1] == SAMPLES:  # time steps first
        return tensor.double().transpose(0, 1).reshape(SAMPLES, -1)
    return None


def _first(before: list[LeafSeen], runs: list[tuple[int, list[LeafSeen]]]) -> tuple[str | None, bool]:
    """The first module that mixes, and whether inside it or on the way to it."""
    for number, seen in enumerate(before[:-1]):
        others = [(place, after[number]) for place, after in runs if number < len(after)]
        taken = _share([(place, seen.taken, other.taken) for place, other in others])
        if taken is not None and taken > ROUNDING:
            return seen.name, False
        made = _share([(place, seen.made, other.made) for place, other in others])
        if made is not None and made > ROUNDING:
            return seen.name, True
    return None, False
