"""Records of runs written out for other tools, each of which is imported only when it is asked for."""

from unstuck.exports.writing import TARGETS as TARGETS
from unstuck.exports.writing import export as export

__all__ = ["TARGETS", "export"]
