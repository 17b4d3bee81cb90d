"""The command line."""

from creditdesk.cli.program import main

__all__ = ["main"]
