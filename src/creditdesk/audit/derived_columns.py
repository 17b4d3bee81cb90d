"""Compares the derived columns of an entry, and the state of a credit, with the entries."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final

from creditdesk.audit.findings import AuditFinding, FindingCode, difference
from creditdesk.ledger.journal.causes import recorded_cause
from creditdesk.ledger.journal.entry import EntryType, JournalEntry, from_epoch_microseconds
from creditdesk.ledger.journal.mapping import MAPPINGS, CreditTypeMapping
from creditdesk.schema.entity import Record
from creditdesk.schema.records import update_stamp

LINE_COLUMNS: Final = (
    *("CreatedOn", "UpdatedOn", "UpdatedBy"),
    *(mapping.credit_reference for mapping in MAPPINGS.values()),
)
"""The columns of a journal line that `line_differences` reads, beside those of its entry."""
STATE_COLUMNS: Final = (
    *("Priority", "ExpirySwept", "GrantedFrom", "LastRecordedOn", "TimesRolled"),
    *("Funding", "PricePaid", "SourceDocument"),
)
"""The columns of an account state that follow from the entries."""

_ROLLED_OVER: Final = "rolled over from credit #"
_GRANTED_FROM: Final = re.compile(r"(?:rolled over from|returned after) credit #(\d+)\b")


def line_differences(mapping: CreditTypeMapping, record: Record) -> Iterator[AuditFinding]:
    """The columns of a journal line that differ from those derived from its entry."""
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
            message = f"{name} differs from the entry"
            yield AuditFinding(code=FindingCode.LINE_COLUMN, message=message, sequence=record["Sequence"])


def _uncovered_columns(record: Record) -> dict[str, object]:
    """The columns that digests of format 1 do not cover, as far as they follow from the others."""
    return {
        "Cause": recorded_cause(record["Kind"], record["SourceKind"], record["HistoryId"]).value,
        "AllocationId": None,
        "Document": None,
    }


def state_differences(entries: Sequence[JournalEntry], state: Record) -> Iterator[AuditFinding]:
    """The columns of a credit's state that differ from those derived from its entries."""
    expired = None
    for entry in entries:
        if entry.kind is EntryType.EXPIRY:
            expired = from_epoch_microseconds(entry.effective_microseconds)
        elif entry.kind is EntryType.REOPENING:
            expired = None
    origin = _GRANTED_FROM.match(entries[0].reason) if entries else None
    expected = {
        "GrantedFrom": int(origin[1]) if origin else None,
        "ExpirySwept": expired,
        "LastRecordedOn": from_epoch_microseconds(entries[-1].recorded_microseconds) if entries else None,
    }
    for name, value in expected.items():
        if state[name] != value:
            yield difference(FindingCode.STATE, f"{name} of its state", str(state[name]), str(value))


def rollover_difference(entries: Sequence[JournalEntry], times_rolled: int, parent_times: int) -> AuditFinding | None:
    """Whether a credit counts its rollovers as its grant says; `parent_times` is what it was rolled over from."""
    is_rolled = bool(entries) and entries[0].reason.startswith(_ROLLED_OVER)
    expected = parent_times + 1 if is_rolled else 0
    if times_rolled == expected:
        return None
    return difference(FindingCode.STATE, "TimesRolled of its state", str(times_rolled), str(expected))
