"""Choosing a model honestly: cross-validation, search, and how far to believe the winner."""

from unstuck.choice import Between as Between
from unstuck.selection.choosing import Selection as Selection
from unstuck.selection.choosing import select as select
