"""Checkpoints over the kept ledger, and proofs of single lines under them (docs/proof.md).

What is sealed and proven is decided in `seal`; here it is read from the records and put on record.
This module must not know who asks for a proof, nor where keys and checkpoints are published.
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
    generate_key,
    private_from_pem,
    private_pem,
    prove,
    seal,
)
from creditdesk.audit.merkle import BLINDING_BYTES, MerkleTree, encode_head
from creditdesk.entities.ledger.account_state import CreditState
from creditdesk.entities.ledger.checkpoint_heads import SealedHeads
from creditdesk.entities.ledger.journal_line import JournalLine
from creditdesk.entities.ledger.stored_checkpoint import StoredCheckpoint
from creditdesk.entities.security.signing_key import SigningKey
from creditdesk.ledger.journal.entry import CreditKind, microseconds_of
from creditdesk.ledger.journal.hash_chain import CREDIT_KIND_CODES, Head
from creditdesk.ledger.journal.mapping import SIDES, line_of, new_record, where
from creditdesk.schema.entity import Record
from creditdesk.schema.errors import Conflict, NotFound
from creditdesk.schema.query import Filter, Order, Test
from creditdesk.schema.repository import Reading, Unit

KEY_NAME: Final = "checkpoints"
RUN: Final = 1000
"""How many heads share one record."""
_STATES_AT_ONCE: Final = 5000
_COVERING_TRIED: Final = 3
_MOST_TREES: Final = 2
_unpack_heads: Final = struct.Struct(">xBqq32s").iter_unpack
_KINDS: Final = {code: kind for kind, code in CREDIT_KIND_CODES.items()}


@dataclass(frozen=True, slots=True)
class Kept:
    """A checkpoint as published, with its signer's public key and the secret that stays here."""

    id: int
    checkpoint: Checkpoint
    public_key: Ed25519PublicKey
    blinding: bytes


async def seal_now(unit: Unit, now: datetime, key: Ed25519PrivateKey | None = None) -> Checkpoint:
    """Seals every credit's journal as it stands, and keeps what proofs under the seal need.

    Without a key the database's own is used, made on the first call. Time never runs backwards
    from one checkpoint to the next. Raises Conflict when another checkpoint is made meanwhile.
    """
    signer = key or await _own_key(unit, now)
    previous = await newest(unit)
    heads = await _heads(unit)
    blinding = secrets.token_bytes(BLINDING_BYTES)
    tree = await asyncio.to_thread(MerkleTree, heads, blinding)
    before = previous.checkpoint if previous else None
    created = max(microseconds_of(now), before.created_microseconds if before else 0)
    checkpoint = seal(tree, before, created, signer)
    values = {
        "Document": checkpoint.document(),
        "Previous": checkpoint.previous.hex(),
        "KeyFingerprint": checkpoint.key_fingerprint.hex(),
        "PublicKey": signer.public_key().public_bytes_raw().hex(),
        "Blinding": blinding.hex(),
    }
    record = new_record(StoredCheckpoint, values, now, "")
    (checkpoint_id,) = await unit.insert(StoredCheckpoint, [record])
    await unit.insert(SealedHeads, list(_runs(tree.heads, checkpoint_id, now)))
    return checkpoint


class Trees:
    """The trees last proven from, so that proofs under one checkpoint build it once."""

    def __init__(self, most: int = _MOST_TREES) -> None:
        self._most = most
        self._kept: OrderedDict[int, MerkleTree] = OrderedDict()

    async def of(self, reading: Reading, kept: Kept) -> MerkleTree:
        """The tree that a checkpoint sealed; ValueError when its heads are not those it sealed."""
        tree = self._kept.get(kept.id)
        if tree is None:
            tree = await sealed_tree(reading, kept)
            if tree.root != kept.checkpoint.root:
                raise ValueError("the heads kept for the checkpoint are not those it sealed")
            self._kept[kept.id] = tree
            if len(self._kept) > self._most:
                self._kept.popitem(last=False)
        return tree


async def prove_use(
    reading: Reading, line_id: int, scope: Sequence[Filter] = (), trees: Trees | None = None
) -> Proof:
    """The proof of one journal line, under the first checkpoint that sealed it.

    `scope` narrows the lines that exist for the caller: NotFound beyond them. Conflict when no
    checkpoint covers the line yet, or when the journal is no longer what was sealed.
    """
    record = await reading.get(JournalLine, line_id, tuple(scope))
    if record is None:
        raise NotFound
    kept, last = await _covering(reading, record)
    lines = await _lines(reading, record, last)
    earlier = [line for line in lines if line["Sequence"] < record["Sequence"]]
    later = [line for line in lines if line["Sequence"] > record["Sequence"]]
    try:
        tree = await (trees or Trees()).of(reading, kept)
        previous = bytes.fromhex(earlier[0]["Digest"]) if earlier else None
        following = [line_of(line) for line in later]
        return prove(line_of(record), previous, following, tree, kept.checkpoint)
    except (KeyError, ValueError):
        raise Conflict(
            "This line cannot be proven: the journal is not what its checkpoint sealed."
        ) from None


async def line_of_history(reading: Reading, kind: CreditKind, history_id: int) -> int:
    """The Id of the journal line that a use-history row shows; NotFound when there is none."""
    side = SIDES[kind]
    history = await reading.get(side.history, history_id)
    if history is None:
        raise NotFound
    filters = where(
        JournalLine, CreditKind=kind.value, CreditId=history[side.reference], HistoryId=history_id
    )
    found = await reading.find(JournalLine, filters, limit=1)
    if not found:
        raise NotFound
    return int(found[0]["Id"])


async def newest(reading: Reading, key_fingerprint: str | None = None) -> Kept | None:
    """The newest checkpoint, or the newest under the key with this fingerprint (hex)."""
    filters = where(StoredCheckpoint, KeyFingerprint=key_fingerprint) if key_fingerprint else ()
    newest_first = Order(StoredCheckpoint.shape().columns["Id"], descending=True)
    found = await reading.find(StoredCheckpoint, filters, newest_first, limit=1)
    return kept_of(found[0]) if found else None


async def sealed_tree(reading: Reading, kept: Kept) -> MerkleTree:
    """The tree over the heads kept for a checkpoint; ValueError when a credit is there twice."""
    runs = await reading.find(SealedHeads, where(SealedHeads, StoredCheckpointId=kept.id))
    return await asyncio.to_thread(
        lambda: MerkleTree([head for run in runs for head in _unpacked(run)], kept.blinding)
    )


def kept_of(record: Record) -> Kept:
    """The checkpoint that a record keeps; ValueError when the record is not whole."""
    return Kept(
        record["Id"],
        Checkpoint.from_document(record["Document"]),
        Ed25519PublicKey.from_public_bytes(bytes.fromhex(record["PublicKey"])),
        bytes.fromhex(record["Blinding"]),
    )


async def _own_key(unit: Unit, now: datetime) -> Ed25519PrivateKey:
    found = await unit.find(SigningKey, where(SigningKey, Name=KEY_NAME), limit=1)
    if found:
        return private_from_pem(found[0]["Secret"].encode())
    key = generate_key()
    values = {"Name": KEY_NAME, "Secret": private_pem(key).decode()}
    await unit.insert(SigningKey, [new_record(SigningKey, values, now, "")])
    return key


async def _heads(reading: Reading) -> list[Head]:
    heads: list[Head] = []
    last = 0
    while states := await reading.find(CreditState, limit=_STATES_AT_ONCE, after_id=last):
        last = states[-1]["Id"]
        heads += [
            Head(
                CreditKind(state["CreditKind"]),
                state["CreditId"],
                state["Sequence"],
                bytes.fromhex(state["Digest"]),
            )
            for state in states
            if state["Sequence"]
        ]
    return heads


def _runs(heads: Iterable[Head], checkpoint_id: int, now: datetime) -> Iterator[Record]:
    for kind, of_kind in groupby(heads, key=lambda head: head.credit_kind):
        sealed = list(of_kind)
        for start in range(0, len(sealed), RUN):
            run = sealed[start : start + RUN]
            values: dict[str, Any] = {
                "StoredCheckpointId": checkpoint_id,
                "CreditKind": kind.value,
                "FirstCreditId": run[0].credit_id,
                "LastCreditId": run[-1].credit_id,
                "Heads": base64.b64encode(b"".join(map(encode_head, run))).decode(),
            }
            yield new_record(SealedHeads, values, now, "")


def _unpacked(run: Record) -> Iterator[Head]:
    for code, credit_id, sequence, digest in _unpack_heads(base64.b64decode(run["Heads"])):
        yield Head(_KINDS[code], credit_id, sequence, digest)


async def _covering(reading: Reading, line: Record) -> tuple[Kept, int]:
    """The first checkpoint that sealed the line, and how far it sealed the line's credit."""
    created = StoredCheckpoint.shape().columns["CreatedOn"]
    since = Filter(created, Test.AT_LEAST, line["RecordedOn"].replace(microsecond=0))
    # A line may be recorded before a checkpoint that could not see it yet, so some are tried; with
    # clocks that differ even the newest may seem older than the line.
    tried = [
        kept_of(record)
        for record in await reading.find(
            StoredCheckpoint, (since,), limit=_COVERING_TRIED, after_id=0
        )
    ]
    last = await newest(reading)
    for kept in [*tried, *([last] if last else [])]:
        sequence = await _sealed_sequence(reading, kept, line)
        if sequence >= line["Sequence"]:
            return kept, sequence
    raise Conflict("No checkpoint covers this line yet; its proof can be had after the next one.")


async def _sealed_sequence(reading: Reading, kept: Kept, line: Record) -> int:
    columns = SealedHeads.shape().columns
    filters = (
        *where(SealedHeads, StoredCheckpointId=kept.id, CreditKind=line["CreditKind"]),
        Filter(columns["FirstCreditId"], Test.AT_MOST, line["CreditId"]),
        Filter(columns["LastCreditId"], Test.AT_LEAST, line["CreditId"]),
    )
    for run in await reading.find(SealedHeads, filters):
        for head in _unpacked(run):
            if head.credit_id == line["CreditId"]:
                return head.sequence
    return 0


async def _lines(reading: Reading, line: Record, last: int) -> list[Record]:
    """The credit's lines from the one before `line` to the sealed head, in order."""
    sequence = JournalLine.shape().columns["Sequence"]
    filters = (
        *where(JournalLine, CreditKind=line["CreditKind"], CreditId=line["CreditId"]),
        Filter(sequence, Test.AT_LEAST, line["Sequence"] - 1),
        Filter(sequence, Test.AT_MOST, last),
    )
    found = await reading.find(JournalLine, filters)
    return sorted(found, key=lambda record: int(record["Sequence"]))
