"""Journals of made-up entries, and the golden ones."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from creditdesk.audit.chain_verifier import FindingKind, verify_chain
from creditdesk.ledger.journal.causes import Cause
from creditdesk.ledger.journal.entry import (
    AccountType,
    EntryType,
    JournalEntry,
)
from creditdesk.ledger.journal.hash_chain import (
    entry_digest,
    genesis_digest,
)

GOLDEN = {
    version: json.loads((Path(__file__).parents[1] / "unit" / "golden" / name).read_text("utf-8"))
    for version, name in ((1, "lines.json"), (2, "lines-2.json"))
}

integers = st.integers(-(2**63), 2**63 - 1)
texts = st.text(max_size=12)
common = dict[str, st.SearchStrategy[Any]](
    credit_kind=st.sampled_from(AccountType),
    credit_id=integers,
    sequence=integers,
    amount=integers,
    balance_after=integers,
    held_after=integers,
    total_after=integers,
    source_kind=st.none() | texts,
    source_id=st.none() | integers,
    actor=texts,
    reason=texts,
    idempotency_key=st.none() | texts,
    reverses=st.none() | integers,
    rule_version=integers,
    effective_microseconds=integers,
    recorded_microseconds=integers,
    history_id=st.none() | integers,
    override=st.booleans(),
)
line_of_format_2 = st.builds(
    JournalEntry,
    **common,
    kind=st.sampled_from(EntryType),
    cause=st.sampled_from(Cause),
    line_id=integers,
    unique_id=texts,
    location_id=integers,
    owner_id=st.none() | integers,
    member_id=st.none() | integers,
    allocation_id=st.none() | integers,
    document=st.none() | texts,
    format_version=st.just(2),
)
sizes = st.integers(2, 9)
wholes = st.integers(0, 10**6)


def use(sequence: int, credit_id: int = 7) -> JournalEntry:
    return JournalEntry(
        credit_kind=AccountType.MONEY,
        credit_id=credit_id,
        sequence=sequence,
        kind=EntryType.USE,
        amount=1000,
        balance_after=10**6 - 1000 * sequence,
        held_after=0,
        total_after=10**6,
        actor="anna@example.com",
        rule_version=1,
        effective_microseconds=sequence,
        recorded_microseconds=sequence,
        format_version=2,
    )


def chained(lines: list[JournalEntry]) -> list[bytes]:
    digests: list[bytes] = []
    ends: dict[int, bytes] = {}
    for line in lines:
        genesis = genesis_digest(line.credit_kind, line.credit_id)
        ends[line.credit_id] = entry_digest(ends.get(line.credit_id, genesis), line)
        digests.append(ends[line.credit_id])
    return digests


def journal(size: int) -> tuple[list[JournalEntry], list[bytes]]:
    lines = [use(sequence) for sequence in range(1, size + 1)]
    return lines, chained(lines)


def faults(lines: list[JournalEntry], digests: list[bytes]) -> list[tuple[FindingKind, int | None]]:
    return [(finding.kind, finding.sequence) for finding in verify_chain(lines, digests)]
