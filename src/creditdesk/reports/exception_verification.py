"""The findings of the last scheduled verification, as exceptions.

Only that job recomputes hash chains and checkpoints: a report would have to read the whole journal.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Final

from creditdesk.entities.ledger.job_state import JobState
from creditdesk.entities.ledger.verification_finding import VerificationFinding
from creditdesk.ledger.journal.entry import AccountType, epoch_microseconds
from creditdesk.ledger.loaders.rows import TypedRow, find_filtered
from creditdesk.reports.exception_rules import ExceptionCode
from creditdesk.reports.exception_values import ExceptionFinding
from creditdesk.reports.request import ReportRequest
from creditdesk.reports.result import label
from creditdesk.schema.conversions import format_datetime
from creditdesk.schema.query import where
from creditdesk.schema.repository import ReadSession

VERIFY_JOB: Final = "verify"
_ABOUT: Final = re.compile(r"([a-z]+ credit [0-9]+(?:, line [0-9]+)?|[A-Z][A-Za-z]+(?: [0-9]+)?): (.+)", re.DOTALL)
"""A stored finding about a credit, an entry or another record."""
_FOUND_AS_OF_NOW: Final = frozenset({"remaining", "total", "no_grant"})
"""Codes of findings about balances, which the report computes itself."""


class _FindingRow(TypedRow, frozen=True, gc=False):
    entity = VerificationFinding

    created_on: datetime
    code: str
    message: str
    credit_kind: AccountType | None
    credit_id: int | None


async def find_verification_findings(session: ReadSession, request: ReportRequest) -> list[ExceptionFinding]:
    """The findings about credits, and, for an unrestricted principal and all locations, the others."""
    is_about_all = request.principal.locations is None and request.is_of_locations and not request.locations
    found = []
    for row in await find_filtered(session, _FindingRow, ()):
        account = None if row.credit_kind is None or row.credit_id is None else (row.credit_kind, row.credit_id)
        if row.code in _FOUND_AS_OF_NOW or (account is None and not is_about_all):
            continue
        found.append(
            ExceptionFinding(
                ExceptionCode.VERIFICATION,
                f"{row.code}/{row.message}",
                _explanation(row),
                account,
                since=epoch_microseconds(row.created_on),
                of_ledger=is_about_all,
            )
        )
    return found


def finding_text(code: str, subject: str, message: str) -> str:
    """The code of a finding, its subject, which may be empty, and the difference."""
    quoted = f"`{code}`"
    return label(f"Finding {quoted} about {subject}: {message}" if subject else f"Finding {quoted}: {message}")


def _explanation(row: _FindingRow) -> str:
    found = _ABOUT.fullmatch(row.message)
    return finding_text(row.code, found[1], found[2]) if found else finding_text(row.code, "", row.message)


async def describe_verification(session: ReadSession) -> str:
    """When the whole ledger was last verified, and with which result."""
    states = await session.find(JobState, where(JobState, Name=VERIFY_JOB), columns=("Id", "EndedOn", "Result"))
    if not states or states[0]["EndedOn"] is None:
        return label("The scheduled verification has not run")
    return label(
        f"The scheduled verification of the whole ledger ended at {format_datetime(states[0]['EndedOn'])}: {states[0]['Result']}"
    )
