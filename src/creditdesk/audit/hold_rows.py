"""Compares the holds on a credit with the journal entries that made and released them (rule 26)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from creditdesk.entities.states import HoldState
from creditdesk.ledger.journal.entry import EntryType, JournalEntry
from creditdesk.ledger.rules.amounts import Amount
from creditdesk.schema.entity import Record

HOLD_COLUMNS = ("Id", "CreditKind", "CreditId", "Amount", "SourceKind", "SourceId", "State")
"""The columns that `hold_differences` reads."""

_HoldKey = tuple[str | None, int | None, Amount]


def hold_differences(scale: int, entries: Iterable[JournalEntry], holds: Sequence[Record]) -> Iterator[str]:
    """The differences between one credit's holds and its entries.

    Each hold has an entry of its source and amount, and another once nothing is held any more.
    `scale` converts the credit's smallest unit to stored decimals.
    """
    made: Counter[_HoldKey] = Counter()
    released: Counter[_HoldKey] = Counter()
    for entry in entries:
        key = (entry.source_kind, entry.source_id, entry.amount * scale)
        if entry.kind is EntryType.HOLD:
            made[key] += 1
        elif entry.kind is EntryType.RELEASE:
            released[key] += 1
    for hold in holds:
        if hold["State"] not in set(HoldState):
            yield f"hold #{hold['Id']} is in the unknown state {hold['State']!r}"
    settled = [hold for hold in holds if hold["State"] != HoldState.HELD]
    yield from _count_differences("holds", made, Counter(map(_hold_key, holds)))
    yield from _count_differences("settled holds", released, Counter(map(_hold_key, settled)))


def _hold_key(hold: Record) -> _HoldKey:
    return (hold["SourceKind"], hold["SourceId"], hold["Amount"])


def _count_differences(what: str, expected: Counter[_HoldKey], found: Counter[_HoldKey]) -> Iterator[str]:
    for key in sorted(expected.keys() | found.keys(), key=str):
        if expected[key] != found[key]:
            kind, source_id, amount = key
            yield (
                f"the {what} of {amount} for {kind} {source_id} are {found[key]} and the journal says {expected[key]}"
            )
