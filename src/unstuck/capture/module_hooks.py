"""Torch's hooks on all modules, which can be taken off for a while."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, Final, final

import torch.nn.modules.module as torch_modules
from torch import nn
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook

from unstuck.capture.tape import Tape

# What torch keeps of hooks on all modules besides the hooks themselves, and whether such a hook is shown keywords
# (in torch 2.4 it is not: a call by keywords cannot be rebuilt there, and is found out by its loss).
_MARKS: Final[tuple[dict[int, bool], ...]] = tuple(
    getattr(torch_modules, f"_global_forward_hooks_{what}", {}) for what in ("always_called", "with_kwargs")
)
_KINDS: Final = ("backward_pre_hooks", "backward_hooks", "forward_pre_hooks", "forward_hooks")
_SHOWS_KEYWORDS: Final = "with_kwargs" in inspect.signature(register_module_forward_hook).parameters


@final
class ModuleHooks:
    """The hooks before and after every call of a module.

    Attributes:
        suspended: How many functions are running that they must not be on in.
    """

    def __init__(self, before: Callable[..., None], after: Callable[..., None]) -> None:
        """Be off.

        Args:
            before: Gets the module and its arguments.
            after: Gets the module, its arguments, its keywords and its output.
        """
        self._before, self._after = before, after
        self._hooks: list[Any] = []
        self._asked = getattr(torch_modules, "_has_any_global_hook", None)
        self.suspended = 0

    def on(self) -> None:
        """Put both on."""
        self._answer(self._has_any_other)
        self._hooks = [register_module_forward_pre_hook(self._before)]
        if _SHOWS_KEYWORDS:
            self._hooks.append(register_module_forward_hook(self._after, with_kwargs=True, always_call=True))
        else:
            self._hooks.append(register_module_forward_hook(self._after_without_keywords, always_call=True))

    def _after_without_keywords(self, module: nn.Module, inputs: Any, output: Any) -> None:
        self._after(module, inputs, {}, output)

    def off(self) -> None:
        """Take off whatever is on."""
        for hook in self._hooks:
            hook.remove()
            for marks in _MARKS:
                marks.pop(hook.id, None)  # torch 2.13 leaves them behind
        self._hooks = []
        self._answer(self._asked)

    def _answer(self, asked: Callable[[], Any] | None) -> None:
        """Let torch ask another function for hooks on all modules: a compiled one warns of them, ours need no word."""
        if self._asked is not None:
            vars(torch_modules)["_has_any_global_hook"] = asked

    def _has_any_other(self) -> bool:
        """Whether the script itself has hooks on all modules."""
        ours = {hook.id for hook in self._hooks}
        return any(key not in ours for kind in _KINDS for key in getattr(torch_modules, f"_global_{kind}", ()))

    def only(self, before: Callable[..., None]) -> None:
        """Put one hook before every call in place of both."""
        self.off()
        self._answer(self._has_any_other)
        self._hooks = [register_module_forward_pre_hook(before)]

    def compiling(self, original: Callable[..., Any], tape: Tape, is_elsewhere: Callable[[], bool]) -> Any:
        """In place of `torch.compile`: what it makes runs unobserved, since hooks would break its graphs.

        Args:
            original: It.
            tape: Is off too.
            is_elsewhere: Whether this is a process that the script has forked.

        Returns:
            The wrapper.
        """

        def unobserved(function: Callable[..., Any]) -> Callable[..., Any]:
            return self._unobserved(function, tape, is_elsewhere)

        @functools.wraps(original)
        def compile(model: Any = None, **options: Any) -> Any:
            if model is None:
                return lambda function: compile(function, **options)
            made = original(model, **options)
            if isinstance(made, nn.Module):
                vars(made)["forward"] = unobserved(made.forward)
                return made
            return unobserved(made) if callable(made) else made

        return compile

    def _unobserved(
        self, function: Callable[..., Any], tape: Tape, is_elsewhere: Callable[[], bool]
    ) -> Callable[..., Any]:
        @functools.wraps(function, updated=())
        def run(*arguments: Any, **keywords: Any) -> Any:
            if is_elsewhere() or self.suspended:
                return function(*arguments, **keywords)
            was_on = tape.step_off()
            hooked = bool(self._hooks)
            self.off()
            self.suspended += 1
            try:
                return function(*arguments, **keywords)
            finally:
                self.suspended -= 1
                if hooked:
                    self.on()
                if was_on:
                    tape.step_on()

        return run
