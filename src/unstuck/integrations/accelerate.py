"""Watching a loop that Hugging Face Accelerate has prepared: `with watch(model, optimizer) as recording`."""

from __future__ import annotations

from typing import Any

from accelerate.optimizer import AcceleratedOptimizer

from unstuck import watching
from unstuck.watching import Recording


def watch(model: Any, optimizer: Any, *arguments: Any, **options: Any) -> Recording:
    """Watch what `accelerator.prepare` has given back; a step that is skipped while gradients accumulate is none.

    Args:
        model: As prepared.
        optimizer: As prepared, or torch's own.
        arguments: As those of `unstuck.watch`.
        options: Likewise.

    Returns:
        The recording, not yet begun.
    """
    inner = optimizer.optimizer if isinstance(optimizer, AcceleratedOptimizer) else optimizer
    return watching.watch(model, inner, *arguments, **options)
