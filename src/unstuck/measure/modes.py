"""In which mode dropout and normalisation layers really run, while training and in evaluation."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final, final

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.dropout import _DropoutNd
from torch.overrides import TorchFunctionMode

from unstuck.loop.evaluate import predict
from unstuck.loop.stages import take_step
from unstuck.measure.preparation import Prepared
from unstuck.setup import Setup
from unstuck.setup.randomness import isolated, one_thread, seeded
from unstuck.setup.source import calling_line

CALLS: Final = 2
"""Training calls that are watched: the first may put right what the second leaves wrong, and the other way round."""

SAMPLES: Final = 64
"""Held-out samples of which the first batch is run in each mode."""


@final
@dataclass(frozen=True, slots=True)
class Modes:
    """Which layers run in the mode that is meant for the other occasion.

    Attributes:
        normalisers: Normalisation layers with running statistics that ran while training.
        unfed: Names of those that ran in evaluation mode, though no batch has ever gone into their statistics.
        settled: Number of those that ran in evaluation mode with statistics that have been learnt.
        dropouts: Dropout layers that ran while training.
        asleep: Number of those that ran in evaluation mode.
        awake: Names of layers of either kind that ran in training mode in evaluation.
        effect: Root mean square of what the outputs in evaluation change once every layer and every call of
            functional dropout is in evaluation mode, over that of the outputs; NaN where it cannot be told.
        eval_line: Line of the user's source that calls `eval()` while training, or "".
        train_line: Line that calls `train()` in evaluation, or "".
        dropout_line: Line that calls functional dropout in evaluation, or "".
    """

    cost: ClassVar[float] = 0.0

    normalisers: int
    unfed: tuple[str, ...]
    settled: int
    dropouts: int
    asleep: int
    awake: tuple[str, ...]
    effect: float
    eval_line: str
    train_line: str
    dropout_line: str

    @classmethod
    def measure(cls, prepared: Prepared) -> Modes:
        """Watch two training calls and one evaluation.

        Args:
            prepared: The set-up.

        Returns:
            The measurement.
        """
        training, untouched = _while_training(prepared.setup)
        evaluation, effect = _in_evaluation(prepared)
        normalisers = [name for name, kind in training.kinds.items() if kind is _NormBase]
        dropouts = [name for name, kind in training.kinds.items() if kind is _DropoutNd]
        wrong = [name for name in normalisers if not training.ran[name]]
        return cls(
            normalisers=len(normalisers),
            unfed=tuple(name for name in wrong if name in untouched),
            settled=sum(name not in untouched for name in wrong),
            dropouts=len(dropouts),
            asleep=sum(not training.ran[name] for name in dropouts),
            awake=tuple(name for name, mode in evaluation.ran.items() if mode),
            effect=effect,
            eval_line=training.lines.get("eval", ""),
            train_line=evaluation.lines.get("train", ""),
            dropout_line=evaluation.lines.get("dropout", ""),
        )


@final
@dataclass
class _Watch:
    """Notes the modes of layers as they run.

    Attributes:
        model: Hooked into.
        recording: Whether passes with gradients or those without are watched.
        kinds: Name → `_NormBase` or `_DropoutNd`, of layers that ran.
        ran: Name → whether it was in training mode when it last ran.
        lines: "train", "eval", "dropout" → line of the user's source that called it.
    """

    model: nn.Module
    recording: bool
    kinds: dict[str, type] = field(default_factory=dict)
    ran: dict[str, bool] = field(default_factory=dict)
    lines: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Hook into every layer that knows the two modes."""
        for name, module in self.model.named_modules():
            kind = _kind(module)
            if kind is not None:
                module.register_forward_pre_hook(self._see(name, kind))
        for called in ("train", "eval"):
            object.__setattr__(self.model, called, self._noting(called, getattr(self.model, called)))

    def _see(self, name: str, kind: type) -> Any:
        def hook(module: nn.Module, inputs: Any) -> None:
            if torch.is_grad_enabled() is self.recording:
                self.kinds[name], self.ran[name] = kind, module.training

        return hook

    def _noting(self, called: str, original: Callable[..., Any]) -> Callable[..., Any]:
        def switch(*arguments: Any) -> Any:
            line = calling_line()
            wanted = "train" if called == "train" and arguments in ((), (True,)) else "eval"
            if line:
                self.lines.setdefault(wanted, line)
            return original(*arguments)

        return switch


def _kind(module: nn.Module) -> type | None:
    if isinstance(module, _NormBase) and module.running_mean is not None:
        return _NormBase
    return _DropoutNd if isinstance(module, _DropoutNd) and module.p > 0.0 else None


def _while_training(setup: Setup) -> tuple[_Watch, frozenset[str]]:
    """Some training calls; the layers whose running statistics are as they were initialised."""
    with isolated(setup.seed), one_thread():
        own, model, optimizer = setup.fresh()
        if not model.training:
            model.train()  # as the loop does; layers that were set to eval() on purpose stay so
        untouched = frozenset(name for name, module in model.named_modules() if _is_untouched(module))
        watch = _Watch(model, recording=True)
        generator = seeded(setup.seed)
        for number, batch in enumerate(own.train.batches(generator)):
            take_step(own, model, optimizer, own.placed(batch))
            if number + 1 >= CALLS:
                break
    return watch, untouched


def _is_untouched(module: nn.Module) -> bool:
    if not isinstance(module, _NormBase) or module.running_mean is None or module.running_var is None:
        return False
    return bool((module.running_mean == 0).all()) and bool((module.running_var == 1).all())


def _in_evaluation(prepared: Prepared) -> tuple[_Watch, float]:
    """One evaluation as it is, watched, and one with every mode right, from the same weights."""
    setup = prepared.setup
    batches = prepared.held_out.head(SAMPLES)[:1]
    found = []
    for each in (setup, setup.corrected(modes=True)):
        with isolated(setup.seed), one_thread():
            own, model, _ = each.fresh()
        watch = _Watch(model, recording=False)
        with _Dropout(watch):
            found.append((watch, predict(own, model, batches)))
    (watch, given), (_, right) = found
    return watch, _difference(given[0], right[0]) if given else math.nan


@final
class _Dropout(TorchFunctionMode):
    """Notes where functional dropout is called."""

    def __init__(self, watch: _Watch) -> None:
        super().__init__()
        self.watch = watch

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        named: dict[str, Any] = kwargs or {}
        if getattr(func, "__name__", "") == "dropout" and named.get("training", False):
            self.watch.lines.setdefault("dropout", calling_line())
        return func(*args, **named)


def _difference(given: Any, right: Any) -> float:
    if not isinstance(given, Tensor) or not isinstance(right, Tensor) or given.shape != right.shape:
        return math.nan
    if not given.is_floating_point():
        return math.nan
    size = float(given.double().square().mean().sqrt())
    return float((given - right).double().square().mean().sqrt()) / size if size > 0.0 else 0.0
