"""The hash chain: golden bytes, and an encoding that no two entries share."""

import json
import struct
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from creditdesk.audit.chain_verifier import FindingKind
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
    content_digest,
    encode_entry,
    entry_digest,
    genesis_digest,
)
from creditdesk.schema.hash_link import link_digest
from tests.support.journals import (
    GOLDEN,
    common,
    faults,
    journal,
    line_of_format_2,
    sizes,
    use,
    wholes,
)

PREVIOUS = bytes(range(32))
line_of_format_1 = st.builds(
    JournalEntry, **common, kind=st.sampled_from([kind for kind in EntryType if kind is not EntryType.CHANGE])
)
any_line = line_of_format_1 | line_of_format_2


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


@given(st.datetimes(timezones=st.just(UTC)))
def test_instants_and_microseconds_convert_exactly(instant: datetime) -> None:
    assert from_epoch_microseconds(epoch_microseconds(instant)) == instant
