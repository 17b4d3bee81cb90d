"""The prices at which bookings were charged (rule 22)."""

from __future__ import annotations

from collections.abc import Collection

from creditdesk.entities.ledger.allocation_document import AllocationDocument
from creditdesk.entities.states import Operation
from creditdesk.ledger.loaders.rows import TypedRow, find_rows
from creditdesk.ledger.rules.credit import BookingQuote, SourceKind
from creditdesk.ledger.rules.quotes import parse_quote
from creditdesk.schema.repository import Finder


class _ChargeRow(TypedRow, frozen=True, gc=False):
    """The decision that charged a booking."""

    entity = AllocationDocument

    source_id: int
    document: dict[str, object]


async def load_charged_quotes(finder: Finder, booking_ids: Collection[int]) -> dict[int, BookingQuote]:
    """The quote of each booking's last charge, by booking id.

    Left out are bookings that were never charged, or last by a version that stored no quote.
    """
    charges = await find_rows(
        finder,
        _ChargeRow,
        SourceId=set(booking_ids),
        SourceKind=SourceKind.BOOKING.value,
        Operation=Operation.CHARGE.value,
    )
    last = {charge.source_id: charge.document.get("quote") for charge in charges}
    return {booking_id: parse_quote(quote) for booking_id, quote in last.items() if isinstance(quote, dict)}
