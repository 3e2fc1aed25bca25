"""Watching a training loop that is the user's own, at a cost nobody notices, without changing it by a bit."""

from unstuck.watching.live import FindingWarning as FindingWarning
from unstuck.watching.live import TrainingStopped as TrainingStopped
from unstuck.watching.recording import Recording as Recording
from unstuck.watching.start import watch as watch

__all__ = ["FindingWarning", "Recording", "TrainingStopped", "watch"]
