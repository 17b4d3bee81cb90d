"""The terms of credits at a past instant, from the changes that the journal has of them (rule 4).

A change takes effect when it is recorded. So the terms at T, as known at K, are those before the first change
after the earlier of both, or today's terms if there is no such change.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from msgspec.structs import replace

from creditdesk.entities.ledger.journal_line import JournalLine
from creditdesk.ledger.journal.causes import Cause
from creditdesk.ledger.journal.entry import EntryType
from creditdesk.ledger.journal.mapping import CreditTypeMapping
from creditdesk.ledger.journal.values import StoredCredit
from creditdesk.schema.conversions import parse_datetime
from creditdesk.schema.query import Comparison, Filter, Order, where
from creditdesk.schema.repository import ReadSession

PastTerms = Mapping[str, Any]
"""Terms that differ from today's, by name, as JSON values of their documents."""


async def load_past_terms(
    session: ReadSession,
    mapping: CreditTypeMapping,
    credit_ids: Sequence[int],
    at: datetime,
    as_known_at: datetime | None = None,
) -> Mapping[int, PastTerms]:
    """The terms at `at`, as known at `as_known_at`, by credit; only terms that were changed since."""
    if not credit_ids:
        return {}
    recorded = JournalLine.meta().columns["RecordedOn"]
    lines = await session.find(
        JournalLine,
        (
            *where(JournalLine, CreditKind=mapping.account_type.value, CreditId=tuple(credit_ids)),
            *where(JournalLine, Kind=EntryType.CHANGE.value),
            Filter(recorded, Comparison.AT_LEAST, min(at, as_known_at or at)),
        ),
        Order(recorded),
        columns=("Id", "CreditId", "RecordedOn", "Sequence", "Document"),
    )
    stood: dict[int, dict[str, Any]] = {}
    lines.sort(key=lambda line: (line["CreditId"], line["Sequence"]))
    for line in lines:
        if line["RecordedOn"] <= min(at, as_known_at or at):
            continue
        terms = stood.setdefault(line["CreditId"], {})
        for name, (before, _) in json.loads(line["Document"]).items():
            terms.setdefault(name, before)
    return stood


async def find_former_credits(session: ReadSession, mapping: CreditTypeMapping, customer_id: int) -> set[int]:
    """The credits that a customer gave up to another owner."""
    lines = await session.find(
        JournalLine,
        where(
            JournalLine,
            CoworkerId=customer_id,
            CreditKind=mapping.account_type.value,
            Cause=Cause.OWNER_CHANGED.value,
        ),
        columns=("Id", "CreditId"),
    )
    return {line["CreditId"] for line in lines}


def with_past_terms(credit: StoredCredit, terms: PastTerms) -> StoredCredit:
    """The credit with its window, owner, location, rate and overdraft as they stood."""
    window = {
        name: parse_datetime(terms[term])[0] if terms[term] else None
        for term, name in (("ValidFrom", "valid_from"), ("ExpireDate", "expires"))
        if term in terms
    }
    others = {
        name: terms[term]
        for term, name in (
            ("CoworkerId", "customer_id"),
            ("BusinessId", "business_id"),
            ("ExtraServiceId", "rate_id"),
            ("Overdraft", "overdraft"),
        )
        if term in terms
    }
    return replace(credit, **window, **others) if terms else credit
