"""The command line: with the composition root the only room that sees every other."""

from creditdesk.cli.program import main

__all__ = ["main"]
