"""How the network is laid out: its layers in order, its last activation, what lies between them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

from unstuck.edits.structure import FinalActivation, Layer, read_structure
from unstuck.measure.preparation import Prepared


@final
@dataclass(frozen=True, slots=True)
class Layout:
    """The structure of the model as it runs.

    Attributes:
        layers: In order of execution; a module that runs twice is there twice.
        final_activation: None where the outputs are affine in the last layer.
        affine_pairs: (first, second): affine layers of which the second takes nothing but linear functions of
            such firsts.
    """

    cost: ClassVar[float] = 0.0

    layers: tuple[Layer, ...]
    final_activation: FinalActivation | None
    affine_pairs: tuple[tuple[str, str], ...]

    @classmethod
    def measure(cls, prepared: Prepared) -> Layout:
        """Run the model once on a few samples, and read the graph that autograd recorded."""
        read = read_structure(prepared.setup)
        return cls(read.layers, read.final_activation, read.affine_pairs)

    @property
    def last_operation(self) -> str:
        """The last activation in words: "softmax", "tanh"; "" where there is none."""
        last = self.final_activation
        if last is None:
            return ""
        name = last.function or last.operation
        return name.partition("Backward")[0].strip("_").lower()
