"""Compares the holds on a credit with the journal entries that made and released them (rule 26)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from creditdesk.audit.amount_text import amount_text
from creditdesk.audit.findings import AuditFinding, FindingCode
from creditdesk.entities.states import HoldState
from creditdesk.ledger.journal.entry import EntryType, JournalEntry
from creditdesk.ledger.journal.mapping import CreditTypeMapping
from creditdesk.ledger.rules.amounts import Amount
from creditdesk.schema.entity import Record

HOLD_COLUMNS = ("Id", "CreditKind", "CreditId", "Amount", "SourceKind", "SourceId", "State")
"""The columns that `hold_differences` reads."""

_HoldKey = tuple[str | None, int | None, Amount]


def hold_differences(
    mapping: CreditTypeMapping,
    entries: Iterable[JournalEntry],
    holds: Sequence[Record],
    currency: str | None = None,
) -> Iterator[AuditFinding]:
    """The differences between one credit's holds and its entries.

    Each hold has an entry of its source and amount, and another once nothing is held any more.
    """
    made: Counter[_HoldKey] = Counter()
    released: Counter[_HoldKey] = Counter()
    for entry in entries:
        key = (entry.source_kind, entry.source_id, entry.amount * mapping.scale)
        if entry.kind is EntryType.HOLD:
            made[key] += 1
        elif entry.kind is EntryType.RELEASE:
            released[key] += 1
    for hold in holds:
        if hold["State"] not in set(HoldState):
            message = f"hold #{hold['Id']} is in the unknown state {hold['State']!r}"
            yield AuditFinding(code=FindingCode.HOLD_STATE, message=message, record_id=hold["Id"])
    settled = [hold for hold in holds if hold["State"] != HoldState.HELD]
    compared = (
        (FindingCode.HOLDS, "holds", made, Counter(map(_hold_key, holds))),
        (FindingCode.SETTLED_HOLDS, "settled holds", released, Counter(map(_hold_key, settled))),
    )
    for code, what, expected, found in compared:
        for key in sorted(expected.keys() | found.keys(), key=str):
            if expected[key] != found[key]:
                kind, source_id, scaled = key
                amount = amount_text(mapping, scaled // mapping.scale, currency)
                yield AuditFinding(
                    code=code,
                    message=f"the {what} of {amount} for {kind} {source_id} are {found[key]} "
                    f"and the journal says {expected[key]}",
                    stored=str(found[key]),
                    expected=str(expected[key]),
                )


def _hold_key(hold: Record) -> _HoldKey:
    return (hold["SourceKind"], hold["SourceId"], hold["Amount"])
