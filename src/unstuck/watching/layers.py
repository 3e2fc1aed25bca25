"""What there is to look at in a model: its layers, their parameters, and which of them other ranks hold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, final

from torch import Tensor, nn

from unstuck.loop.layers import own_parameters, parametrised_layers
from unstuck.recording import LayerEntry

WRAPPERS: Final = ("module.", "_orig_mod.", "_fsdp_wrapped_module.", "_checkpoint_wrapped_module.")
"""What wrappers put into the names of modules."""


@final
@dataclass(frozen=True, slots=True, eq=False)
class Layers:
    """The parametrised layers of a model, L of them, with P parameters, each once.

    Attributes:
        names: As the user knows them, shape `[L]`.
        modules: Shape `[L]`.
        parameters: Shape `[P]`.
        owners: Layer of each parameter, shape `[P]`.
        sharded: Whether this rank holds only a part of each parameter, shape `[P]`.
        hookable: Whether the modules can be hooked: those of a compiled model would take the hooks into their graph.
    """

    names: tuple[str, ...]
    modules: tuple[nn.Module, ...]
    parameters: tuple[nn.Parameter, ...]
    owners: tuple[int, ...]
    sharded: tuple[bool, ...]
    hookable: bool

    def held(self) -> list[Tensor]:
        """The part of each parameter that this rank holds, shape `[P]`; to be used where no gradient is recorded."""
        return [each if type(each) is nn.Parameter else local(each) for each in self.parameters]

    def entries(self) -> list[LayerEntry]:
        """What a record notes of them."""
        sizes = [0] * len(self.names)
        for owner, parameter in zip(self.owners, self.parameters, strict=True):
            sizes[owner] += parameter.numel()
        kinds = [type(module).__name__.removeprefix("Parametrized") for module in self.modules]
        return [LayerEntry(*row) for row in zip(self.names, kinds, sizes, strict=True)]


def layers_of(model: nn.Module) -> Layers:
    """Find them; a parameter that several layers share counts for the first."""
    found = parametrised_layers(model)
    names = _plain_names(list(found))
    parameters: list[nn.Parameter] = []
    owners: list[int] = []
    known: set[int] = set()
    for place, module in enumerate(found.values()):
        for parameter in own_parameters(module):
            if id(parameter) not in known:
                known.add(id(parameter))
                parameters.append(parameter)
                owners.append(place)
    fully = any(type(module).__name__ == "FullyShardedDataParallel" for module in model.modules())
    compiled = any(
        type(module).__name__ == "OptimizedModule" or getattr(module, "_compiled_call_impl", None) is not None
        for module in model.modules()
    )
    sharded = tuple(fully or _is_sharded(parameter) for parameter in parameters)
    return Layers(names, tuple(found.values()), tuple(parameters), tuple(owners), sharded, not compiled)


def _plain_names(names: list[str]) -> tuple[str, ...]:
    plain = list(names)
    for wrapper in WRAPPERS:
        shorter = [name.replace(wrapper, "") if wrapper != "module." else name for name in plain]
        if all(name.startswith(wrapper) for name in plain):
            shorter = [name.removeprefix(wrapper) for name in plain]
        if len(set(shorter)) == len(shorter):
            plain = shorter
    return tuple(plain)


def _is_sharded(tensor: Any) -> bool:
    placements = getattr(tensor, "placements", ())
    return any(placement.is_shard() for placement in placements)


def local(tensor: Any) -> Tensor:
    """The part of a tensor that this rank holds, detached."""
    detached: Tensor = tensor.detach()
    if type(detached) is Tensor:
        return detached
    part: Tensor = detached.to_local() if hasattr(detached, "to_local") else detached
    return part
