"""Reporters of long-running work: notes, problems and progress."""

from __future__ import annotations

from collections import Counter
from typing import Protocol


class ProgressReporter(Protocol):
    """Receives the progress of long-running work."""

    def note(self, message: str) -> None:
        """Reports something that the user should know."""

    def problem(self, message: str) -> None:
        """Reports something that failed or was left out."""

    def step(self, label: str, total: int | None = None) -> None:
        """Reports that a step begins; `total` is its number of rows, if known."""

    def advance(self, rows: int) -> None:
        """Reports that `rows` more rows of the step are done."""


class NullReporter:
    """Discards everything."""

    def note(self, message: str) -> None:
        pass

    def problem(self, message: str) -> None:
        pass

    def step(self, label: str, total: int | None = None) -> None:
        pass

    def advance(self, rows: int) -> None:
        pass


class RecordingReporter:
    """Forwards to another reporter and records the messages."""

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
    """Forwards to another reporter, without the messages of an earlier run that were recorded."""

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
