"""Random generators and global switches: set for a run, put back bit for bit afterwards."""

from __future__ import annotations

import random
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final, final

import numpy as np
import torch

Switch = tuple[Callable[[], Any], Callable[[Any], Any]]


def _set_deterministic(state: tuple[bool, bool]) -> None:
    torch.use_deterministic_algorithms(state[0], warn_only=state[1])


def _set_anomaly(state: tuple[bool, bool]) -> None:
    torch.autograd.set_detect_anomaly(state[0], state[1])


def _set_filters(filters: list[Any]) -> None:
    warnings.filters[:] = filters  # type: ignore[index]
    getattr(warnings, "_filters_mutated", lambda: None)()


def _backend(name: str) -> Switch:
    backend = torch.backends.cudnn
    return lambda: getattr(backend, name), lambda value: setattr(backend, name, value)


# How to read and to write every global switch that the user's code may turn while it is run.
_SWITCHES: Final[tuple[Switch, ...]] = (
    (torch.is_grad_enabled, torch.set_grad_enabled),
    (torch.get_default_dtype, torch.set_default_dtype),
    (torch.get_num_threads, torch.set_num_threads),
    (
        lambda: (torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()),
        _set_deterministic,
    ),
    (lambda: (torch.is_anomaly_enabled(), torch.is_anomaly_check_nan_enabled()), _set_anomaly),
    (torch.get_float32_matmul_precision, torch.set_float32_matmul_precision),
    (torch.backends.mha.get_fastpath_enabled, torch.backends.mha.set_fastpath_enabled),
    _backend("enabled"),
    _backend("benchmark"),
    _backend("deterministic"),
    (lambda: list(warnings.filters), _set_filters),
)


@final
class Draws(torch.Generator):
    """A generator of one run, by which its copies of the data are kept: torch's own bears no weak reference in 2.4."""


def seeded(seed: int) -> Draws:
    """A generator of its own, seeded."""
    generator = Draws()
    generator.manual_seed(seed)
    return generator


@contextmanager
def isolated(seed: int) -> Iterator[None]:
    """Seed every generator inside; restore them and every global switch on leaving, also by an exception.

    Covers the generators of torch (CPU, and CUDA or MPS where it has been used), NumPy and Python; and the
    switches that user code may turn: gradient mode, default dtype, thread count, deterministic algorithms, anomaly
    detection, matrix precision, the fused path of attention, cuDNN, and the filters of `warnings`. The fused path is
    off inside: in torch 2.4 it passes over the hooks of its layers, and so over edits that are hooks.

    Args:
        seed: Seeds all three libraries.
    """
    python, legacy = random.getstate(), np.random.get_state()
    processor = torch.random.get_rng_state()
    graphics = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else None
    metal = torch.mps.get_rng_state() if torch.backends.mps.is_available() else None
    switches = [read() for read, _ in _SWITCHES]
    try:
        torch.backends.mha.set_fastpath_enabled(False)
        random.seed(seed)
        np.random.seed(seed % 2**32)
        torch.default_generator.manual_seed(seed)  # torch.manual_seed would leave a seed behind for a later CUDA
        if graphics is not None:
            torch.cuda.manual_seed_all(seed)
        if metal is not None:
            torch.mps.manual_seed(seed)
        yield
    finally:
        random.setstate(python)
        np.random.set_state(legacy)
        torch.random.set_rng_state(processor)
        if graphics is not None:
            torch.cuda.set_rng_state_all(graphics)
        if metal is not None:
            torch.mps.set_rng_state(metal)
        for (read, write), before in zip(_SWITCHES, switches, strict=True):
            if read() != before:
                write(before)


@contextmanager
def one_thread() -> Iterator[None]:
    """Run torch on one thread inside.

    Small networks are slower on two threads, and far slower beside a busy neighbour (6 ms → 200 ms a step).
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


@contextmanager
def trainable() -> Iterator[None]:
    """Record gradients and run eagerly inside, wherever the user called from.

    Compiled functions and modules inside the user's code are run as they were written: compiling each of many
    short runs would take longer than the runs.
    """
    compiler = sys.modules.get("torch._dynamo")  # where it is not loaded, nothing has been compiled
    stance = None if compiler is None else getattr(torch.compiler, "set_stance", None)
    with torch.inference_mode(False), torch.enable_grad():
        if stance is None:
            yield
        else:
            with stance("force_eager"):
                yield
