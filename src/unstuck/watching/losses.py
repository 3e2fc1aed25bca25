"""Seeing the training loss: handed over, or given back by the loss module or by the model itself."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final, final
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from torch.nn.modules.loss import _Loss
from torch.nn.modules.module import register_module_forward_hook
from torch.utils.hooks import RemovableHandle

LARGEST_GRAPH: Final = 20_000
"""Operations of a graph that are searched for a parameter of the model."""

LOOKED_FOR: Final = 8
"""Steps of the optimizer during which every module is asked whether it gives the loss."""


UNSEEN: Final = math.nan
"""What stands for a loss that was not seen; a loss that is NaN is another object."""


@final
class Losses:
    """Collects the losses of the step that is under way, and those of an evaluation.

    A loss is taken from, in this order: `give`, the module that was named, modules that give one number with a
    gradient and are no part of the model (several are added up), the `loss` that the model gives back. Several
    backward passes of one step (accumulated gradients) count as their mean.

    Attributes:
        evaluations: Losses of an evaluation that wait to be read, each with its number of samples.
    """

    def __init__(self, model: nn.Module, criterion: Callable[..., Any] | None, look: bool) -> None:
        """See nothing yet.

        Args:
            model: The model that is trained.
            criterion: The loss, where it is a module; None where it is not known.
            look: Whether to look for an unknown one; `torch.compile` warns of the global hook that this takes.
        """
        self._inside = {id(module) for module in model.modules() if not isinstance(module, _Loss)}
        self._parameters = {id(parameter) for parameter in model.parameters()}
        # Where ranks hold parts of a parameter, the graph ends in whole ones that are made for the moment.
        self._is_split = any(hasattr(parameter, "placements") for parameter in model.parameters())
        self._handles: list[RemovableHandle] = []
        self._looking: RemovableHandle | None = None
        self._found: WeakKeyDictionary[nn.Module, int] = WeakKeyDictionary()
        self._given: list[Any] = []
        self._seen: dict[int, list[Any]] = {}
        self._own: list[Any] = []
        self.evaluations: list[tuple[Tensor, int]] = []
        self._is_told = False
        self._steps = 0
        self._may_look = look and not isinstance(criterion, nn.Module)
        if isinstance(criterion, nn.Module):
            self._hook(criterion)
        elif criterion is None and look:
            self._looking = register_module_forward_hook(self._look)
        self._own_handle: RemovableHandle | None = model.register_forward_hook(self._see_own)

    def close(self) -> None:
        """Take the hooks away."""
        self._stop_looking()
        self._leave_own()
        for handle in self._handles:
            handle.remove()
        self._handles.clear()

    def give(self, loss: Any) -> None:
        """Take the loss of a backward pass; from now on no other is looked at."""
        if not self._is_told:
            self._is_told = True
            self.close()
            self._seen.clear()
            self._own.clear()
        self._given.append(_kept(loss) if isinstance(loss, Tensor) else loss)

    def take(self) -> Any:
        """The loss of the step that has ended, as a number or, on a device, as a tensor `[]`; NaN where none was."""
        self._steps += 1
        if self._looking is not None and self._steps == LOOKED_FOR:
            lasting = [module for module, times in self._found.items() if times > 1]
            if lasting or not self._seen:  # else a new loss module is made at each step, and looking goes on
                self._stop_looking()
            for module in lasting:
                self._hook(module)
        if self._steps == LOOKED_FOR and self._seen:  # what the model itself gives would not count
            self._leave_own()
        if self._is_told:
            found, self._given = self._given, []
            return _mean(found)
        if self._seen:
            parts = [_mean(each) for each in self._seen.values()]
            self._seen.clear()
            self._own.clear()
            return parts[0] if len(parts) == 1 else sum(parts[1:], parts[0])
        found, self._own = self._own, []
        if not found and self._handles and self._may_look and self._looking is None:
            self._look_again()
        return _mean(found)

    def evaluated(self) -> float:
        """Mean loss of the evaluation since the last call, weighted by samples; NaN where there was none."""
        if not self.evaluations:
            return math.nan
        found, self.evaluations = self.evaluations, []
        total = sum(size for _, size in found)
        return float(sum((loss.double() * size for loss, size in found), torch.zeros((), dtype=torch.float64))) / total

    def _hook(self, module: nn.Module) -> None:
        self._handles.append(module.register_forward_hook(self._see))

    def _stop_looking(self) -> None:
        if self._looking is not None:
            self._looking.remove()
            self._looking = None

    def _look_again(self) -> None:
        """What gave the loss so far gives it no more: another module has taken its place."""
        for handle in self._handles:
            handle.remove()
        self._handles.clear()
        self._found.clear()
        self._steps = 0
        self._looking = register_module_forward_hook(self._look)

    def _leave_own(self) -> None:
        if self._own_handle is not None:
            self._own_handle.remove()
            self._own_handle = None

    def _look(self, module: nn.Module, inputs: Any, output: Any) -> None:
        """Global, for the first few steps only: is this a loss?"""
        if id(module) in self._inside or not isinstance(output, Tensor) or output.dim() != 0:
            return
        if module in self._found and not output.requires_grad:
            self._see(module, inputs, output)  # an evaluation
            return
        if output.requires_grad and (self._is_split or _depends_on(output, self._parameters)):
            self._found[module] = self._found.get(module, 0) + 1
            self._see(module, inputs, output)

    def _see(self, module: nn.Module, inputs: Any, output: Any) -> None:
        if not isinstance(output, Tensor) or output.numel() != 1:
            return
        if output.requires_grad:
            self._seen.setdefault(id(module), []).append(_kept(output))
        else:
            last = inputs[-1] if inputs else None
            size = len(last) if isinstance(last, Tensor) and last.dim() else 1
            self.evaluations.append((output.detach(), size))

    def _see_own(self, module: nn.Module, inputs: Any, output: Any) -> None:
        loss = output.get("loss") if isinstance(output, dict) else getattr(output, "loss", None)
        if isinstance(loss, Tensor) and loss.numel() == 1 and loss.requires_grad:
            self._own.append(_kept(loss))


def _depends_on(loss: Tensor, parameters: set[int]) -> bool:
    """Whether a loss is one of this model: other models of the same program have losses too."""
    waiting, seen = [loss.grad_fn], set[Any]()
    while waiting and len(seen) < LARGEST_GRAPH:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if id(getattr(node, "variable", None)) in parameters:
            return True
        waiting.extend(following for following, _ in node.next_functions)
    return False


def _mean(losses: list[Any]) -> Any:
    if not losses:
        return UNSEEN
    one = losses[0] if len(losses) == 1 else sum(losses[1:], losses[0]) / len(losses)
    return one if isinstance(one, Tensor) else float(one) + 0.0  # a float of its own, also where it is NaN


def _kept(loss: Tensor) -> Any:
    """A loss as it is now, whatever is done to it in place: a number, or on a device a tensor, read later."""
    return loss.item() if loss.is_cpu else loss.detach().clone()
