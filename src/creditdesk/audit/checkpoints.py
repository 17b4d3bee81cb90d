"""Creates checkpoints of the stored ledger and proofs of its entries (docs/explanation/proof.md).

`checkpoint_format` defines both; this module reads the journal and stores the checkpoints.
"""

from __future__ import annotations

import asyncio
import base64
import secrets
import struct
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from creditdesk.audit.checkpoint_format import (
    Checkpoint,
    Proof,
    create_proof,
    generate_key,
    private_from_pem,
    private_pem,
    sign_checkpoint,
)
from creditdesk.audit.merkle import BLINDING_BYTES, MerkleTree, encode_head
from creditdesk.auth.encryption import NO_CIPHER, SecretCipher
from creditdesk.entities.ledger.account_state import AccountState
from creditdesk.entities.ledger.checkpoint_heads import CheckpointHeads
from creditdesk.entities.ledger.journal_line import JournalLine
from creditdesk.entities.ledger.stored_checkpoint import StoredCheckpoint
from creditdesk.entities.security.signing_key import SigningKey
from creditdesk.ledger.journal.entry import AccountType, epoch_microseconds
from creditdesk.ledger.journal.hash_chain import ACCOUNT_TYPE_CODES, ChainHead
from creditdesk.ledger.journal.mapping import MAPPINGS, entry_from_record
from creditdesk.schema.batches import find_batches
from creditdesk.schema.entity import Record
from creditdesk.schema.errors import Conflict, NotFound
from creditdesk.schema.query import Comparison, Filter, Order, where
from creditdesk.schema.records import new_record
from creditdesk.schema.repository import ReadSession, WriteSession, find_first

SIGNING_KEY_NAME: Final = "checkpoints"
HEADS_PER_RECORD: Final = 1000
"""Number of heads in one stored record."""
_STATE_BATCH_SIZE: Final = 5000
_MAX_CANDIDATES: Final = 3
_MAX_CACHED_TREES: Final = 2
_iter_packed_heads: Final = struct.Struct(">xBqq32s").iter_unpack
_CREDIT_KINDS_BY_CODE: Final = {code: kind for kind, code in ACCOUNT_TYPE_CODES.items()}


@dataclass(frozen=True, slots=True)
class LoadedCheckpoint:
    """A stored checkpoint with its public key and the secret that blinds its tree."""

    id: int
    checkpoint: Checkpoint
    public_key: Ed25519PublicKey
    blinding: bytes


async def create_checkpoint(
    session: WriteSession,
    now: datetime,
    key: Ed25519PrivateKey | None = None,
    cipher: SecretCipher = NO_CIPHER,
) -> Checkpoint:
    """Creates and stores a checkpoint of every credit's journal, with the heads for its proofs.

    Without `key` the database's own is used, which the first call creates. The time of a checkpoint
    is never before that of the last one. Raises Conflict when another one is created concurrently.
    """
    signer = key or await _database_key(session, now, cipher)
    previous = await latest_checkpoint(session)
    heads = await _load_heads(session)
    blinding = secrets.token_bytes(BLINDING_BYTES)
    tree = await asyncio.to_thread(MerkleTree, heads, blinding)
    before = previous.checkpoint if previous else None
    created = max(epoch_microseconds(now), before.created_microseconds if before else 0)
    checkpoint = sign_checkpoint(tree, before, created, signer)
    values = {
        "Document": checkpoint.document(),
        "Previous": checkpoint.previous.hex(),
        "KeyFingerprint": checkpoint.key_fingerprint.hex(),
        "PublicKey": signer.public_key().public_bytes_raw().hex(),
        "Blinding": blinding.hex(),
    }
    record = new_record(StoredCheckpoint, values, now, "")
    (checkpoint_id,) = await session.insert(StoredCheckpoint, [record])
    await session.insert(CheckpointHeads, list(_head_records(tree.heads, checkpoint_id, now)))
    return checkpoint


class MerkleTreeCache:
    """The Merkle trees used last, so that proofs of one checkpoint build its tree once."""

    def __init__(self) -> None:
        self._trees: OrderedDict[int, MerkleTree] = OrderedDict()

    async def get(self, session: ReadSession, checkpoint: LoadedCheckpoint) -> MerkleTree:
        """The tree of a checkpoint. Raises ValueError when the stored heads do not match it."""
        tree = self._trees.get(checkpoint.id)
        if tree is None:
            tree = await load_tree(session, checkpoint)
            if tree.root != checkpoint.checkpoint.root:
                raise ValueError("the heads stored for the checkpoint do not match it")
            self._trees[checkpoint.id] = tree
            if len(self._trees) > _MAX_CACHED_TREES:
                self._trees.popitem(last=False)
        return tree


async def prove_entry(
    session: ReadSession,
    entry_id: int,
    scope: Sequence[Filter] = (),
    tree_cache: MerkleTreeCache | None = None,
) -> Proof:
    """The proof of one journal entry, from the first checkpoint that covers it.

    scope: filters for what the caller may see; NotFound outside it. Raises Conflict when no
    checkpoint covers the entry yet, or when the journal no longer matches the checkpoint.
    """
    record = await session.get(JournalLine, entry_id, tuple(scope))
    if record is None:
        raise NotFound
    kept, last = await _covering_checkpoint(session, record)
    lines = await _load_entries(session, record, last)
    earlier = [line for line in lines if line["Sequence"] < record["Sequence"]]
    later = [line for line in lines if line["Sequence"] > record["Sequence"]]
    try:
        tree = await (tree_cache or MerkleTreeCache()).get(session, kept)
        previous = bytes.fromhex(earlier[0]["Digest"]) if earlier else None
        following = [entry_from_record(line) for line in later]
        return create_proof(entry_from_record(record), previous, following, tree, kept.checkpoint)
    except (KeyError, ValueError):
        raise Conflict("This line cannot be proven: the journal differs from its checkpoint.") from None


async def entry_id_of_use(session: ReadSession, kind: AccountType, history_id: int) -> int:
    """The Id of the journal entry of a use-history row. Raises NotFound when there is none."""
    side = MAPPINGS[kind]
    history = await session.get(side.history_entity, history_id)
    if history is None:
        raise NotFound
    filters = where(
        JournalLine,
        CreditKind=kind.value,
        CreditId=history[side.credit_reference],
        HistoryId=history_id,
    )
    found = await find_first(session, JournalLine, filters)
    if found is None:
        raise NotFound
    return int(found["Id"])


async def latest_checkpoint(session: ReadSession, key_fingerprint: str | None = None) -> LoadedCheckpoint | None:
    """The newest checkpoint, or the newest under the key with this fingerprint (hex)."""
    filters = where(StoredCheckpoint, KeyFingerprint=key_fingerprint) if key_fingerprint else ()
    newest_first = Order(StoredCheckpoint.meta().columns["Id"], descending=True)
    found = await find_first(session, StoredCheckpoint, filters, newest_first)
    return load_record(found) if found else None


async def load_tree(session: ReadSession, checkpoint: LoadedCheckpoint) -> MerkleTree:
    """The tree of the heads stored for a checkpoint. Raises ValueError for a duplicate credit."""
    runs = await session.find(CheckpointHeads, where(CheckpointHeads, StoredCheckpointId=checkpoint.id))
    return await asyncio.to_thread(
        lambda: MerkleTree([head for run in runs for head in _checked_heads(run)], checkpoint.blinding)
    )


def load_record(record: Record) -> LoadedCheckpoint:
    """The checkpoint of a stored record. Raises ValueError when the record is damaged."""
    return LoadedCheckpoint(
        record["Id"],
        Checkpoint.from_document(record["Document"]),
        Ed25519PublicKey.from_public_bytes(bytes.fromhex(record["PublicKey"])),
        bytes.fromhex(record["Blinding"]),
    )


async def _database_key(session: WriteSession, now: datetime, cipher: SecretCipher) -> Ed25519PrivateKey:
    found = await find_first(session, SigningKey, where(SigningKey, Name=SIGNING_KEY_NAME))
    if found:
        return private_from_pem(cipher.decrypt(found["Secret"]).encode())
    key = generate_key()
    values = {"Name": SIGNING_KEY_NAME, "Secret": cipher.encrypt(private_pem(key).decode())}
    await session.insert(SigningKey, [new_record(SigningKey, values, now, "")])
    return key


async def _load_heads(session: ReadSession) -> list[ChainHead]:
    return [
        ChainHead(
            AccountType(state["CreditKind"]),
            state["CreditId"],
            state["Sequence"],
            bytes.fromhex(state["Digest"]),
        )
        async for states in find_batches(session, AccountState, _STATE_BATCH_SIZE)
        for state in states
        if state["Sequence"]
    ]


def _head_records(heads: Iterable[ChainHead], checkpoint_id: int, now: datetime) -> Iterator[Record]:
    for kind, of_kind in groupby(heads, key=lambda head: head.credit_kind):
        same_kind = list(of_kind)
        for start in range(0, len(same_kind), HEADS_PER_RECORD):
            run = same_kind[start : start + HEADS_PER_RECORD]
            values: dict[str, Any] = {
                "StoredCheckpointId": checkpoint_id,
                "CreditKind": kind.value,
                "FirstCreditId": run[0].credit_id,
                "LastCreditId": run[-1].credit_id,
                "Heads": base64.b64encode(b"".join(map(encode_head, run))).decode(),
            }
            yield new_record(CheckpointHeads, values, now, "")


def _checked_heads(run: Record) -> list[ChainHead]:
    """The heads of a record. Raises ValueError when its columns name other credits."""
    heads = list(_decode_heads(run))
    first, last = heads[0], heads[-1]
    named = (run["CreditKind"], run["FirstCreditId"], run["LastCreditId"])
    if named != (first.credit_kind.value, first.credit_id, last.credit_id):
        raise ValueError(f"the heads of record {run['Id']} are of other credits than it says")
    return heads


def _decode_heads(run: Record) -> Iterator[ChainHead]:
    for code, credit_id, sequence, digest in _iter_packed_heads(base64.b64decode(run["Heads"])):
        yield ChainHead(_CREDIT_KINDS_BY_CODE[code], credit_id, sequence, digest)


async def _covering_checkpoint(session: ReadSession, line: Record) -> tuple[LoadedCheckpoint, int]:
    """The first checkpoint that covers the entry, and the last sequence of its credit there."""
    created = StoredCheckpoint.meta().columns["CreatedOn"]
    since = Filter(created, Comparison.AT_LEAST, line["RecordedOn"].replace(microsecond=0))
    # A checkpoint may be newer than an entry that was not yet committed, so a few are tried. With
    # clocks that differ even the newest may seem older than the entry.
    tried = [
        load_record(record)
        for record in await session.find(StoredCheckpoint, (since,), limit=_MAX_CANDIDATES, after_id=0)
    ]
    last = await latest_checkpoint(session)
    for kept in [*tried, *([last] if last else [])]:
        sequence = await _covered_sequence(session, kept, line)
        if sequence >= line["Sequence"]:
            return kept, sequence
    raise Conflict("No checkpoint covers this line yet; its proof is available after the next one.")


async def _covered_sequence(session: ReadSession, kept: LoadedCheckpoint, line: Record) -> int:
    columns = CheckpointHeads.meta().columns
    filters = (
        *where(CheckpointHeads, StoredCheckpointId=kept.id, CreditKind=line["CreditKind"]),
        Filter(columns["FirstCreditId"], Comparison.AT_MOST, line["CreditId"]),
        Filter(columns["LastCreditId"], Comparison.AT_LEAST, line["CreditId"]),
    )
    for run in await session.find(CheckpointHeads, filters):
        for head in _decode_heads(run):
            if head.credit_id == line["CreditId"]:
                return head.sequence
    return 0


async def _load_entries(session: ReadSession, line: Record, last: int) -> list[Record]:
    """The credit's entries from the one before `line` to sequence `last`, in order."""
    sequence = JournalLine.meta().columns["Sequence"]
    filters = (
        *where(JournalLine, CreditKind=line["CreditKind"], CreditId=line["CreditId"]),
        Filter(sequence, Comparison.AT_LEAST, line["Sequence"] - 1),
        Filter(sequence, Comparison.AT_MOST, last),
    )
    found = await session.find(JournalLine, filters)
    return sorted(found, key=lambda record: int(record["Sequence"]))
