"""How to make the model of a set-up, again and again, each time the same."""

from __future__ import annotations

import copy
import pickle
import weakref
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final, final

from torch import Tensor, nn
from torch.optim import Optimizer

from unstuck.errors import ExaminationError, SetupError
from unstuck.setup.advice import advice, is_out_of_memory
from unstuck.setup.private import Memo, private, privatise_hooks
from unstuck.setup.source import user_line


@final
@dataclass(frozen=True, slots=True, eq=False)
class Edit:
    """A change to a freshly built model.

    Attributes:
        field: What it touches, for the diff of the set-up, such as "model.2".
        before: As it was, rendered.
        after: As it becomes, rendered.
        apply: Takes the fresh model and gives the changed one; may change it in place.
    """

    field: str
    before: str
    after: str
    apply: Callable[[nn.Module], nn.Module]


@final
@dataclass(frozen=True, slots=True, eq=False)
class ModelRecipe:
    """Makes the model.

    Attributes:
        factory: Makes a fresh model, or None where the user gave a live one.
        live: A private copy of the user's live model, or None.
        live_optimizer: A private copy of the live optimizer over `live`'s parameters, or None.
        edits: Applied in order to each model made.
    """

    factory: Callable[[], nn.Module] | None
    live: nn.Module | None = None
    live_optimizer: Optimizer | None = None
    edits: tuple[Edit, ...] = ()

    def __reduce__(self) -> tuple[Any, ...]:
        """Go to another process, but only whole.

        Returns:
            How to make it there.

        Raises:
            PicklingError: If the live objects carry what pickling would drop without a word.
        """
        if self.live is not None and _loses_something(self.live, self.live_optimizer):
            raise pickle.PicklingError("hooks on parameters, or an optimizer's own attributes, do not travel")
        return ModelRecipe, (self.factory, self.live, self.live_optimizer, self.edits)

    @property
    def draws_weights(self) -> bool:
        """Whether each seed starts from other weights."""
        return self.factory is not None

    def with_edit(self, edit: Edit) -> ModelRecipe:
        """The same recipe with one more edit."""
        return replace(self, edits=(*self.edits, edit))

    def make(self, memo: Memo | None = None) -> tuple[nn.Module, Optimizer | None]:
        """Make a fresh model under the present random state.

        Args:
            memo: Extended by the copies that are made, so that functions copied with it refer to them.

        Returns:
            The model with the modes that the user left it in, and a copy of the live optimizer that holds the very
            parameters of this model, or None where the optimizer is made by a factory.

        Raises:
            ExaminationError: If the factory raises.
            SetupError: If it makes no module, or one that it has made before.
        """
        optimizer: Optimizer | None = None
        memo = {} if memo is None else memo
        if self.factory is not None:
            model = _built(private(self.factory, memo))
        else:
            assert self.live is not None  # one of the two is always given
            model, optimizer = copy_together(self.live, self.live_optimizer, memo)
        for edit in self.edits:
            model = edit.apply(model)
        return model, optimizer


_BUILT: Final[weakref.WeakSet[nn.Module]] = weakref.WeakSet()


def _loses_something(model: nn.Module, optimizer: Optimizer | None) -> bool:
    """Whether a pickled copy would lack hooks on parameters, or attributes or hooks of the optimizer."""
    if any(_gradient_hooks(parameter) for parameter in model.parameters()):
        return True
    if optimizer is None:
        return False
    there = type(optimizer).__new__(type(optimizer))
    there.__setstate__(optimizer.__getstate__())
    lost = {name for name in vars(optimizer) if name not in vars(there) and not name.startswith("_warned")}
    hooks = (optimizer._optimizer_step_pre_hooks, optimizer._optimizer_step_post_hooks)
    return bool(lost - {"step", "_opt_called"}) or any(hooks)  # those two are a scheduler's


def _gradient_hooks(parameter: nn.Parameter) -> list[tuple[Callable[..., Any], Any]]:
    """How to register a hook, with the hook, for each on a parameter's gradient."""
    before = (parameter._backward_hooks or {}).values()
    after = (getattr(parameter, "_post_accumulate_grad_hooks", None) or {}).values()
    return [
        *((nn.Parameter.register_hook, hook) for hook in before),
        *((nn.Parameter.register_post_accumulate_grad_hook, hook) for hook in after),
    ]


def _built(factory: Callable[[], nn.Module]) -> nn.Module:
    try:
        model = factory()
    except Exception as error:
        raise ExaminationError("model", error, user_line(error), advice("model", error)) from error
    if not isinstance(model, nn.Module):
        raise SetupError(
            "The factory `model` must return a torch.nn.Module",
            type(model).__name__,
            "Return the network that it builds.",
        )
    model = unwrapped(model)
    if model in _BUILT:
        raise SetupError(
            "The factory `model` must build a new network at each call",
            f"the same {type(model).__name__} again",
            "Build it inside the function, or pass the network itself.",
        )
    _BUILT.add(model)
    _run_eagerly(model)
    return model


def unwrapped(model: nn.Module) -> nn.Module:
    """The module inside a `torch.compile`d or data-parallel one: the same function, run eagerly here."""
    inner = getattr(model, "_orig_mod", None)
    if isinstance(inner, nn.Module):
        return unwrapped(inner)
    if isinstance(model, (nn.DataParallel, nn.parallel.DistributedDataParallel)):
        return unwrapped(model.module)
    return model


def _run_eagerly(model: nn.Module) -> None:
    """Undo `torch.compile` in every module inside: compiling each of many short runs would outlast the runs."""
    for module in list(model.modules()):
        if getattr(module, "_compiled_call_impl", None) is not None:
            module._compiled_call_impl = None
        for name, child in module._modules.items():
            if child is not None and isinstance(getattr(child, "_orig_mod", None), nn.Module):
                module._modules[name] = unwrapped(child)


def copy_together(
    model: nn.Module, optimizer: Optimizer | None, memo: Memo | None = None
) -> tuple[nn.Module, Optimizer | None]:
    """Deep copies that belong together: the optimizer's copy holds the parameters of the model's copy.

    Hooks on modules, parameters and the optimizer come along, as private copies of the functions.

    Args:
        model: A live module.
        optimizer: A live optimizer, which may also hold tensors that are no parameters of `model`.
        memo: Extended by the copies.

    Returns:
        The copies.

    Raises:
        SetupError: If either cannot be copied.
    """
    memo = {} if memo is None else memo
    _detach_held(model, memo)
    try:
        model_copy = copy.deepcopy(model, memo)
        for module in model_copy.modules():
            privatise_hooks(module, memo)
        for parameter in model.parameters():
            _copy_gradient_hooks(parameter, memo)
    except Exception as error:
        what = _what_raised("model", model, error)
        raise SetupError(*what, _else_smaller(error, "Pass a function that builds it.")) from error
    _run_eagerly(model_copy)
    if optimizer is None:
        return model_copy, None
    try:
        optimizer_copy = copy.deepcopy(optimizer, memo)
        # Optimizer.__getstate__ keeps groups and state only; L-BFGS and others hold more, and there may be hooks.
        # `step` may be a scheduler's wrapper around the user's own optimizer.
        for name, value in vars(optimizer).items():
            hooks = name.startswith("_optimizer_") and bool(value)
            if name != "step" and (hooks or name not in vars(optimizer_copy)):
                vars(optimizer_copy)[name] = copy.deepcopy(value, memo)
        privatise_hooks(optimizer_copy, memo)
    except Exception as error:
        what = _what_raised("optimizer", optimizer, error)
        raise SetupError(*what, _else_smaller(error, "Pass a function `parameters -> Optimizer`.")) from error
    return model_copy, optimizer_copy


def _what_raised(name: str, value: object, error: Exception) -> tuple[str, str]:
    got = f"{type(value).__name__}, which raised {type(error).__name__}: {' '.join(str(error).split())[:120]}"
    return f"`{name}` must be copyable, or be given as a factory", got


def _else_smaller(error: Exception, do: str) -> str:
    return advice("copy", error) if is_out_of_memory(error) else do


def _detach_held(model: nn.Module, memo: Memo) -> None:
    """Let tensors that a module keeps from a graph be copied: the weight behind an old-style weight norm, say."""
    for module in model.modules():
        for value in vars(module).values():
            parts = (
                value if isinstance(value, (list, tuple)) else value.values() if isinstance(value, dict) else [value]
            )
            for part in parts:
                if isinstance(part, Tensor) and not part.is_leaf:
                    memo[id(part)] = part.detach().clone()


def _copy_gradient_hooks(parameter: nn.Parameter, memo: Memo) -> None:
    made = memo.get(id(parameter))
    if made is None:  # a module with its own way of being copied
        return
    for register, hook in _gradient_hooks(parameter):
        register(made, private(hook, memo))
