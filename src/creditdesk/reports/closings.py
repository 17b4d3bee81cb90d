"""Which months of a location are closed, for the footers of reports."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from creditdesk.entities.reports.period_closing import PeriodClosing
from creditdesk.ledger.loaders.rows import TypedRow, find_rows
from creditdesk.reports.result import label
from creditdesk.schema.conversions import format_datetime
from creditdesk.schema.repository import ReadSession

CLOSED = "closed"
REOPENED = "reopened"


class ClosingRow(TypedRow, frozen=True, gc=False):
    """That a month was closed or opened again, when, and by whom."""

    entity = PeriodClosing

    business_id: int
    month: str
    until: datetime
    action: str
    reason: str
    created_on: datetime
    updated_by: str | None
    checkpoint_id: int | None


async def load_closings(session: ReadSession, location_ids: Iterable[int]) -> list[ClosingRow]:
    """Every closing and reopening of locations, oldest first."""
    wanted = tuple(location_ids)
    return await find_rows(session, ClosingRow, BusinessId=wanted) if wanted else []


def closing_note(row: ClosingRow, location: str) -> str:
    """`2026-10 of Mill Lane was closed on … by …`."""
    reason = f": {row.reason}" if row.reason else ""
    when = format_datetime(row.created_on)
    return label(f"{row.month} of {location} was {row.action} on {when} by {row.updated_by or 'nobody'}{reason}")


def is_closed(rows: Iterable[ClosingRow], month: str) -> bool:
    """Whether the newest record of the month closes it."""
    actions = [row.action for row in rows if row.month == month]
    return bool(actions) and actions[-1] == CLOSED
