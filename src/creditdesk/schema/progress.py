"""What work over files tells while it runs: notes, problems and how far it is.

It must not know how these are shown.
"""

from __future__ import annotations

from collections import Counter
from typing import Protocol


class ProgressReporter(Protocol):
    """Listens to long work. A note is worth knowing; a problem is something left undone."""

    def note(self, message: str) -> None:
        """Something worth knowing."""

    def problem(self, message: str) -> None:
        """Something wrong or left out."""

    def step(self, label: str, total: int | None = None) -> None:
        """A new piece of work begins; `total` in rows where it is known."""

    def advance(self, rows: int) -> None:
        """So many more rows are done."""


class CollectingReporter:
    """A report that keeps the sentences, for callers without a screen."""

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


class NullReporter:
    """A report to no one."""

    def note(self, message: str) -> None:
        pass

    def problem(self, message: str) -> None:
        pass

    def step(self, label: str, total: int | None = None) -> None:
        pass

    def advance(self, rows: int) -> None:
        pass


class RecordingReporter:
    """Passes everything on to a report and remembers its sentences."""

    def __init__(self, reporter: ProgressReporter) -> None:
        self._reporter = reporter
        self.messages: Counter[str] = Counter()

    def note(self, message: str) -> None:
        self.messages[message] += 1
        self._reporter.note(message)

    def problem(self, message: str) -> None:
        self.messages[message] += 1
        self._reporter.problem(message)

    def step(self, label: str, total: int | None = None) -> None:
        self._reporter.step(label, total)

    def advance(self, rows: int) -> None:
        self._reporter.advance(rows)


class DeduplicatingReporter:
    """Passes on to a report what work says when it is done anew, but for what was heard before."""

    def __init__(self, reporter: ProgressReporter, recording: RecordingReporter) -> None:
        self._reporter, self._recorded = reporter, recording.messages

    def note(self, message: str) -> None:
        if self._is_new(message):
            self._reporter.note(message)

    def problem(self, message: str) -> None:
        if self._is_new(message):
            self._reporter.problem(message)

    def step(self, label: str, total: int | None = None) -> None:
        self._reporter.step(label, total)

    def advance(self, rows: int) -> None:
        self._reporter.advance(rows)

    def _is_new(self, message: str) -> bool:
        if not self._recorded[message]:
            return True
        self._recorded[message] -= 1
        return False
