"""The hash chain of a credit's journal: each entry's digest covers every entry before it.

The byte format is frozen and described in docs/explanation/proof.md. It never changes; it may gain versions.
"""

import struct
from dataclasses import dataclass
from hashlib import sha256

from creditdesk.ledger.journal.entry import AccountType, EntryType, JournalEntry

FORMAT_VERSION = 1

_GENESIS, _CONTENT, _LINK = b"\x02", b"\x03", b"\x04"

ACCOUNT_TYPE_CODES = {AccountType.MONEY: 1, AccountType.TIME: 2}
ENTRY_TYPE_CODES = {
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

_pack_entry = struct.Struct(">4B12q4I").pack
_pack_genesis = struct.Struct(">BBq").pack


def encode_entry(entry: JournalEntry) -> bytes:
    """The entry's bytes in format 1. Raises ValueError for a value that does not fit the format."""
    if entry.format_version != FORMAT_VERSION:
        raise ValueError(f"unknown line format {entry.format_version}")
    source_kind, source_id, key = entry.source_kind, entry.source_id, entry.idempotency_key
    reverses, history_id = entry.reverses, entry.history_id
    present = 0
    source_text = key_text = b""
    # A missing value must differ from an empty or zero one, so presence has bits of its own.
    if source_kind is not None:
        present |= 1
        source_text = source_kind.encode()
    if source_id is not None:
        present |= 2
    if key is not None:
        present |= 4
        key_text = key.encode()
    if reverses is not None:
        present |= 8
    if history_id is not None:
        present |= 16
    if entry.override:
        present |= 32
    actor_text = entry.actor.encode()
    reason_text = entry.reason.encode()
    try:
        fixed = _pack_entry(
            FORMAT_VERSION,
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
            0 if source_id is None else source_id,
            0 if reverses is None else reverses,
            0 if history_id is None else history_id,
            len(source_text),
            len(actor_text),
            len(reason_text),
            len(key_text),
        )
    except (struct.error, KeyError) as error:
        raise ValueError(f"the line does not fit format {FORMAT_VERSION}: {error}") from error
    return fixed + source_text + actor_text + reason_text + key_text


def genesis_digest(credit_kind: AccountType, credit_id: int) -> bytes:
    """The digest before a credit's first entry."""
    code = ACCOUNT_TYPE_CODES[credit_kind]
    return sha256(_GENESIS + _pack_genesis(FORMAT_VERSION, code, credit_id)).digest()


def content_digest(entry: JournalEntry) -> bytes:
    """Digest of the entry's bytes alone; it identifies an entry without revealing it."""
    return sha256(_CONTENT + encode_entry(entry)).digest()


def link_digest(previous: bytes, content: bytes) -> bytes:
    """Digest of an entry from the digest before it and its content digest, 32 bytes each."""
    return sha256(_LINK + previous + content).digest()


def entry_digest(previous: bytes, entry: JournalEntry) -> bytes:
    """Digest of `entry` after an entry with digest `previous`, or after the credit's genesis."""
    content = sha256(_CONTENT + encode_entry(entry)).digest()
    return sha256(_LINK + previous + content).digest()


@dataclass(frozen=True, slots=True)
class ChainHead:
    """The end of a credit's chain: its newest entry's sequence and digest."""

    credit_kind: AccountType
    credit_id: int
    sequence: int
    digest: bytes
