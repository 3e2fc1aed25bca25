"""Which modules of a model own parameters: what counts as its layers."""

from __future__ import annotations

from torch import nn
from torch.nn.utils.parametrize import ParametrizationList, is_parametrized


def parametrised_layers(model: nn.Module) -> dict[str, nn.Module]:
    """Modules that own parameters themselves, by name, each once; a reparametrised one owns what it is made of."""
    inside = {
        id(part) for module in model.modules() if isinstance(module, ParametrizationList) for part in module.modules()
    }
    return {
        name: module for name, module in model.named_modules() if id(module) not in inside and own_parameters(module)
    }


def own_parameters(module: nn.Module) -> list[nn.Parameter]:
    """The parameters of a module itself, those behind a reparametrisation included."""
    own = list(module.parameters(recurse=False))
    if is_parametrized(module):
        own.extend(module.get_submodule("parametrizations").parameters())
    return own
