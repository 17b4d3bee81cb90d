"""Compares the journal with a checkpoint that was kept outside (docs/explanation/proof.md, rule 34).

Finds what valid chains do not show: removed newest entries, a rewritten history of a credit, a credit removed with
all its entries. `verify` checks the chains themselves.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from msgspec import DecodeError

from creditdesk.audit.accounts import read_digest
from creditdesk.audit.chain_verifier import ChainFinding, FindingKind
from creditdesk.audit.checkpoint_format import (
    Checkpoint,
    check_checkpoint_sequence,
    checkpoint_digest,
    compare_heads,
)
from creditdesk.audit.checkpoints import LoadedCheckpoint, load_record, load_tree
from creditdesk.audit.findings import AuditFinding, FindingCode, FindingReporter
from creditdesk.audit.merkle import MerkleTree
from creditdesk.entities.ledger.journal_line import JournalLine
from creditdesk.entities.ledger.stored_checkpoint import StoredCheckpoint
from creditdesk.ledger.journal.entry import AccountType, from_epoch_microseconds
from creditdesk.ledger.journal.hash_chain import ChainHead
from creditdesk.schema.entity import Record
from creditdesk.schema.query import where
from creditdesk.schema.repository import ReadSession, Store

CHECKPOINT_BATCH_SIZE: Final = 250
_MAX_FILE_BYTES: Final = 100_000

EntryKey = tuple[AccountType, int, int]


def read_checkpoint(path: Path) -> Checkpoint:
    """Reads the checkpoint in a JSON file. Raises ValueError with what is wrong with the file."""
    if path.stat().st_size > _MAX_FILE_BYTES:
        raise ValueError(f"{path.name} is too long for a checkpoint.")
    try:
        document = json.loads(path.read_bytes(), object_pairs_hook=_reject_duplicate_keys)
    except (UnicodeDecodeError, RecursionError, json.JSONDecodeError):
        raise ValueError(f"{path.name} is not a JSON document.") from None
    return Checkpoint.from_document(document)


async def verify_checkpoint(store: Store, checkpoint: Checkpoint, report: FindingReporter) -> None:
    """Reports each difference between the ledger and what the checkpoint covers.

    Also verifies the signatures and the order of the checkpoints in the database.
    """
    async with store.read_session() as reading:
        records = await _read_checkpoints(reading, report)
        loaded = _parse_stored(records, report)
        keys = {each.checkpoint.key_fingerprint: each.public_key for each in loaded}
        for finding in check_checkpoint_sequence([each.checkpoint for each in loaded], keys.values()):
            report.finding(AuditFinding.of_chain(finding))
        digest = checkpoint_digest(checkpoint)
        found = next((k for k in loaded if checkpoint_digest(k.checkpoint) == digest), None)
        if found is None:
            made = from_epoch_microseconds(checkpoint.created_microseconds)
            message = (
                f"the checkpoint of {made:%Y-%m-%d %H:%M:%S} UTC is not among those the database"
                " keeps: it or the database is of another ledger, or it was removed"
            )
            report.finding(AuditFinding(code=FindingCode.CHECKPOINT, message=message))
            return
        try:
            tree = await load_tree(reading, found)
        except (KeyError, ValueError):
            message = "the heads stored for the checkpoint cannot be read"
            report.finding(AuditFinding.of_record(FindingCode.CHECKPOINT, StoredCheckpoint, found.id, message))
            return
        report.step("credits of the checkpoint", len(tree.heads))
        await _check_journal(reading, checkpoint, tree, report)


async def _check_journal(
    session: ReadSession, checkpoint: Checkpoint, tree: MerkleTree, report: FindingReporter
) -> None:
    stored: dict[EntryKey, bytes] = {}
    ends: dict[tuple[AccountType, int], int] = {}
    for heads in _head_batches(tree.heads):
        kind = heads[0].credit_kind
        lines = await session.find(
            JournalLine,
            where(JournalLine, CreditKind=kind.value, CreditId=[h.credit_id for h in heads]),
            columns=("Id", "CreditId", "Sequence", "Digest"),
        )
        lines.sort(key=lambda line: (line["CreditId"], line["Sequence"]))
        last = {head.credit_id: head.sequence for head in heads}
        for line in lines:
            credit_id, sequence = line["CreditId"], line["Sequence"]
            ends[kind, credit_id] = sequence
            if sequence == last[credit_id]:
                stored[kind, credit_id, sequence] = read_digest(line)
        report.advance(len(heads))
    for found in compare_heads(checkpoint, tree, stored):
        report.finding(_finding(found, ends))


def _finding(found: ChainFinding, ends: dict[tuple[AccountType, int], int]) -> AuditFinding:
    """The finding; with the range of entries where the newest are missing."""
    finding = AuditFinding.of_chain(found)
    if found.kind is not FindingKind.TRUNCATED or finding.account is None or found.sequence is None:
        return finding
    first = ends.get(finding.account, 0) + 1
    if first > found.sequence:
        return finding
    lines = f"line {first} is" if first == found.sequence else f"lines {first} to {found.sequence} are"
    return replace(finding, sequence=None, message=f"{lines} missing, which the checkpoint covers")


async def _read_checkpoints(session: ReadSession, report: FindingReporter) -> list[Record]:
    """The stored checkpoints; reports those with a column that is no longer valid JSON."""
    found = []
    for each in await session.find(StoredCheckpoint, columns=("Id",)):
        try:
            found += await session.find(StoredCheckpoint, where(StoredCheckpoint, Id=each["Id"]))
        except DecodeError:
            report.finding(_unreadable(each["Id"]))
    return found


def _unreadable(checkpoint_id: int) -> AuditFinding:
    message = "the checkpoint cannot be read"
    return AuditFinding.of_record(FindingCode.CHECKPOINT, StoredCheckpoint, checkpoint_id, message)


def _parse_stored(records: Sequence[Record], report: FindingReporter) -> list[LoadedCheckpoint]:
    loaded: list[LoadedCheckpoint] = []
    for record in records:
        try:
            each = load_record(record)
        except (ValueError, TypeError):
            report.finding(_unreadable(record["Id"]))
            continue
        loaded.append(each)
        document = each.checkpoint
        if (record["Previous"], record["KeyFingerprint"]) != (document.previous.hex(), document.key_fingerprint.hex()):
            message = "its columns differ from its document"
            report.finding(AuditFinding.of_record(FindingCode.CHECKPOINT, StoredCheckpoint, each.id, message))
    return loaded


def _head_batches(heads: Sequence[ChainHead]) -> Iterator[Sequence[ChainHead]]:
    """The heads in batches of one account type."""
    for kind in AccountType:
        of_kind = [head for head in heads if head.credit_kind is kind]
        for start in range(0, len(of_kind), CHECKPOINT_BATCH_SIZE):
            yield of_kind[start : start + CHECKPOINT_BATCH_SIZE]


def _reject_duplicate_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = [name for name, _ in pairs]
    if len(set(names)) < len(names):
        raise ValueError("The document says the same field twice.")
    return dict(pairs)
