"""Uses: posted ones, and the history rows that show them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from msgspec import Struct

from creditdesk.ledger.journal.mapping import CreditTypeMapping
from creditdesk.ledger.rules.amounts import Amount
from creditdesk.ledger.rules.credit import SourceKey, SourceKind
from creditdesk.schema.entity import Record
from creditdesk.schema.query import where
from creditdesk.schema.repository import ReadSession

HISTORY_REFERENCES: Final[Mapping[SourceKind, str]] = {
    SourceKind.BOOKING: "BookingId",
    SourceKind.INVOICE_LINE: "CoworkerInvoiceLineId",
    SourceKind.EVENT_ATTENDANCE: "EventAttendeeId",
}
"""The columns by which a history row names what was paid."""

_SET_BY_LEDGER: Final = frozenset({"Id", "CreatedOn", "UpdatedOn", "UniqueId", "UpdatedBy", "CreditUsed"})


class PostedUse(Struct, frozen=True):
    """A use as it is posted to one of the histories.

    `amount` is None where the ledger is to work it out; `named` are the items that the use says it
    paid; `values` are the further values of its history row.
    """

    credit_id: int | None
    amount: Amount | None
    named: tuple[SourceKey, ...]
    description: str
    values: Mapping[str, object]


class UseRow(Struct, frozen=True):
    """A history row: a use, or a correction of its credit.

    `references` are the columns that name what was paid, with their values.
    """

    id: int
    credit_id: int
    amount: Amount
    references: Mapping[str, int]


def posted_use(mapping: CreditTypeMapping, record: Mapping[str, Any]) -> PostedUse:
    """The use that a record of the mapping's history posts."""
    named = [(kind, record.get(name)) for kind, name in HISTORY_REFERENCES.items()]
    return PostedUse(
        record[mapping.credit_reference],
        record.get("CreditUsed"),
        tuple(SourceKey(kind, item_id) for kind, item_id in named if item_id),
        record.get("Description") or "",
        {name: value for name, value in record.items() if value is not None and name not in _SET_BY_LEDGER},
    )


async def load_uses(session: ReadSession, mapping: CreditTypeMapping, use_ids: Sequence[int]) -> dict[int, UseRow]:
    """The history rows with these ids, by Id."""
    return await _find_uses(session, mapping, Id=tuple(use_ids)) if use_ids else {}


async def load_booking_uses(session: ReadSession, mapping: CreditTypeMapping, booking_id: int) -> dict[int, UseRow]:
    """The history rows that name a booking, by Id."""
    return await _find_uses(session, mapping, BookingId=booking_id)


async def _find_uses(session: ReadSession, mapping: CreditTypeMapping, **values: object) -> dict[int, UseRow]:
    history, stored = mapping.history_entity, mapping.history_entity.meta().columns
    links = [name for name in HISTORY_REFERENCES.values() if name in stored]
    columns = ("Id", mapping.credit_reference, "CreditUsed", *links)
    found = await session.find(history, where(history, **values), columns=columns)
    return {record["Id"]: _use_row(mapping, record, links) for record in found}


def _use_row(mapping: CreditTypeMapping, record: Record, links: Sequence[str]) -> UseRow:
    return UseRow(
        record["Id"],
        record[mapping.credit_reference],
        record["CreditUsed"] or 0,
        {name: record[name] for name in links if record[name]},
    )
