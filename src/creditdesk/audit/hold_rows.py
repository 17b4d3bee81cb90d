"""Compares the holds on a credit with the journal entries that made and released them (rule 26)."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress

from creditdesk.audit.amount_text import amount_text
from creditdesk.audit.findings import AuditFinding, FindingCode
from creditdesk.entities.states import HoldState
from creditdesk.ledger.journal.causes import Cause
from creditdesk.ledger.journal.entry import EntryType, JournalEntry
from creditdesk.ledger.journal.mapping import CreditTypeMapping
from creditdesk.ledger.journal.terms import stated_hold_end
from creditdesk.ledger.rules.amounts import Amount
from creditdesk.schema.conversions import format_datetime
from creditdesk.schema.entity import Record

HOLD_COLUMNS = ("Id", "CreditKind", "CreditId", "Amount", "SourceKind", "SourceId", "AllocationId", "State", "Until")
"""The columns that `hold_differences` reads."""

_HoldKey = tuple[str | None, int | None, Amount, int | None, str]
_USED_CAUSES = frozenset({Cause.CONFIRMED, Cause.CHARGED})


def hold_differences(
    mapping: CreditTypeMapping,
    entries: Iterable[JournalEntry],
    holds: Sequence[Record],
    currency: str | None = None,
) -> Iterator[AuditFinding]:
    """The differences between one credit's holds and its entries.

    Each hold has an entry with its source, amount and decision, and another one when it has ended, whose cause says
    whether it became a use. Entries of format 1 have neither decision nor cause.
    """
    made = [entry for entry in entries if entry.kind is EntryType.HOLD]
    released = [entry for entry in entries if entry.kind is EntryType.RELEASE]
    is_linked = all(entry.allocation_id is not None for entry in (*made, *released))
    for hold in holds:
        if hold["State"] not in set(HoldState):
            message = f"hold #{hold['Id']} is in the unknown state {hold['State']!r}"
            yield AuditFinding(code=FindingCode.HOLD_STATE, message=message, record_id=hold["Id"])
    settled = [hold for hold in holds if hold["State"] != HoldState.HELD]
    compared = (
        (FindingCode.HOLDS, "holds", [_entry_key(e, mapping, is_linked) for e in made], _row_keys(holds, is_linked)),
        (
            FindingCode.SETTLED_HOLDS,
            "settled holds",
            [_entry_key(e, mapping, is_linked, _state_after(e)) for e in released],
            _row_keys(settled, is_linked, with_states=True),
        ),
    )
    for code, what, from_entries, from_rows in compared:
        expected, found = Counter(from_entries), Counter(from_rows)
        for key in sorted(expected.keys() | found.keys(), key=str):
            if expected[key] != found[key]:
                kind, source_id, scaled, *_ = key
                amount = amount_text(mapping, scaled // mapping.scale, currency)
                yield AuditFinding(
                    code=code,
                    message=f"the {what} of {amount} for {kind} {source_id} are "
                    f"{found[key]} and the journal says {expected[key]}",
                    stored=str(found[key]),
                    expected=str(expected[key]),
                )
    if is_linked:
        yield from _end_differences(mapping, made, holds)


def _end_differences(
    mapping: CreditTypeMapping, made: Iterable[JournalEntry], holds: Iterable[Record]
) -> Iterator[AuditFinding]:
    """The holds that end at another instant than their entries state; earlier entries state none."""
    expected: dict[_HoldKey, list[str | None]] = defaultdict(list)
    for entry in made:
        with suppress(ValueError):
            expected[_entry_key(entry, mapping, True)].append(stated_hold_end(entry))
    for hold in holds:
        [key] = _row_keys([hold], True)
        ends = expected.get(key)
        found = format_datetime(hold["Until"]) if hold["Until"] else None
        if ends and found not in ends:
            message = f"hold #{hold['Id']} ends at {found} and its line says {ends[0]}"
            yield AuditFinding(code=FindingCode.HOLD_END, message=message, record_id=hold["Id"])


def _state_after(release: JournalEntry) -> str:
    return (HoldState.CONFIRMED if release.cause in _USED_CAUSES else HoldState.RELEASED).value


def _entry_key(entry: JournalEntry, mapping: CreditTypeMapping, is_linked: bool, state: str = "") -> _HoldKey:
    amount = entry.amount * mapping.scale
    if not is_linked:
        return (entry.source_kind, entry.source_id, amount, None, "")
    return (entry.source_kind, entry.source_id, amount, entry.allocation_id, state)


def _row_keys(holds: Iterable[Record], is_linked: bool, *, with_states: bool = False) -> list[_HoldKey]:
    return [
        (
            hold["SourceKind"],
            hold["SourceId"],
            hold["Amount"],
            hold["AllocationId"] if is_linked else None,
            hold["State"] if is_linked and with_states else "",
        )
        for hold in holds
    ]
