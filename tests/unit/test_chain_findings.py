"""Verification of hash chains: any tampering with a journal is found."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from creditdesk.audit.chain_verifier import ChainVerifier, FindingKind, check_heads, verify_chain
from creditdesk.ledger.journal.entry import (
    AccountType,
    EntryType,
    JournalEntry,
)
from creditdesk.ledger.journal.hash_chain import (
    ChainHead,
    entry_digest,
    genesis_digest,
)
from tests.support.journals import GOLDEN, chained, faults, journal, line_of_format_2, sizes, use, wholes


@pytest.mark.parametrize("version", [1, 2])
def test_golden_journal_verifies_and_has_every_entry_type(version: int) -> None:
    lines = [JournalEntry.from_document(vector["line"]) for vector in GOLDEN[version]]
    digests = [bytes.fromhex(vector["digest"]) for vector in GOLDEN[version]]
    assert verify_chain(lines, digests) == []
    assert {line.format_version for line in lines} == {version}
    assert {line.kind for line in lines} == set(EntryType) - ({EntryType.CHANGE} if version == 1 else set())
    for before, line in pairwise(lines):
        if line.sequence > 1:
            assert line.balance_after == before.balance_after + line.balance_change
            assert line.held_after == before.held_after + line.held_change


@given(sizes)
def test_intact_journal_has_no_findings(size: int) -> None:
    lines, digests = journal(size)
    assert verify_chain(lines, digests) == []


@given(sizes, wholes, line_of_format_2, st.sampled_from(JournalEntry.__struct_fields__))
def test_changed_field_is_found(size: int, at: int, other: JournalEntry, name: str) -> None:
    lines, digests = journal(size)
    at %= size
    value = getattr(other, name)
    if value == getattr(lines[at], name):
        return
    sequence = lines[at].sequence
    lines[at] = replace(lines[at], **{name: value})
    found = faults(lines, digests)
    if name in ("credit_kind", "credit_id", "sequence"):
        # The entry replaces another one: found at both positions.
        assert found or sequence == size
        assert found or check_heads(*heads_of(lines, digests, size))
    else:
        assert found == [(FindingKind.CHANGED, sequence)]


def heads_of(lines: list[JournalEntry], digests: list[bytes], size: int) -> tuple[list[ChainHead], list[ChainHead]]:
    reading = ChainVerifier()
    reading.add(lines, digests)
    return reading.heads, [ChainHead(AccountType.MONEY, 7, size, journal(size)[1][-1])]


@given(sizes, wholes, st.integers(0, 255))
def test_changed_digest_is_found_once(size: int, at: int, bit: int) -> None:
    lines, digests = journal(size)
    at %= size
    tampered = bytearray(digests[at])
    tampered[bit // 8] ^= 1 << bit % 8
    digests[at] = bytes(tampered)
    assert faults(lines, digests) == [(FindingKind.CHANGED, at + 1)]


@given(sizes, wholes)
def test_recomputed_digest_is_found_at_the_next_entry(size: int, at: int) -> None:
    lines, digests = journal(size)
    at %= size - 1
    lines[at] = replace(lines[at], amount=1)
    before = digests[at - 1] if at else genesis_digest(AccountType.MONEY, 7)
    digests[at] = entry_digest(before, lines[at])
    assert faults(lines, digests) == [(FindingKind.CHANGED, at + 2)]


@given(sizes, wholes)
def test_removed_entry_is_found(size: int, at: int) -> None:
    lines, digests = journal(size)
    at %= size
    del lines[at], digests[at]
    if at < size - 1:
        assert faults(lines, digests) == [(FindingKind.MISSING, at + 1)]
    else:
        assert faults(lines, digests) == []
        [finding] = check_heads(*heads_of(lines, digests, size))
        assert (finding.kind, finding.sequence) == (FindingKind.TRUNCATED, size)


@given(sizes, wholes, wholes)
def test_duplicate_entry_is_found_at_any_position(size: int, at: int, later: int) -> None:
    lines, digests = journal(size)
    at %= size
    place = at + 1 + later % (size - at)
    lines.insert(place, lines[at])
    digests.insert(place, digests[at])
    assert faults(lines, digests) == [(FindingKind.DUPLICATED, at + 1)]


@given(sizes, wholes)
def test_inserted_entry_with_used_number_is_found(size: int, at: int) -> None:
    lines, digests = journal(size)
    at %= size
    inserted = replace(lines[at], amount=1)
    lines.insert(at + 1, inserted)
    digests.insert(at + 1, entry_digest(digests[at], inserted))
    assert faults(lines, digests) == [(FindingKind.INSERTED, at + 1)]


@given(sizes, wholes)
def test_inserted_entry_that_shifts_numbers_is_found(size: int, at: int) -> None:
    lines, digests = journal(size)
    at %= size
    before = digests[at - 1] if at else genesis_digest(AccountType.MONEY, 7)
    inserted = replace(lines[at], amount=1)
    moved = [replace(line, sequence=line.sequence + 1) for line in lines[at:]]
    found = faults(
        [*lines[:at], inserted, *moved],
        [*digests[:at], entry_digest(before, inserted), *digests[at:]],
    )
    assert found == [(FindingKind.CHANGED, sequence) for sequence in range(at + 2, size + 2)]


def test_sequence_below_one_is_found() -> None:
    lines, digests = journal(3)
    lines.insert(0, use(0))
    digests.insert(0, bytes(32))
    assert faults(lines, digests) == [(FindingKind.INSERTED, 0)]


def test_wide_gap_is_one_finding() -> None:
    lines = [use(1), use(10**12)]
    [finding] = verify_chain(lines, [chained(lines)[0], bytes(32)])
    assert str(finding) == "money credit 7, line 2: the lines to 999999999999 are missing"


def test_entry_outside_the_format_is_found() -> None:
    lines, digests = journal(3)
    lines[1] = replace(lines[1], kind="gift")
    assert faults(lines, digests) == [(FindingKind.CHANGED, 2)]


def test_interleaved_credits_verify_in_batches() -> None:
    lines = [use(1, 8), use(1, 7), use(2, 7), use(2, 8), use(3, 7)]
    digests = chained(lines)
    reading = ChainVerifier()
    reading.add(lines[:2], digests[:2])
    reading.add(lines[2:], digests[2:])
    assert reading.findings == []
    assert reading.heads == [
        ChainHead(AccountType.MONEY, 7, 3, digests[4]),
        ChainHead(AccountType.MONEY, 8, 2, digests[3]),
    ]


def test_stored_heads_reveal_truncation_and_rewriting() -> None:
    digest, other = bytes(32), bytes([1]) * 32

    def head(credit_id: int, sequence: int, digest: bytes = digest) -> ChainHead:
        return ChainHead(AccountType.MONEY, credit_id, sequence, digest)

    found = [head(1, 3), head(2, 3), head(3, 3), head(4, 3), head(6, 3)]
    recorded = [head(1, 3), head(2, 4), head(3, 2), head(4, 3, other), head(5, 2)]
    assert [str(finding) for finding in check_heads(found, recorded)] == [
        "money credit 2, line 4: the newest lines are cut off: the journal ends at 3",
        "money credit 3, line 2: the journal goes on to line 3, the credit does not know them",
        "money credit 4, line 3: the journal's newest digest is not the one recorded with the credit",
        "money credit 5, line 2: the newest lines are cut off: the journal ends at 0",
        "money credit 6, line 1: the journal has lines of a credit that records none",
    ]
