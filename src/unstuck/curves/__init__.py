"""What the curves of a logged run can show, judged without running anything."""

from unstuck.curves.judging import judge_run as judge_run
from unstuck.curves.judging import rejudge as rejudge
from unstuck.curves.summary import CurveSummary as CurveSummary

__all__ = ["CurveSummary", "judge_run", "rejudge"]
