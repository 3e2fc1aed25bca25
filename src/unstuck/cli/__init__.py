"""The command line. Importing it imports no torch; what needs it is imported by the command that does."""

from __future__ import annotations

from unstuck.cli.command import main

__all__ = ["main"]
