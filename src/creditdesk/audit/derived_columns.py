"""Compares the columns beside an entry, and the state of a credit, with what the entries say."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any, Final

from creditdesk.ledger.journal.causes import recorded_cause
from creditdesk.ledger.journal.entry import EntryType, JournalEntry, from_epoch_microseconds
from creditdesk.ledger.journal.mapping import MAPPINGS, CreditTypeMapping
from creditdesk.ledger.journal.terms import stated_terms
from creditdesk.ledger.rules.credit import DEFAULT_PRIORITY
from creditdesk.schema.conversions import format_decimal
from creditdesk.schema.entity import Record
from creditdesk.schema.fields import Money
from creditdesk.schema.records import update_stamp

LINE_COLUMNS: Final = (
    *("CreatedOn", "UpdatedOn", "UpdatedBy"),
    *(mapping.credit_reference for mapping in MAPPINGS.values()),
)
"""The columns of a journal line that `line_differences` reads, beside those of its entry."""
STATE_COLUMNS: Final = ("Priority", "ExpirySwept", "GrantedFrom", "Funding", "PricePaid", "SourceDocument")
"""The columns of an account state that `state_differences` reads."""

_PRIORITY: Final = re.compile(r"priority (-?\d+)")
_GRANTED_FROM: Final = re.compile(r"(?:rolled over from|returned after) credit #(\d+)\b")


def line_differences(mapping: CreditTypeMapping, record: Record) -> Iterator[str]:
    """The columns of a journal line that do not follow from its entry."""
    stamp = update_stamp(record["RecordedOn"], record["Actor"])
    expected = {
        **stamp,
        "CreatedOn": stamp["UpdatedOn"],
        **{m.credit_reference: None for m in MAPPINGS.values()},
        mapping.credit_reference: record["CreditId"],
        **(_uncovered_columns(record) if record["FormatVersion"] == 1 else {}),
    }
    for name, value in expected.items():
        if record[name] != value:
            yield f"line {record['Sequence']}: {name} differs from the entry"


def _uncovered_columns(record: Record) -> dict[str, object]:
    """The columns that digests of format 1 do not cover, as far as they follow from the others."""
    return {
        "Cause": recorded_cause(record["Kind"], record["SourceKind"], record["HistoryId"]).value,
        "AllocationId": None,
        "Document": None,
    }


def state_differences(entries: Sequence[JournalEntry], state: Record) -> Iterator[str]:
    """The columns of a credit's state that do not follow from its entries."""
    priority, expired = DEFAULT_PRIORITY, None
    stated: dict[str, Any] = {}
    for entry in entries:
        is_note = entry.kind is EntryType.ADJUSTMENT and not entry.amount
        if is_note and (found := _PRIORITY.fullmatch(entry.reason)):
            priority = int(found[1])
        elif entry.kind is EntryType.EXPIRY:
            expired = from_epoch_microseconds(entry.effective_microseconds)
        try:
            stated |= stated_terms(entry)
        except ValueError:
            yield f"line {entry.sequence}: its document cannot be read"
    priority = stated.get("Priority", priority)
    price = state["PricePaid"]
    funding = {name: state[name] for name in ("Funding", "PricePaid", "SourceDocument")}
    funding["PricePaid"] = None if price is None else format_decimal(price, Money.places)
    for name, value in funding.items():
        # Credits from before fundings were recorded state none.
        if value != stated.get(name, value):
            yield f"{name} of its state is {value} and the journal says {stated[name]}"
    origin = _GRANTED_FROM.match(entries[0].reason) if entries else None
    expected = {
        "Priority": priority,
        "GrantedFrom": int(origin[1]) if origin else None,
        # An expiry that was extended later is forgotten.
        "ExpirySwept": None if state["ExpirySwept"] is None else expired,
    }
    for name, value in expected.items():
        if state[name] != value:
            yield f"{name} of its state is {state[name]} and the journal says {value}"
