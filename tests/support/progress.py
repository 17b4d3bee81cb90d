"""A progress reporter that keeps what is reported."""

from __future__ import annotations


class CollectingReporter:
    """Keeps notes and problems in lists."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.problems: list[str] = []
        self.rows = 0

    def note(self, message: str) -> None:
        self.notes.append(message)

    def problem(self, message: str) -> None:
        self.problems.append(message)

    def step(self, label: str, total: int | None = None) -> None:
        pass

    def advance(self, rows: int) -> None:
        self.rows += rows
