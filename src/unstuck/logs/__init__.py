"""Runs as they were logged by other tools, read back as plain series. No torch, and none of these tools."""

from unstuck.logs.columns import MEANINGS as MEANINGS
from unstuck.logs.columns import named as named
from unstuck.logs.comparing import RunComparison as RunComparison
from unstuck.logs.comparing import RunRow as RunRow
from unstuck.logs.comparing import compare as compare
from unstuck.logs.reading import read as read
from unstuck.logs.run import LoggedRun as LoggedRun
from unstuck.logs.run import LoggedSeries as LoggedSeries
from unstuck.logs.run import Meaning as Meaning

__all__ = ["MEANINGS", "LoggedRun", "LoggedSeries", "Meaning", "RunComparison", "RunRow", "compare", "named", "read"]
