"""Walking the graph that autograd recorded: what an output was computed from, and how."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from typing import Any, Final, final

from torch.autograd.graph import Node

VIEWS: Final = frozenset(
    "View UnsafeView Squeeze Unsqueeze ReshapeAlias Reshape Transpose T Permute Slice Select Expand Clone "
    "Alias AsStrided Unbind Split SplitWithSizes Chunk Narrow ToCopy Unfold Movedim NumpyT Mt Flatten "
    "Unflatten Flip Roll Repeat Copy CopySlices".split()
)
"""Families of nodes that only rearrange."""

BILINEAR: Final = frozenset(
    "Mul Div Mm Addmm Bmm Baddbmm Mv Addmv Dot Convolution MkldnnConvolution ConvolutionOverrideable "
    "CudnnConvolution Linear MkldnnLinear Addcmul".split()
)
"""Families that are linear as long as only one operand depends on the data."""

LINEAR: Final = (
    VIEWS
    | BILINEAR
    | frozenset(
        "Add Sub Rsub Neg Mean Sum Cumsum Cat Stack Index IndexSelect Gather AvgPool1D AvgPool2D AvgPool3D "
        "AdaptiveAvgPool2D AdaptiveAvgPool3D MkldnnAdaptiveAvgPool2D ConstantPadNd ReflectionPad1D "
        "ReflectionPad2D ReplicationPad1D ReplicationPad2D PixelShuffle PixelUnshuffle Im2Col Col2Im "
        "UpsampleNearest1D UpsampleNearest2D UpsampleBilinear2D UpsampleLinear1D NativeBatchNorm CudnnBatchNorm".split()
    )
)
"""Families that are linear in the data; batch-norm is, once its statistics are fixed."""

NORMS: Final = frozenset(
    "NativeBatchNorm CudnnBatchNorm NativeLayerNorm NativeGroupNorm FusedRmsNorm LinalgVectorNorm".split()
)
POOLS: Final = frozenset("MaxPool2DWithIndices MaxPool3DWithIndices AdaptiveMaxPool2D Max Amax".split())

ACTIVATIONS: Final = frozenset(
    "Relu LeakyRelu Gelu Silu Mish Elu Celu Sigmoid Tanh Hardtanh Hardswish Hardsigmoid Softplus LogSigmoid "
    "PreluKernel RreluWithNoise Threshold Softshrink Hardshrink Clamp ClampMin Glu".split()
)
"""Families of the activations of hidden layers."""

TABLES: Final = frozenset("Embedding EmbeddingBag Index IndexSelect Gather Take".split())
"""Families that look rows up by whole numbers: data even where only a parameter is seen behind them."""


def family(node: Node) -> str:
    """A node's name without "Backward0"."""
    return re.sub(r"Backward\d*$", "", node.name().rpartition("::")[2])


@final
class Graph:
    """The graph behind some outputs.

    Args:
        roots: The nodes of the outputs.
        inputs: `id` of each raw input that was marked as requiring a gradient.
    """

    def __init__(self, roots: Iterable[Node], inputs: frozenset[int]) -> None:
        self.inputs = inputs
        self.roots = tuple(roots)
        self.consumers: dict[Node, list[Node]] = defaultdict(list)
        self.order: list[Node] = []
        self._depends: dict[Node, bool] = {}
        self._visit()

    def _visit(self) -> None:
        """Every node once, parents before children."""
        seen: set[Node] = set()
        stack: list[tuple[Node, bool]] = [(node, False) for node in self.roots]
        while stack:
            node, done = stack.pop()
            if done:
                self.order.append(node)
                self._depends[node] = self._is_data(node)
                continue
            if node in seen:
                continue
            seen.add(node)
            stack.append((node, True))
            for parent in parents(node):
                self.consumers[parent].append(node)
                stack.append((parent, False))

    def _is_data(self, node: Node) -> bool:
        variable: Any = getattr(node, "variable", None)
        if variable is not None:
            return id(variable) in self.inputs
        kind = family(node)
        if kind in TABLES:
            return True
        known = [parent for parent, _ in node.next_functions]
        if not self.inputs and kind in BILINEAR and any(parent is None for parent in known):
            return True
        return any(self._depends.get(parent, False) for parent in known if parent is not None)

    def is_input(self, node: Node) -> bool:
        """Whether a node stands for a raw input."""
        return id(getattr(node, "variable", None)) in self.inputs

    def data_parents(self, node: Node) -> list[Node]:
        """The parents that depend on the data, not only on parameters."""
        return [parent for parent in parents(node) if self._depends.get(parent, False)]

    def is_linear(self, node: Node) -> bool:
        """Whether a node is linear in the data."""
        kind = family(node)
        if kind not in LINEAR:
            return False
        return kind not in BILINEAR or len(self.data_parents(node)) <= 1

    def final(self) -> Node | None:
        """The last operation of the first output but for views, shifts and constant factors."""
        node = next(iter(self.roots), None)
        while node is not None:
            kind, behind = family(node), self.data_parents(node)
            passing = kind in VIEWS or kind in {"Add", "Sub", "Rsub", "Mul", "Div", "Neg"}
            if not passing or len(behind) != 1:
                return node
            node = behind[0]
        return None


def parents(node: Node) -> list[Node]:
    """The nodes whose outputs a node took."""
    return [parent for parent, _ in node.next_functions if parent is not None]
