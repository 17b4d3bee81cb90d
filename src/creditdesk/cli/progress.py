"""Shows the progress of long commands: a bar on a terminal, plain lines elsewhere.

Progress is written to standard error, so that standard output has only the results.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import Final, Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from creditdesk.audit.findings import AuditFinding

SECONDS_BETWEEN_LINES: Final = 5.0


class _RateColumn(ProgressColumn):
    def render(self, task: Task) -> Text:
        return Text(f"{task.speed:,.0f}/s" if task.speed else "")


class ProgressDisplay:
    """Prints notes, problems, findings and progress, and counts the problems.

    Findings go to `report`, which may print them as results; without it they are problems.
    """

    def __init__(self, report: Callable[[AuditFinding], None] | None = None) -> None:
        self.problems = 0
        self._report = report
        self._bars: Progress | None = None
        if sys.stderr.isatty():
            self._bars = Progress(
                TextColumn("{task.description}", markup=False),
                BarColumn(),
                MofNCompleteColumn(),
                _RateColumn(),
                TimeRemainingColumn(),
                console=Console(stderr=True),
                transient=True,
            )
        self._task: TaskID | None = None
        self._label, self._done = "", 0
        self._total: int | None = None
        self._started = self._last_printed = time.monotonic()

    def __enter__(self) -> Self:
        if self._bars:
            self._bars.start()
        return self

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if error_type is None:
            self._finish()
        if self._bars:
            self._bars.stop()

    def note(self, message: str) -> None:
        self._print(message)

    def problem(self, message: str) -> None:
        self.problems += 1
        self._print(message)

    def finding(self, finding: AuditFinding) -> None:
        if self._report is None:
            self.problem(str(finding))
        else:
            self.problems += 1
            self._report(finding)

    def step(self, label: str, total: int | None = None) -> None:
        self._finish()
        self._label, self._total, self._done = label, total, 0
        self._started = self._last_printed = time.monotonic()
        if self._bars:
            if self._task is not None:
                self._bars.remove_task(self._task)
            self._task = self._bars.add_task(label, total=total)

    def advance(self, rows: int) -> None:
        self._done += rows
        if self._bars and self._task is not None:
            self._bars.advance(self._task, rows)
        elif time.monotonic() - self._last_printed > SECONDS_BETWEEN_LINES:
            self._last_printed = time.monotonic()
            self._print(self._summary())

    def _finish(self) -> None:
        if self._done and not self._bars:
            self._print(self._summary())

    def _summary(self) -> str:
        seconds = max(time.monotonic() - self._started, 0.001)
        rate = self._done / seconds
        line = f"{self._label}: {self._done} done, {rate:,.0f} a second"
        if self._total and self._done < self._total and rate:
            line += f", {(self._total - self._done) / rate:,.0f} seconds left"
        return line

    def _print(self, message: str) -> None:
        if self._bars:
            self._bars.console.print(message, markup=False, highlight=False)
        else:
            print(message, file=sys.stderr)
