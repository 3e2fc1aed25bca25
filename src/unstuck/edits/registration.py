"""Layers that a model keeps in a plain list or dictionary, where `parameters()` does not find them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from torch import nn

from unstuck.errors import RemedyError
from unstuck.setup import Edit, Setup
from unstuck.setup.randomness import isolated

Part = nn.Module | nn.Parameter


def unregistered(model: nn.Module) -> dict[str, tuple[nn.Module, str, Part]]:
    """Find modules and parameters inside lists, tuples and dictionaries that are attributes of a model's modules.

    Args:
        model: Any model.

    Returns:
        Name, such as "blocks.0" → its owner, the name to register it under, and the part itself. Only parts with
        trainable parameters that the model does not know.
    """
    known = {id(parameter) for parameter in model.parameters()}
    found: dict[str, tuple[nn.Module, str, Part]] = {}
    for name, module in model.named_modules():
        for attribute, value in vars(module).items():
            if attribute.startswith("_") or not isinstance(value, (list, tuple, Mapping)):
                continue
            for key, part in _parts(value, attribute):
                own = [part] if isinstance(part, nn.Parameter) else list(part.parameters())
                if any(each.requires_grad and id(each) not in known for each in own):
                    found[f"{name}.{key}" if name else key] = (module, key.replace(".", "_"), part)
    return found


def _parts(value: Any, name: str, depth: int = 3) -> Iterator[tuple[str, Part]]:
    if isinstance(value, (nn.Module, nn.Parameter)):
        yield name, value
    elif depth and isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _parts(inner, f"{name}.{key}", depth - 1)
    elif depth and isinstance(value, (list, tuple)):
        for number, inner in enumerate(value):
            yield from _parts(inner, f"{name}.{number}", depth - 1)


def register_parts(model: nn.Module) -> nn.Module:
    """Register such parts with the module that keeps them, beside where they are."""
    for owner, name, part in unregistered(model).values():
        while hasattr(owner, name):
            name += "_"
        if isinstance(part, nn.Parameter):
            owner.register_parameter(name, part)
        else:
            owner.add_module(name, part)
    return model


def with_parts_registered(setup: Setup) -> Setup:
    """The set-up with a model that knows all of its layers.

    Args:
        setup: What is trained.

    Returns:
        The changed set-up.

    Raises:
        RemedyError: If it knows all of them already.
    """
    with isolated(setup.seed):
        names = list(unregistered(setup.model.make()[0]))
    if not names:
        raise RemedyError("every layer of the model is registered")
    fields = ", ".join(names[:4]) + (", …" if len(names) > 4 else "")
    return setup.with_edit(Edit(fields, "in a plain container", "registered (nn.ModuleList)", register_parts))
