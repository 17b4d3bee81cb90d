"""The output of commands, and the error that ends them."""

from __future__ import annotations


class CliError(Exception):
    """A command failed; the message is one sentence for its user."""


def echo(message: str) -> None:
    """Prints a line to standard output."""
    print(message, flush=True)
