"""What a command says, and the problems it ends with."""

from __future__ import annotations


class CliError(Exception):
    """Why a command could not do its work: one plain sentence."""


def echo(message: str) -> None:
    """Prints to standard output."""
    print(message, flush=True)
