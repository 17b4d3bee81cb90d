"""Compares a report of now, which may be added up from balances, with the one of the same instant, which never is."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from creditdesk.reports.catalog import run_report
from creditdesk.reports.documents import report_document
from creditdesk.reports.request import parse_report_request
from creditdesk.schema.conversions import format_datetime
from creditdesk.schema.repository import ReadSession
from tests.support.ledger_builder import ADMIN_PRINCIPAL


async def rows_of_now(
    session: ReadSession, business: int, now: datetime, name: str, **params: str
) -> list[dict[str, Any]]:
    """The rows of a location's report; asserts that it is the same from the journals."""
    reports: list[dict[str, Any]] = []
    for at in ({}, {"At": format_datetime(now)}):
        request = parse_report_request(name, {"LocationIds": [business], **params, **at}, ADMIN_PRINCIPAL, now)
        report = report_document(await run_report(session, request))
        reports.append({part: report.get(part) for part in ("Rows", "Totals", "Sections")})
    assert reports[0] == reports[1], (name, params, now)
    return list(reports[0]["Rows"])
