"""The training loss as a function of the weights: its value, its gradient, and products with its Hessian."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Final, final

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from torch.nn.attention import SDPBackend, sdpa_kernel

from unstuck.measure.curvature.trace import random_normal
from unstuck.measure.protocol import NotMeasurable
from unstuck.setup.randomness import trainable

Loss = Callable[[], Tensor]

FREE_BYTES: Final = 64 * 2**20
"""Memory that graphs may take on any machine, however small the step."""

RANDOM_SHARE: Final = 0.3
"""Of a start of Lanczos' method that is the gradient otherwise: enough for every direction to have its share."""


@final
@dataclass(frozen=True, slots=True)
class Gradient:
    """The gradient of the loss with its noise.

    Attributes:
        vector: Mean over the batches, shape `[P]`.
        noise: Standard error of that mean: the root of the expected square of its distance from the gradient on
            infinitely many samples; NaN for fewer than two batches.
    """

    vector: Tensor
    noise: float

    @property
    def norm(self) -> float:
        """Euclidean norm."""
        return float(self.vector.norm())


@final
class Surface:
    """A loss that is a weighted mean of the losses on chunks of the data, as a function of some parameters.

    A product with the Hessian is taken by double backward through a gradient graph that is kept from product to
    product: 1.5 to 2 gradients each. Chunks whose graphs do not fit into `memory` are computed anew at each product.

    Attributes:
        parameters: Trainable ones; a tied one counts once.
        weights: Share of each chunk in the loss.
        memory: Bytes that kept graphs may take together.
        products: Hessian products taken so far.
        kept: Chunks whose graphs are kept.
        bytes: Memory that they take.
    """

    def __init__(
        self,
        parameters: Sequence[nn.Parameter],
        losses: Sequence[Loss],
        weights: Sequence[float] | None = None,
        memory: float = FREE_BYTES,
    ) -> None:
        """Compute nothing yet.

        Args:
            parameters: Those of them that require a gradient count.
            losses: Each computes the loss on one chunk, a scalar with a graph.
            weights: Share of each chunk; equal where not given.
            memory: Bytes that kept graphs may take together.

        Raises:
            NotMeasurable: If no parameter is trainable.
        """
        self.parameters = tuple({id(p): p for p in parameters if p.requires_grad}.values())
        if not self.parameters or not losses:
            raise NotMeasurable("no parameter is trainable, so the loss is no function of any")
        total = sum(weights) if weights is not None else len(losses)
        self.weights = tuple(weight / total for weight in (weights if weights is not None else [1.0] * len(losses)))
        self.products = self.kept = self.bytes = 0
        self._losses, self.memory = tuple(losses), memory
        self._graphs: list[tuple[Tensor, ...]] | None = None

    @property
    def size(self) -> int:
        """Number of trainable parameters, P."""
        return sum(parameter.numel() for parameter in self.parameters)

    @property
    def like(self) -> Tensor:
        """A parameter, for dtype and device."""
        return self.parameters[0]

    def point(self) -> Tensor:
        """The weights, a copy of shape `[P]`."""
        return torch.cat([parameter.detach().reshape(-1) for parameter in self.parameters])

    @contextmanager
    def at(self, point: Tensor) -> Iterator[None]:
        """Move the weights to `point`, shape `[P]`, inside; put them back bit for bit."""
        before = [parameter.detach().clone() for parameter in self.parameters]
        try:
            self.move(point)
            yield
        finally:
            with torch.no_grad():
                for parameter, value in zip(self.parameters, before, strict=True):
                    parameter.copy_(value)
            self.forget()

    def move(self, point: Tensor) -> None:
        """Set the weights to `point`, shape `[P]`."""
        with torch.no_grad():
            for parameter, value in zip(self.parameters, self._split(point), strict=True):
                parameter.copy_(value)
        self.forget()

    def forget(self) -> None:
        """Let go of the kept graphs."""
        self._graphs, self.kept, self.bytes = None, 0, 0

    def loss(self) -> float:
        """The loss at the weights as they are."""
        with exact(), torch.no_grad():
            return sum(weight * float(loss()) for weight, loss in zip(self.weights, self._losses, strict=True))

    def loss_at(self, point: Tensor) -> float:
        """The loss at another point, shape `[P]`."""
        with self.at(point):
            return self.loss()

    def gradient(self) -> Gradient:
        """The gradient, and its noise from how it differs from chunk to chunk."""
        mean = torch.zeros(self.size, dtype=self.like.dtype, device=self.like.device)
        squares = []
        with exact():
            for weight, loss in zip(self.weights, self._losses, strict=True):
                part = self._join(self._slopes(loss(), create_graph=False))
                mean += weight * part
                squares.append((weight, float(part.double().square().sum())))
        if len(squares) < 2:
            return Gradient(mean, float("nan"))
        # Σ w² ‖g_i − ḡ‖², for equal weights the variance of the mean but for n / (n − 1).
        spread = sum(weight * square for weight, square in squares) - float(mean.double().square().sum())
        concentration = sum(weight**2 for weight in self.weights)
        return Gradient(mean, max(0.0, spread * concentration / (1.0 - concentration)) ** 0.5)

    def likely_start(self, seed: int) -> Tensor:
        """Where to begin the search for the ends of the spectrum: the gradient with a third of random numbers in it.

        The gradient of a network under training lies mostly within the steepest directions (G. Gur-Ari, D. Roberts,
        E. Dyer, "Gradient descent happens in a tiny subspace", 2018), which saves products. It comes with the graphs
        that products need anyway.

        Args:
            seed: Seeds the random part.

        Returns:
            A vector of shape `[P]`.
        """
        vector = random_normal(self.like, self.size, seed)
        self._require_graphs()
        assert self._graphs is not None
        mean = torch.zeros_like(vector)
        for weight, slopes in zip(self.weights, self._graphs, strict=False):
            mean.add_(self._join(slopes), alpha=weight)
        norm = float(mean.norm())
        return vector if not 0.0 < norm < math.inf else mean / norm + RANDOM_SHARE * vector / vector.norm()

    def show_gradient(self) -> None:
        """Put the gradient into the `grad` of the parameters, for an optimizer over them."""
        for parameter, part in zip(self.parameters, self._split(self.gradient().vector), strict=True):
            parameter.grad = part.clone()

    def product(self, vector: Tensor) -> Tensor:
        """The Hessian times `vector`, shape `[P]`."""
        self.products += 1
        parts = self._split(vector)
        self._require_graphs()
        assert self._graphs is not None
        curved = [self._curve(slopes, parts, keep=True) for slopes in self._graphs]
        if len(curved) < len(self._losses):
            with exact():
                for loss in self._losses[len(curved) :]:
                    curved.append(self._curve(self._slopes(loss(), create_graph=True), parts, keep=False))
        total = curved[0].mul_(self.weights[0]) if len(curved) > 1 else curved[0]
        for weight, part in zip(self.weights[1:], curved[1:], strict=True):
            total.add_(part, alpha=weight)
        return total

    def _require_graphs(self) -> None:
        """Keep the gradient graphs of as many chunks as fit into memory, unless they are kept already."""
        if self._graphs is not None:
            return
        self._graphs = []
        largest = 0
        with exact():
            for loss in self._losses:
                if self.bytes + largest > self.memory:
                    break
                with counted() as saved:
                    slopes = self._slopes(loss(), create_graph=True)
                largest = max(largest, saved[0])
                if self.bytes + largest > self.memory:
                    break
                self._graphs.append(slopes)
                self.bytes += saved[0]
        self.kept = len(self._graphs)

    def _slopes(self, loss: Tensor, *, create_graph: bool) -> tuple[Tensor, ...]:
        """The gradient on one chunk; zeros for parameters that the loss does not depend on."""
        if not loss.requires_grad:
            return tuple(torch.zeros_like(parameter) for parameter in self.parameters)
        found = torch.autograd.grad(loss, self.parameters, create_graph=create_graph, allow_unused=True)
        return tuple(torch.zeros_like(p) if g is None else g for p, g in zip(self.parameters, found, strict=True))

    def _curve(self, slopes: tuple[Tensor, ...], parts: list[Tensor], *, keep: bool) -> Tensor:
        curved = [(slope, part) for slope, part in zip(slopes, parts, strict=True) if slope.requires_grad]
        if not curved:  # the loss is linear in every parameter
            return torch.zeros(self.size, dtype=self.like.dtype, device=self.like.device)
        outputs, vectors = zip(*curved, strict=True)
        found = torch.autograd.grad(outputs, self.parameters, vectors, retain_graph=keep, allow_unused=True)
        return self._join(
            tuple(torch.zeros_like(p) if g is None else g for p, g in zip(self.parameters, found, strict=True))
        )

    def _join(self, parts: tuple[Tensor, ...]) -> Tensor:
        return torch.cat([part.detach().reshape(-1) for part in parts])

    def _split(self, vector: Tensor) -> list[Tensor]:
        sizes = [parameter.numel() for parameter in self.parameters]
        return [part.view_as(parameter) for part, parameter in zip(vector.split(sizes), self.parameters, strict=True)]


@contextmanager
def exact() -> Iterator[None]:
    """Choose kernels that can be differentiated twice: no fused attention, no cuDNN recurrence."""
    with ExitStack() as stack:
        stack.enter_context(trainable())
        stack.enter_context(sdpa_kernel(SDPBackend.MATH))
        stack.enter_context(torch.backends.cudnn.flags(enabled=False))
        yield


@contextmanager
def counted() -> Iterator[list[int]]:
    """Count the bytes of the tensors that autograd saves inside, each storage once."""
    seen: set[int] = set()
    total = [0]

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in seen:
            seen.add(storage.data_ptr())
            total[0] += storage.nbytes()
        return tensor

    with saved_tensors_hooks(pack, lambda tensor: tensor):
        yield total
