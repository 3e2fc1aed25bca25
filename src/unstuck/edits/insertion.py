"""Putting layers into a module tree that stays as it is.

A layer is put behind or in front of another by a hook on it that calls a submodule registered on it, so that
`model.encoder` stays what it was and every parameter keeps its name. A hook is a small record that finds the
submodule by name on the module it runs for: a deep copy of the model then calls the copy's own submodule.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any, Final, final

from torch import Tensor, nn

PREFIX: Final = "inserted_"
"""Names of submodules that edits have put in begin with it."""

SCALES: Final = ("input_mean", "input_scale", "target_mean", "target_scale")
"""Names of the buffers of fixed layers that scale inputs and targets begin with these."""

OPAQUE: Final = (nn.MultiheadAttention,)
"""Modules that use their children's parameters without calling them."""


def is_leaf(module: nn.Module) -> bool:
    """Whether a module does its own computing: it has no children but inserted and parametrising ones."""
    if isinstance(module, OPAQUE):
        return True
    return all(name.startswith(PREFIX) or name == "parametrizations" for name, _ in module.named_children())


def leaves(model: nn.Module) -> dict[str, nn.Module]:
    """All leaf modules by name, inserted ones included, the children of opaque ones not."""
    hidden = {
        id(inner)
        for module in model.modules()
        if isinstance(module, OPAQUE)
        for inner in module.modules()
        if inner is not module
    }
    return {
        name: module
        for name, module in model.named_modules()
        if is_leaf(module) and id(module) not in hidden and "parametrizations" not in name.split(".")
    }


def put(model: nn.Module, name: str, module: nn.Module) -> nn.Module:
    """Replace the module called `name`; the replacement takes over mode and place, and what edits have hung on it.

    Args:
        model: Changed in place.
        name: As in `named_modules`; "" for the model itself.
        module: The replacement.

    Returns:
        The model, which is `module` itself where `name` is "".
    """
    if not name:
        return module
    before = model.get_submodule(name)
    module.train(before.training)
    _take_over(before, module)
    parent_name, _, own = name.rpartition(".")
    parent = model.get_submodule(parent_name)
    if hasattr(parent, "activation_relu_or_gelu"):
        # Else a transformer layer goes on to use a fused kernel with its old activation when evaluating.
        setattr(parent, "activation_relu_or_gelu", 0)  # noqa: B010
    parent._modules[own] = module
    return model


def _take_over(before: nn.Module, module: nn.Module) -> None:
    """Hang on a module what edits have hung on another: layers put in, fixed layers that scale inputs or targets."""
    for number, first in list(before._forward_pre_hooks.items()):
        if _is_an_edit(first):
            module.register_forward_pre_hook(first, with_kwargs=number in before._forward_pre_hooks_with_kwargs)
    for number, last in list(before._forward_hooks.items()):
        if _is_an_edit(last):
            kwargs, always = number in before._forward_hooks_with_kwargs, number in before._forward_hooks_always_called
            module.register_forward_hook(last, with_kwargs=kwargs, always_call=always)
    for name, value in before._buffers.items():
        if name.startswith(SCALES) and not hasattr(module, name):
            module.register_buffer(name, value)
    for name, inserted in before._modules.items():
        if name.startswith(PREFIX) and name not in module._modules:
            module.add_module(name, inserted)


def _is_an_edit(hook: Any) -> bool:
    return type(hook).__module__.startswith(__name__.rpartition(".")[0])


def _register(host: nn.Module, label: str, module: nn.Module) -> str:
    """Register a copy of `module` on `host` under a free name, and give that name."""
    name, number = f"{PREFIX}{label}", 2
    while name in host._modules:
        name, number = f"{PREFIX}{label}_{number}", number + 1
    added = copy.deepcopy(module)
    place = next(iter(host.parameters()), None)
    if place is not None and place.is_floating_point():
        added.to(place.device, place.dtype)
    host.add_module(name, added.train(host.training))
    return name


@final
@dataclass(frozen=True)
class _Behind:
    name: str

    def __call__(self, module: nn.Module, inputs: Any, output: Any) -> Any:
        inserted = module._modules[self.name]
        assert inserted is not None
        if isinstance(output, tuple) and output and isinstance(output[0], Tensor):
            return (inserted(output[0]), *output[1:])  # recurrent layers: states first
        return inserted(output)


@final
@dataclass(frozen=True)
class _Before:
    name: str

    def __call__(self, module: nn.Module, inputs: tuple[Any, ...]) -> Any:
        inserted = module._modules[self.name]
        assert inserted is not None
        return (inserted(inputs[0]), *inputs[1:])


def insert_behind(host: nn.Module, label: str, module: nn.Module) -> None:
    """Put a copy of `module` behind `host`, which must be no container that iterates over its children."""
    host.register_forward_hook(_Behind(_register(host, label, module)))


def insert_before(host: nn.Module, label: str, module: nn.Module) -> None:
    """Put a copy of `module` in front of the first positional argument of `host`, likewise."""
    host.register_forward_pre_hook(_Before(_register(host, label, module)))
