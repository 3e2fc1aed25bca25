"""The only training loop, and what it records."""

from unstuck.loop.evaluate import Score, evaluate, predict, score_of
from unstuck.loop.record import LayerTrace, RunRecord
from unstuck.loop.training import Run, Step, fit

__all__ = ["LayerTrace", "Run", "RunRecord", "Score", "Step", "evaluate", "fit", "predict", "score_of"]
