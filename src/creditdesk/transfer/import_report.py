"""Reports and counts what an import refused, adjusted and ignored."""

from __future__ import annotations

from typing import Final

from creditdesk.schema.progress import ProgressReporter


class ImportReport:
    """Forwards messages to a reporter and counts them by consequence.

    Refused and adjusted rows are problems. Ignored files and columns, which are unknown here, are only noted.
    """

    def __init__(self, reporter: ProgressReporter) -> None:
        self.reporter: Final = reporter
        self.refused = self.adjusted = self.ignored = 0

    def add(self, other: ImportReport) -> None:
        """Adds the counts of another report, whose messages are already forwarded."""
        self.refused += other.refused
        self.adjusted += other.adjusted
        self.ignored += other.ignored

    def refuse(self, message: str) -> None:
        """Reports a row, or the rest of a file, that is not imported."""
        self.refused += 1
        self.reporter.problem(message)

    def adjust(self, message: str) -> None:
        """Reports a value that is imported differently from the file."""
        self.adjusted += 1
        self.reporter.problem(message)

    def ignore(self, message: str) -> None:
        """Reports a file or columns that are not read."""
        self.ignored += 1
        self.reporter.note(message)
