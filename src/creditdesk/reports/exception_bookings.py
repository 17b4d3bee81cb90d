"""Finds uses that paid for bookings which were cancelled (rule 24)."""

from __future__ import annotations

from collections.abc import Iterator

from creditdesk.entities.spaces.booking import Booking
from creditdesk.ledger.journal.causes import Cause
from creditdesk.ledger.loaders.rows import Flag, TypedRow, find_by_id
from creditdesk.ledger.rules.credit import SourceKind
from creditdesk.reports.exception_rules import ExceptionCode, LedgerException
from creditdesk.reports.ledger_view import LedgerView
from creditdesk.reports.open_uses import open_uses
from creditdesk.schema.repository import ReadSession


class _BookingRow(TypedRow, frozen=True, gc=False):
    entity = Booking

    invoiced: Flag


async def find_unreturned_uses(session: ReadSession, view: LedgerView) -> Iterator[LedgerException]:
    """The uses for bookings that were cancelled and not charged again."""
    cancelled = {
        entry.source_id
        for history in view.histories
        for entry in history.entries
        if entry.cause is Cause.CANCELLED and entry.source_kind == SourceKind.BOOKING.value
    }
    charged = {row.id for row in (await find_by_id(session, _BookingRow, cancelled)).values() if row.invoiced}
    return (
        LedgerException(
            ExceptionCode.NOT_RETURNED,
            history.credit.business_id,
            f"{history.credit.account_type}/{history.credit.id}/{entry.sequence}",
            f"Booking {entry.source_id} was cancelled, and entry {entry.id} by {entry.actor} uses credit for it",
            history.credit,
            history.credit.customer_id,
            left,
            entry.recorded,
        )
        for history, entry, left in open_uses(view)
        if entry.source_kind == SourceKind.BOOKING.value and entry.source_id in cancelled - charged
    )
