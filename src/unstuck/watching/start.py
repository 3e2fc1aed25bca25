"""`watch`: begin to observe a training loop that is the user's own."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import torch
from torch import nn
from torch.optim import Optimizer

from unstuck.errors import RecordError, SetupError
from unstuck.recording import RecordWriter
from unstuck.watching.cadence import SHARE
from unstuck.watching.live import Live
from unstuck.watching.ranks import is_first
from unstuck.watching.recording import Recording

FOLDER: Final = "unstuck-runs"


def watch(
    model: nn.Module,
    optimizer: Optimizer,
    batches: Iterable[Any] | None = None,
    *,
    loss: Callable[..., Any] | None = None,
    folder: str | Path | None = FOLDER,
    name: str = "run",
    share: float = SHARE,
    settings: Mapping[str, Any] | None = None,
    resume: str | Path | None = None,
    step: int = 0,
    findings: bool = True,
    ignore: Sequence[str] = (),
    stop: bool = False,
) -> Recording:
    """Watch a training loop of your own. The training is bit for bit what it would be.

        with unstuck.watch(model, optimizer) as recording:
            for epoch in range(epochs):
                for batch in recording.over(loader):
                    ...

    The loss is seen where a module or the model gives it; else hand it over: `recording.log(loss=loss)`.
    Where several processes train one model (DDP, FSDP), call it in each; the first one writes.

    Args:
        model: The model, wrapped as it is trained.
        optimizer: Its optimizer; of several, the one whose steps count.
        batches: To iterate over the recording itself: `for batch in unstuck.watch(model, optimizer, loader)`.
        loss: The loss module, where it is to be no other.
        folder: Where the record goes, in a file of its own; None for no record.
        name: What the run is called.
        share: Share of the time that watching may take; 0 looks at every step, whatever it costs.
        settings: What tells this run from others, as JSON-able data.
        resume: A record to go on with; `step` is then the number of the next step, 0 for where it ended.
        step: Steps that were done before, as after a restart from a checkpoint.
        findings: Whether to judge the run while it goes on.
        ignore: Codes of findings that are not wanted.
        stop: Whether a severe finding ends the `with` block or the iteration.

    Returns:
        The recording, not yet begun.

    Raises:
        SetupError: If model or optimizer is none.
    """
    if not isinstance(model, nn.Module):
        raise SetupError("`model` must be an nn.Module", type(model).__name__, "Give the model that is trained.")
    if not hasattr(optimizer, "register_step_post_hook"):
        got = type(optimizer).__name__
        raise SetupError("`optimizer` must be a torch.optim.Optimizer", got, "Give the one whose `step` is called.")
    writer: RecordWriter | None = None
    if folder is not None and is_first():
        try:
            if resume is not None:
                writer = RecordWriter.resume(resume, step or None)
                step = writer.last_step + 1
            else:
                facts = {"optimizer": type(optimizer).__name__, "share": share, **_groups(optimizer)}
                told = {**(settings or {}), "watch": facts}
                versions = {"torch": torch.__version__}
                writer = RecordWriter.create(folder, name, settings=told, versions=versions)
        except RecordError as error:
            warnings.warn(f"unstuck: {error} The run goes on without a record.", RuntimeWarning, stacklevel=2)
    live = Live(ignore, stop) if findings and is_first() else None
    return Recording(model, optimizer, batches, writer, live, share, loss, step)


def _groups(optimizer: Optimizer) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key in ("lr", "momentum", "betas", "weight_decay"):
        with suppress(TypeError, ValueError, KeyError, IndexError):
            value = optimizer.param_groups[0][key]
            found[key] = [float(each) for each in value] if isinstance(value, (tuple, list)) else float(value)
    return found
