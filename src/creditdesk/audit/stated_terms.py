"""Compares what the journal states of a credit's terms with the credit and its state (rules 4, 28, 35, 38)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from creditdesk.audit.findings import AuditFinding, FindingCode, difference
from creditdesk.ledger.journal.causes import Cause
from creditdesk.ledger.journal.entry import EntryType, JournalEntry
from creditdesk.ledger.journal.mapping import CreditTypeMapping
from creditdesk.ledger.journal.terms import stated_terms, term_columns, term_value
from creditdesk.ledger.rules.credit import DEFAULT_PRIORITY
from creditdesk.schema.conversions import format_decimal
from creditdesk.schema.counted_texts import counted_text
from creditdesk.schema.entity import Record
from creditdesk.schema.fields import Money

_EARLIER_NOTE: Final = re.compile(r"(priority|overdraft) (-?\d+)")
"""How settings were journalled before changes had documents."""
_UNSET: Final[tuple[object, ...]] = (None, False, [])


@dataclass(slots=True)
class StatedTerms:
    """The terms after a credit's entries, as JSON values by name.

    A grant that states terms states all of them; without such a grant, only later changes are known.
    """

    values: dict[str, Any] = field(default_factory=dict)
    is_whole: bool = False
    unreadable: list[int] = field(default_factory=list)

    @classmethod
    def of(cls, entries: Sequence[JournalEntry]) -> StatedTerms:
        """Reads the documents of a credit's entries in order; `unreadable` are the lines without terms in theirs."""
        stated = cls()
        for entry in entries:
            if entry.document is not None:
                try:
                    stated.values |= stated_terms(entry)
                except ValueError:
                    stated.unreadable.append(entry.sequence)
                else:
                    stated.is_whole = stated.is_whole or entry.kind is EntryType.GRANT
            elif not entry.amount and (note := _EARLIER_NOTE.fullmatch(entry.reason)):
                stated.values[note[1].capitalize()] = int(note[2])
        # An import may bring an overdraft of its own, which no entry states.
        if stated.is_whole and entries[0].cause is not Cause.IMPORTED:
            stated.values.setdefault("Overdraft", 0)
        return stated


def credit_term_differences(mapping: CreditTypeMapping, stated: StatedTerms, credit: Record) -> Iterator[AuditFinding]:
    """The terms of a credit that are not those that its journal states last."""
    for line in stated.unreadable:
        message = "its document cannot be read"
        yield AuditFinding(code=FindingCode.LINE_UNREADABLE, message=message, sequence=line)
    for name in term_columns(mapping.credit_entity):
        if not (stated.is_whole or name in stated.values):
            continue
        expected, found = stated.values.get(name), term_value(mapping.credit_entity, name, credit[name])
        if _differs(found, expected):
            yield difference(FindingCode.TERM, name, str(found), str(expected))
    overdraft = credit.get("Overdraft") or 0
    if "Overdraft" in credit and overdraft != stated.values.get("Overdraft", overdraft):
        stored, expected = (counted_text(uses, "{} use", "{} uses") for uses in (overdraft, stated.values["Overdraft"]))
        yield difference(FindingCode.OVERDRAFT, "the overdraft", stored, expected)


def state_term_differences(stated: StatedTerms, state: Mapping[str, Any]) -> Iterator[AuditFinding]:
    """The priority and the funding of a credit's state that are not those that its journal states last."""
    price = state["PricePaid"]
    values = {
        "Priority": state["Priority"],
        "Funding": state["Funding"],
        "PricePaid": None if price is None else format_decimal(price, Money.places),
        "SourceDocument": state["SourceDocument"],
    }
    # Credits from before fundings were recorded state none.
    known = {**values, "Priority": DEFAULT_PRIORITY, **stated.values}
    for name, value in values.items():
        if value != known[name]:
            yield difference(FindingCode.STATE, f"{name} of its state", str(value), str(known[name]))


def _differs(found: object, expected: object) -> bool:
    """Whether two terms differ; what is not set is empty, false or null."""
    return (None if found in _UNSET else found) != (None if expected in _UNSET else expected)
