"""What a command says, and the problems it ends with."""

from __future__ import annotations


class Problem(Exception):
    """Why a command could not do its work: one plain sentence."""


def say(sentence: str) -> None:
    """Prints to standard output."""
    print(sentence, flush=True)
