"""Where a number that is NaN or infinite came from: every operation of one training step, looked at as it runs.

A `TorchDispatchMode` sees the operations of the forward pass, of the loss, of the backward pass and of the optimizer
alike. What an operation makes of finite numbers begins with it; what comes of numbers that were no longer finite is
followed to where those began. So an attention mask's minus infinity, or a NaN that `torch.where` leaves out, accuses
nobody: only what reaches the loss or the weights counts.
"""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, final

import torch
from torch import Tensor, nn
from torch.autograd.graph import Node
from torch.optim import Optimizer
from torch.utils._python_dispatch import TorchDispatchMode

from unstuck.edits.graph import family
from unstuck.setup.batch import tensors
from unstuck.setup.source import is_user_file

UNWRITTEN: Final = frozenset(
    "empty empty_like empty_strided new_empty new_empty_strided empty_permuted resize_".split()
)
"""Operations that give memory as it lies, whatever was there before."""

MASKS: Final = frozenset("masked_fill masked_fill_ full full_like new_full fill fill_ scalar_tensor where".split())
"""Operations by which infinities are put in on purpose."""


@final
@dataclass(frozen=True, slots=True)
class Origin:
    """The first operation that made NaN or infinity of finite numbers.

    Attributes:
        stage: "data", "forward", "loss", "backward" or "optimizer".
        module: Path of the innermost module that ran, "" outside of all.
        operation: Such as "log"; in the backward pass that of the forward pass whose derivative it is.
        place: The line of the user's own source, as "file.py:12", or "".
        made: "NaN" or "infinity".
        dtype: Of what it made, such as "float32".
        largest: The largest magnitude among the numbers that it took.
    """

    stage: str
    module: str
    operation: str
    place: str
    made: str
    dtype: str
    largest: float


@final
@dataclass
class _Place:
    """Where in the step the program is.

    Attributes:
        running: Paths of the modules that run, the innermost last.
        spans: First and last sequence number of autograd's nodes made inside each call of a module, with its path.
        has_run: Whether the forward pass of the model has ended once.
        stepping: Whether the optimizer steps.
    """

    running: list[tuple[str, int]] = field(default_factory=list)
    spans: list[tuple[int, int, str]] = field(default_factory=list)
    has_run: bool = False
    stepping: bool = False


@final
class Operations(TorchDispatchMode):
    """Watches one training step for numbers that are not finite."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.place = _Place()
        # What is no longer finite, by its memory: whence it came, None where it was put there on purpose. The tensor
        # is kept so that no other takes the same memory.
        self._spoilt: dict[int, tuple[Origin | None, Tensor]] = {}

    @contextmanager
    def around(self, model: nn.Module, optimizer: Optimizer, batch: Any) -> Iterator[None]:
        """Watch what runs inside.

        Args:
            model: Its modules give their names to what runs in them.
            optimizer: Its step is told from the rest.
            batch: What is NaN or infinite in it came with the data.
        """
        for tensor in tensors(batch):
            if _is_spoilt(tensor):
                self._note(tensor, Origin("data", "", "", "", _kind(tensor), _dtype(tensor), math.nan))
        for buffer in model.buffers():  # an attention mask, say
            if _is_spoilt(buffer):
                self._note(buffer, None)
        with ExitStack() as stack:
            for name, module in model.named_modules():
                if not isinstance(module, torch.jit.ScriptModule):  # which takes no hooks
                    stack.callback(module.register_forward_pre_hook(self._enter(name), prepend=True).remove)
                    stack.callback(module.register_forward_hook(self._leave(name), always_call=True).remove)
            stack.callback(optimizer.register_step_pre_hook(self._stepping(True)).remove)
            stack.callback(optimizer.register_step_post_hook(self._stepping(False)).remove)
            stack.enter_context(torch.autograd.set_detect_anomaly(True, check_nan=False))  # keeps where nodes were made
            stack.enter_context(self)
            yield

    def origin(self, tensor: Tensor) -> Origin | None:
        """Where what is not finite in a tensor began; None where it was not seen, or put there on purpose."""
        return self._spoilt.get(_memory(tensor), (None, tensor))[0]

    def first(self) -> Origin | None:
        """The first operation of the step that made something not finite, whether or not it reached the loss."""
        return next((origin for origin, _ in self._spoilt.values() if origin is not None), None)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        named: dict[str, Any] = kwargs or {}
        taken = [tensor for tensor in tensors((args, named)) if tensor.is_floating_point()]
        spoilt = [self._spoilt[_memory(tensor)] for tensor in taken if _memory(tensor) in self._spoilt]
        changes = func._schema.is_mutable
        largest = _largest(taken) if changes else math.nan
        result = func(*args, **named)
        name = func.overloadpacket.__name__
        if name in UNWRITTEN:
            return result
        made = [tensor for tensor in tensors(result) if tensor.is_floating_point()]
        if changes and not made:  # the operations on lists of tensors give nothing back
            made = [tensor for tensor in tensors(args[0]) if tensor.is_floating_point()]
        for tensor in made:
            if _is_spoilt(tensor):
                self._explain(name, tensor, taken, spoilt, largest if changes else _largest(taken), args)
        return result

    def _explain(
        self,
        name: str,
        tensor: Tensor,
        taken: list[Tensor],
        spoilt: list[tuple[Origin | None, Tensor]],
        largest: float,
        args: Any,
    ) -> None:
        """Note whence a tensor that is not finite came."""
        if _memory(tensor) in self._spoilt and not spoilt:
            del self._spoilt[_memory(tensor)]  # the same memory, written anew
        known = next((origin for origin, _ in spoilt if origin is not None), None)
        if known is not None:
            self._note(tensor, known)
        elif spoilt and not bool(tensor.isnan().any()):
            self._note(tensor, None)  # an infinity that was put there on purpose, handed on
        elif not spoilt and (_has_infinity(args) or (name in MASKS and any(map(_is_spoilt, taken)))):
            self._note(tensor, None)
        else:
            self._note(tensor, self._here(name, tensor, largest))

    def _note(self, tensor: Tensor, origin: Origin | None) -> None:
        self._spoilt.setdefault(_memory(tensor), (origin, tensor.detach()))

    def _here(self, name: str, tensor: Tensor, largest: float) -> Origin:
        """The operation that runs now."""
        node = _running_node()
        made, dtype = _kind(tensor), _dtype(tensor)
        if self.place.stepping:
            return Origin("optimizer", "", _plain(name), "", made, dtype, largest)
        if node is not None:
            name = _snake(family(node))
            return Origin("backward", self._module_of(node), name, _line_of_node(node), made, dtype, largest)
        inside = bool(self.place.running)
        stage = "forward" if inside or not self.place.has_run else "loss"
        module = self.place.running[-1][0] if inside else ""
        return Origin(stage, module, _plain(name), _line_of_caller(), made, dtype, largest)

    def _module_of(self, node: Node) -> str:
        """The innermost module in whose forward a node was made."""
        number = node._sequence_nr()
        inside = [(end - start, name) for start, end, name in self.place.spans if start <= number < end]
        return min(inside, default=(0, ""))[1]

    def _enter(self, name: str) -> Callable[..., None]:
        def hook(module: nn.Module, args: Any) -> None:
            self.place.running.append((name, _sequence()))

        return hook

    def _leave(self, name: str) -> Callable[..., None]:
        def hook(module: nn.Module, args: Any, output: Any) -> None:
            if self.place.running:
                own, start = self.place.running.pop()
                self.place.spans.append((start, _sequence(), own))
                self.place.has_run |= not self.place.running

        return hook

    def _stepping(self, value: bool) -> Callable[..., None]:
        def hook(*_: Any) -> None:
            self.place.stepping = value

        return hook


def _running_node() -> Node | None:
    current: Callable[[], Node | None] = getattr(torch._C, "_current_autograd_node", lambda: None)
    return current()


def _sequence() -> int:
    """The number that autograd gives to the next node."""
    count: Callable[[], int] = getattr(torch._C._autograd, "_get_sequence_nr", lambda: 0)
    return count()


def _memory(tensor: Tensor) -> int:
    """What tells the memory of a tensor from that of others."""
    try:
        return int(tensor.untyped_storage()._cdata)
    except (RuntimeError, NotImplementedError):  # sparse tensors have no storage of their own
        return id(tensor)


def _is_spoilt(tensor: Tensor) -> bool:
    try:
        return tensor.is_floating_point() and tensor.numel() > 0 and not bool(torch.isfinite(tensor).all())
    except (RuntimeError, NotImplementedError):  # layouts that know no such question
        return False


def _kind(tensor: Tensor) -> str:
    return "NaN" if bool(tensor.isnan().any()) else "infinity"


def _dtype(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")


def _largest(taken: list[Tensor]) -> float:
    """The largest finite magnitude in some tensors."""
    dense = [tensor.detach() for tensor in taken if tensor.numel() and not tensor.is_sparse]
    found = [tensor[torch.isfinite(tensor)].abs() for tensor in dense]
    return max((float(values.max()) for values in found if values.numel()), default=0.0)


def _has_infinity(args: Any) -> bool:
    return any(isinstance(part, float) and not math.isfinite(part) for part in args)


def _plain(name: str) -> str:
    """Such as "div" for "_foreach_div_"."""
    return name.removeprefix("_foreach_").strip("_")


def _snake(name: str) -> str:
    """Such as "log_softmax" for "LogSoftmax"."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def _line_of_caller() -> str:
    """The innermost line of the user's own source that is running."""
    frame: Any = sys._getframe()
    while frame is not None:
        if is_user_file(frame.f_code.co_filename):
            return f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno}"
        frame = frame.f_back
    return ""


def _line_of_node(node: Node) -> str:
    """The innermost line of the user's own source by which a node was made."""
    metadata: Any = node.metadata  # a dictionary, declared as a method
    stack: list[str] = metadata.get("traceback_") or []
    for entry in reversed(stack):
        found = re.search(r'File "([^"]+)", line (\d+)', entry)
        if found and is_user_file(found[1]):
            return f"{Path(found[1]).name}:{found[2]}"
    return ""
