"""The hash chain: golden bytes, and detection of any tampering with a journal."""

import json
import struct
from datetime import UTC, datetime
from hashlib import sha256
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from creditdesk.audit.chain_verifier import ChainVerifier, FindingKind, check_heads, verify_chain
from creditdesk.ledger.journal.causes import Cause
from creditdesk.ledger.journal.entry import (
    AccountType,
    EntryType,
    JournalEntry,
    epoch_microseconds,
    from_epoch_microseconds,
)
from creditdesk.ledger.journal.hash_chain import (
    ACCOUNT_TYPE_CODES,
    ENTRY_TYPE_CODES,
    ChainHead,
    content_digest,
    encode_entry,
    entry_digest,
    genesis_digest,
)
from creditdesk.schema.hash_link import link_digest

GOLDEN = {
    version: json.loads((Path(__file__).parent / "golden" / name).read_text("utf-8"))
    for version, name in ((1, "lines.json"), (2, "lines-2.json"))
}
PREVIOUS = bytes(range(32))

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
line_of_format_1 = st.builds(
    JournalEntry, **common, kind=st.sampled_from([kind for kind in EntryType if kind is not EntryType.CHANGE])
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
any_line = line_of_format_1 | line_of_format_2
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


def decoded(data: bytes) -> JournalEntry:
    """Decodes an entry as docs/explanation/proof.md describes. Raises ValueError for other bytes."""
    form, integer_count = {1: (">4B12q4I", 12), 2: (">3BH17q7I", 17)}.get(data[0], (">4B", 0))
    at = struct.calcsize(form)
    head = struct.unpack(form, data[:at])
    version, credit_code, kind_code, present = head[:4]
    numbers, lengths = head[4 : 4 + integer_count], head[4 + integer_count :]
    parts = []
    for length in lengths:
        parts.append(data[at : at + length].decode())
        at += length
    credit_kinds = {code: kind for kind, code in ACCOUNT_TYPE_CODES.items()}
    line_kinds = {code: kind for kind, code in ENTRY_TYPE_CODES.items()}
    if version not in (1, 2) or credit_code not in credit_kinds or kind_code not in line_kinds:
        raise ValueError("unknown code")
    source, actor, reason, key = parts[:4]
    added: dict[str, Any] = {}
    if version == 2:
        added = {
            **dict(zip(("line_id", "location_id"), numbers[12:14], strict=True)),
            "owner_id": numbers[14] if present & 64 else None,
            "member_id": numbers[15] if present & 128 else None,
            "allocation_id": numbers[16] if present & 256 else None,
            "cause": Cause(parts[4]),
            "unique_id": parts[5],
            "document": parts[6] if present & 512 else None,
        }
    line = JournalEntry(
        credit_kind=credit_kinds[credit_code],
        kind=line_kinds[kind_code],
        **dict(zip(NUMBERS, numbers[:9], strict=True)),
        source_kind=source if present & 1 else None,
        source_id=numbers[9] if present & 2 else None,
        actor=actor,
        reason=reason,
        idempotency_key=key if present & 4 else None,
        reverses=numbers[10] if present & 8 else None,
        history_id=numbers[11] if present & 16 else None,
        override=bool(present & 32),
        format_version=version,
        **added,
    )
    if encode_entry(line) != data:
        raise ValueError("bytes that the format does not use")
    return line


NUMBERS = [
    "credit_id",
    "sequence",
    "amount",
    "balance_after",
    "held_after",
    "total_after",
    "rule_version",
    "effective_microseconds",
    "recorded_microseconds",
]


@pytest.mark.parametrize(
    "vector",
    [vector for vectors in GOLDEN.values() for vector in vectors],
    ids=lambda vector: f"{vector['line']['kind']} {vector['line']['format_version']}",
)
def test_golden_bytes_and_digests(vector: dict[str, Any]) -> None:
    line = JournalEntry.from_document(vector["line"])
    previous = bytes.fromhex(vector["previous"])
    assert encode_entry(line).hex() == vector["bytes"]
    assert content_digest(line).hex() == vector["content_digest"]
    assert entry_digest(previous, line).hex() == vector["digest"]
    assert link_digest(previous, content_digest(line)).hex() == vector["digest"]
    assert line.to_document() == vector["line"]
    assert decoded(bytes.fromhex(vector["bytes"])) == line


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


def test_genesis_digest_covers_version_type_and_id() -> None:
    expected = sha256(bytes.fromhex("0201020000000000000003")).digest()
    assert genesis_digest(AccountType.TIME, 3) == expected


@given(any_line)
def test_encoding_is_injective(line: JournalEntry) -> None:
    assert decoded(encode_entry(line)) == line
    assert JournalEntry.from_document(json.loads(json.dumps(line.to_document()))) == line


@given(any_line, st.integers(1, 255))
def test_flipped_byte_decodes_to_another_entry_or_fails(line: JournalEntry, flip: int) -> None:
    data = encode_entry(line)
    for place in range(len(data)):
        tampered = bytearray(data)
        tampered[place] ^= flip
        try:
            other = decoded(bytes(tampered))
        except (ValueError, struct.error):
            continue
        assert other != line
        assert entry_digest(PREVIOUS, other) != entry_digest(PREVIOUS, line)


@given(line_of_format_2, line_of_format_2)
def test_digest_covers_every_field(line: JournalEntry, other: JournalEntry) -> None:
    for name in JournalEntry.__struct_fields__:
        value = getattr(other, name)
        if value != getattr(line, name):
            changed = replace(line, **{name: value})
            assert entry_digest(PREVIOUS, changed) != entry_digest(PREVIOUS, line)


def test_missing_empty_and_zero_values_encode_differently() -> None:
    line = use(1)
    variants = [
        line,
        replace(line, source_kind=""),
        replace(line, source_id=0),
        replace(line, idempotency_key=""),
        replace(line, reverses=0),
        replace(line, history_id=0),
        replace(line, override=True),
        replace(line, owner_id=0),
        replace(line, member_id=0),
        replace(line, allocation_id=0),
        replace(line, document=""),
    ]
    assert len({entry_digest(PREVIOUS, variant) for variant in variants}) == len(variants)


@pytest.mark.parametrize(
    "change",
    [
        {"amount": 2**63},
        {"amount": 1.0},
        {"kind": "gift"},
        {"credit_kind": "paper"},
        {"reason": "\ud800"},
        {"format_version": 3},
        {"cause": None},
        {"location_id": None},
        {"kind": EntryType.CHANGE, "format_version": 1},
    ],
)
def test_values_outside_the_format_are_rejected(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        encode_entry(replace(use(1), **change))


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"amount": "5"}, "The field 'amount' is not a whole number in range."),
        ({"amount": True}, "The field 'amount' is not a whole number in range."),
        ({"actor": None}, "The field 'actor' is not a text."),
        ({"note": ""}, "The field 'note' is missing or does not belong here."),
    ],
)
def test_entry_document_is_parsed_strictly(change: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        JournalEntry.from_document(use(1).to_document() | change)


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
def test_swapped_entries_are_found(size: int, one: int, other: int) -> None:
    lines, digests = journal(size)
    one, other = sorted((one % size, other % size))
    if one == other:
        return
    lines[one], lines[other] = lines[other], lines[one]
    digests[one], digests[other] = digests[other], digests[one]
    expected = [(FindingKind.REORDERED, sequence) for sequence in range(one + 1, other + 1)]
    assert faults(lines, digests) == expected


@given(sizes, wholes, wholes)
def test_swapped_contents_are_found(size: int, one: int, other: int) -> None:
    lines, digests = journal(size)
    one, other = one % size, other % size
    if one == other:
        return
    first, second = lines[one], lines[other]
    lines[one] = replace(second, sequence=first.sequence)
    lines[other] = replace(first, sequence=second.sequence)
    assert faults(lines, digests) == [(FindingKind.CHANGED, at + 1) for at in sorted((one, other))]


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


@given(st.datetimes(timezones=st.just(UTC)))
def test_instants_and_microseconds_convert_exactly(instant: datetime) -> None:
    assert from_epoch_microseconds(epoch_microseconds(instant)) == instant
