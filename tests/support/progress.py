"""A progress reporter that keeps what is reported."""

from __future__ import annotations

from creditdesk.audit.findings import AuditFinding


class CollectingReporter:
    """Keeps notes, problems and findings in lists; a finding is a problem too."""

    def __init__(self) -> None:
        self.findings: list[AuditFinding] = []
        self.notes: list[str] = []
        self.problems: list[str] = []
        self.rows = 0

    def note(self, message: str) -> None:
        self.notes.append(message)

    def problem(self, message: str) -> None:
        self.problems.append(message)

    def finding(self, finding: AuditFinding) -> None:
        self.findings.append(finding)
        self.problem(finding.text)

    def step(self, label: str, total: int | None = None) -> None:
        pass

    def advance(self, rows: int) -> None:
        self.rows += rows
