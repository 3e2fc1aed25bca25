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
    """Replace the module called `name`; the replacement takes over mode and place.

    Args:
        model: Changed in place.
        name: As in `named_modules`; "" for the model itself.
        module: The replacement.

    Returns:
        The model, which is `module` itself where `name` is "".
    """
    if not name:
        return module
    module.train(model.get_submodule(name).training)
    parent_name, _, own = name.rpartition(".")
    parent = model.get_submodule(parent_name)
    if hasattr(parent, "activation_relu_or_gelu"):
        # Else a transformer layer goes on to use a fused kernel with its old activation when evaluating.
        setattr(parent, "activation_relu_or_gelu", 0)  # noqa: B010
    parent._modules[own] = module
    return model


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
