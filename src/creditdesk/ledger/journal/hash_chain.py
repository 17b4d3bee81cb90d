"""The hash chain of a credit's journal: each entry's digest covers every entry before it.

The byte formats are frozen and described in docs/explanation/proof.md. Formats never change;
a new one gets a version of its own.
"""

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256

from creditdesk.ledger.journal.entry import AccountType, EntryType, JournalEntry
from creditdesk.schema.hash_link import link_digest

FORMAT_VERSION = 2
"""The format of new entries. Stored ones keep the format that they were hashed under."""

_GENESIS, _CONTENT = b"\x02", b"\x03"
_GENESIS_VERSION = 1

ACCOUNT_TYPE_CODES = {AccountType.MONEY: 1, AccountType.TIME: 2}
_FORMAT_1_CODES = {
    EntryType.GRANT: 1,
    EntryType.USE: 2,
    EntryType.REVERSAL: 3,
    EntryType.ADJUSTMENT: 4,
    EntryType.EXPIRY: 5,
    EntryType.REOPENING: 6,
    EntryType.VOID: 7,
    EntryType.HOLD: 8,
    EntryType.RELEASE: 9,
}
ENTRY_TYPE_CODES = {**_FORMAT_1_CODES, EntryType.CHANGE: 10}

_pack_format_1 = struct.Struct(">4B12q4I").pack
_pack_format_2 = struct.Struct(">3BH17q7I").pack
_pack_genesis = struct.Struct(">BBq").pack


def encode_entry(entry: JournalEntry) -> bytes:
    """The entry's bytes in its format. Raises ValueError for a value that does not fit the format."""
    encode = _ENCODERS.get(entry.format_version)
    if encode is None:
        raise ValueError(f"unknown line format {entry.format_version}")
    try:
        return encode(entry)
    except (struct.error, KeyError, AttributeError) as error:
        raise ValueError(f"the line does not fit format {entry.format_version}: {error}") from error


def _presence(entry: JournalEntry) -> int:
    """One bit for each optional value that is present, so that a missing value differs from an empty or zero one."""
    present = 0
    if entry.source_kind is not None:
        present |= 1
    if entry.source_id is not None:
        present |= 2
    if entry.idempotency_key is not None:
        present |= 4
    if entry.reverses is not None:
        present |= 8
    if entry.history_id is not None:
        present |= 16
    return present | 32 if entry.override else present


def _encode_format_1(entry: JournalEntry) -> bytes:
    source_text = (entry.source_kind or "").encode()
    actor_text = entry.actor.encode()
    reason_text = entry.reason.encode()
    key_text = (entry.idempotency_key or "").encode()
    fixed = _pack_format_1(
        1,
        ACCOUNT_TYPE_CODES[entry.credit_kind],
        _FORMAT_1_CODES[entry.kind],
        _presence(entry),
        entry.credit_id,
        entry.sequence,
        entry.amount,
        entry.balance_after,
        entry.held_after,
        entry.total_after,
        entry.rule_version,
        entry.effective_microseconds,
        entry.recorded_microseconds,
        entry.source_id or 0,
        entry.reverses or 0,
        entry.history_id or 0,
        len(source_text),
        len(actor_text),
        len(reason_text),
        len(key_text),
    )
    return fixed + source_text + actor_text + reason_text + key_text


def _encode_format_2(entry: JournalEntry) -> bytes:
    present = _presence(entry)
    if entry.owner_id is not None:
        present |= 64
    if entry.member_id is not None:
        present |= 128
    if entry.allocation_id is not None:
        present |= 256
    if entry.document is not None:
        present |= 512
    source_text = (entry.source_kind or "").encode()
    actor_text = entry.actor.encode()
    reason_text = entry.reason.encode()
    key_text = (entry.idempotency_key or "").encode()
    cause_text = entry.cause.encode()
    unique_text = entry.unique_id.encode()
    document_text = (entry.document or "").encode()
    fixed = _pack_format_2(
        2,
        ACCOUNT_TYPE_CODES[entry.credit_kind],
        ENTRY_TYPE_CODES[entry.kind],
        present,
        entry.credit_id,
        entry.sequence,
        entry.amount,
        entry.balance_after,
        entry.held_after,
        entry.total_after,
        entry.rule_version,
        entry.effective_microseconds,
        entry.recorded_microseconds,
        entry.source_id or 0,
        entry.reverses or 0,
        entry.history_id or 0,
        entry.line_id,
        entry.location_id,
        entry.owner_id or 0,
        entry.member_id or 0,
        entry.allocation_id or 0,
        len(source_text),
        len(actor_text),
        len(reason_text),
        len(key_text),
        len(cause_text),
        len(unique_text),
        len(document_text),
    )
    return fixed + source_text + actor_text + reason_text + key_text + cause_text + unique_text + document_text


_ENCODERS: Mapping[int, Callable[[JournalEntry], bytes]] = {1: _encode_format_1, 2: _encode_format_2}


def genesis_digest(credit_kind: AccountType, credit_id: int) -> bytes:
    """The digest before a credit's first entry."""
    code = ACCOUNT_TYPE_CODES[credit_kind]
    return sha256(_GENESIS + _pack_genesis(_GENESIS_VERSION, code, credit_id)).digest()


def content_digest(entry: JournalEntry) -> bytes:
    """Digest of the entry's bytes alone; it identifies an entry without revealing it."""
    return sha256(_CONTENT + encode_entry(entry)).digest()


def entry_digest(previous: bytes, entry: JournalEntry) -> bytes:
    """Digest of `entry` after an entry with digest `previous`, or after the credit's genesis."""
    return link_digest(previous, sha256(_CONTENT + encode_entry(entry)).digest())


@dataclass(frozen=True, slots=True)
class ChainHead:
    """The end of a credit's chain: its newest entry's sequence and digest."""

    credit_kind: AccountType
    credit_id: int
    sequence: int
    digest: bytes
