"""An optimizer that is none of torch's, made to look like one to the hooks of `watch`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, final

from torch import Tensor
from torch.optim import Optimizer


@final
class SteppedElsewhere(Optimizer):
    """Has the hooks of a torch optimizer; they fire around a method of another object.

    The method is replaced on the object itself until `release`.
    """

    def __init__(self, other: Any, method: str, parameters: Sequence[Tensor], rate: Callable[[], float]) -> None:
        """Wrap a method.

        Args:
            other: The optimizer that really steps.
            method: Name of the method that makes a step.
            parameters: What it moves.
            rate: Tells its learning rate.
        """
        super().__init__(list(parameters), {"lr": rate()})
        self._other, self._method = other, method
        original = getattr(other, method)

        def stepping(*arguments: Any, **keywords: Any) -> Any:
            self.param_groups[0]["lr"] = rate()
            for before in list(self._optimizer_step_pre_hooks.values()):
                before(self, (self,), {})
            result = original(*arguments, **keywords)
            for after in list(self._optimizer_step_post_hooks.values()):
                after(self, (self,), {})
            return result

        setattr(other, method, stepping)

    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """Nothing: another object steps."""

    def release(self) -> None:
        """Give the other object its own method back."""
        delattr(self._other, self._method)
