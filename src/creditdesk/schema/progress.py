"""What work over files tells while it runs: notes, problems and how far it is.

It must not know how these are shown.
"""

from __future__ import annotations

from collections import Counter
from typing import Protocol


class Report(Protocol):
    """Listens to long work. A note is worth knowing; a problem is something left undone."""

    def note(self, sentence: str) -> None:
        """Something worth knowing."""

    def problem(self, sentence: str) -> None:
        """Something wrong or left out."""

    def step(self, label: str, total: int | None = None) -> None:
        """A new piece of work begins; `total` in rows where it is known."""

    def advance(self, rows: int) -> None:
        """So many more rows are done."""


class Gathered:
    """A report that keeps the sentences, for callers without a screen."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.problems: list[str] = []
        self.rows = 0

    def note(self, sentence: str) -> None:
        self.notes.append(sentence)

    def problem(self, sentence: str) -> None:
        self.problems.append(sentence)

    def step(self, label: str, total: int | None = None) -> None:
        pass

    def advance(self, rows: int) -> None:
        self.rows += rows


class Silent:
    """A report to no one."""

    def note(self, sentence: str) -> None:
        pass

    def problem(self, sentence: str) -> None:
        pass

    def step(self, label: str, total: int | None = None) -> None:
        pass

    def advance(self, rows: int) -> None:
        pass


class Heard:
    """Passes everything on to a report and remembers its sentences."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self.sentences: Counter[str] = Counter()

    def note(self, sentence: str) -> None:
        self.sentences[sentence] += 1
        self._report.note(sentence)

    def problem(self, sentence: str) -> None:
        self.sentences[sentence] += 1
        self._report.problem(sentence)

    def step(self, label: str, total: int | None = None) -> None:
        self._report.step(label, total)

    def advance(self, rows: int) -> None:
        self._report.advance(rows)


class Reminded:
    """Passes on to a report what work says when it is done anew, but for what was heard before."""

    def __init__(self, report: Report, heard: Heard) -> None:
        self._report, self._sentences = report, heard.sentences

    def note(self, sentence: str) -> None:
        if self._is_new(sentence):
            self._report.note(sentence)

    def problem(self, sentence: str) -> None:
        if self._is_new(sentence):
            self._report.problem(sentence)

    def step(self, label: str, total: int | None = None) -> None:
        self._report.step(label, total)

    def advance(self, rows: int) -> None:
        self._report.advance(rows)

    def _is_new(self, sentence: str) -> bool:
        if not self._sentences[sentence]:
            return True
        self._sentences[sentence] -= 1
        return False
