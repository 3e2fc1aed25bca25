"""What a set of live objects, and the process around them, look like: equal before and after, or there is a trace."""

from __future__ import annotations

import random
import types
import warnings
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from unstuck.setup.private import global_names
from unstuck.setup.source import is_user_file

_ATOMS = (type(None), bool, int, float, complex, str, bytes, torch.dtype, torch.device, range, slice)
_OPAQUE = (type, types.ModuleType, types.BuiltinFunctionType, types.CodeType)


def fingerprint(value: Any, path: str = "", seen: dict[int, str] | None = None) -> dict[str, Any]:
    """Path → content, for everything that can be reached."""
    seen = {} if seen is None else seen
    if isinstance(value, _ATOMS):
        return {path: repr(value)}
    if isinstance(value, _OPAQUE):
        return {path: id(value)}
    if id(value) in seen:
        return {path: f"see {seen[id(value)]}"}
    seen[id(value)] = path
    found: dict[str, Any] = {path: (type(value).__name__, id(value))}
    for name, part in _parts(value):
        found.update(fingerprint(part, f"{path}.{name}", seen))
    return found


def _parts(value: Any) -> list[tuple[str, Any]]:
    if isinstance(value, Tensor):
        content = value.detach().to_dense().contiguous().view(-1)
        raw = content.view(torch.uint8).numpy().tobytes() if content.numel() else b""
        facts = [("bytes", raw), ("version", value._version), ("requires_grad", value.requires_grad)]
        hooks = [("hooks", value._backward_hooks), ("after", getattr(value, "_post_accumulate_grad_hooks", None))]
        return [*facts, *hooks, ("grad", value.grad if value.is_leaf else None)]
    if isinstance(value, torch.Generator):
        return [("state", value.get_state().numpy().tobytes())]
    if isinstance(value, np.ndarray):
        return [("bytes", value.tobytes()), ("dtype", str(value.dtype))]
    if isinstance(value, random.Random):
        return [("state", repr(value.getstate()))]
    if isinstance(value, np.random.Generator):
        return [("state", repr(value.bit_generator.state))]
    if isinstance(value, types.FunctionType):
        if not is_user_file(value.__code__.co_filename):  # what a library keeps for itself is not the user's
            return []
        cells = [(f"cell{i}", cell.cell_contents) for i, cell in enumerate(value.__closure__ or ())]
        return [*cells, *((name, value.__globals__[name]) for name in global_names(value))]
    if isinstance(value, types.MethodType):
        return [("self", value.__self__), ("function", value.__func__)]
    if isinstance(value, (dict, OrderedDict, Mapping)):
        return [(str(key) if isinstance(key, _ATOMS) else str(id(key)), part) for key, part in value.items()]
    if isinstance(value, (list, tuple)):
        return [(str(i), part) for i, part in enumerate(value)]
    if isinstance(value, (set, frozenset)):
        return [("members", repr(sorted(map(repr, value))))]
    return sorted(getattr(value, "__dict__", {}).items())


def process() -> dict[str, Any]:
    """Every generator and every global switch."""
    legacy: Any = np.random.get_state()
    return {
        "torch": torch.random.get_rng_state().numpy().tobytes(),
        "torch seed": torch.initial_seed(),
        "numpy": (legacy[1].tobytes(), *legacy[2:]),
        "python": random.getstate(),
        "gradients": torch.is_grad_enabled(),
        "inference": torch.is_inference_mode_enabled(),
        "dtype": torch.get_default_dtype(),
        "device": torch.get_default_device(),
        "threads": torch.get_num_threads(),
        "deterministic": (
            torch.are_deterministic_algorithms_enabled(),
            torch.is_deterministic_algorithms_warn_only_enabled(),
        ),
        "anomaly": torch.is_anomaly_enabled(),
        "precision": torch.get_float32_matmul_precision(),
        "cudnn": (
            torch.backends.cudnn.enabled,
            torch.backends.cudnn.benchmark,
            torch.backends.cudnn.deterministic,
        ),
        "autocast": torch.is_autocast_enabled("cpu"),
        "warnings": list(warnings.filters),
    }


def changes(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """The paths that differ."""
    return [path for path in {**before, **after} if before.get(path) != after.get(path)]
