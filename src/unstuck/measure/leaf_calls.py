"""What every layer took and gave in one pass in evaluation mode."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, final

from torch import Tensor, nn

from unstuck.edits.insertion import leaves
from unstuck.loop.evaluate import predict
from unstuck.setup import Batch, Setup
from unstuck.setup.batch import tensors


@final
@dataclass(frozen=True, slots=True, eq=False)
class LeafSeen:
    """One call of a leaf module, or the model as a whole.

    Attributes:
        name: Of the module; "" for the outputs of the model.
        taken: Copies of the tensors that it took; none for the outputs.
        made: Copies of those that it gave.
    """

    name: str
    taken: list[Tensor]
    made: list[Tensor]


def seen_calls(setup: Setup, model: nn.Module, batch: Batch) -> list[LeafSeen]:
    """What every leaf took and gave on a batch, in order, and what came out in the end as the last entry."""
    found: list[LeafSeen] = []
    with _noting(model, found):
        outputs = predict(setup, model, [batch])[0]
    return [*found, LeafSeen("", [], list(tensors(outputs)))]


@contextmanager
def _noting(model: nn.Module, found: list[LeafSeen]) -> Iterator[None]:
    def hook(name: str) -> Any:
        def note(module: nn.Module, args: Any, kwargs: Any, output: Any) -> None:
            taken = [tensor.clone() for tensor in tensors((args, kwargs))]
            found.append(LeafSeen(name, taken, [tensor.clone() for tensor in tensors(output)]))

        return note

    handles = [leaf.register_forward_hook(hook(name), with_kwargs=True) for name, leaf in leaves(model).items()]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
