"""Compares the journal with a checkpoint that was kept outside (docs/explanation/proof.md, rule 34).

Finds what valid chains hide: newest entries removed, a credit's history rewritten, a credit removed
with all its entries. `verify` checks the chains of the credits that exist.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from creditdesk.audit.chain_verifier import ChainFinding, ChainVerifier, FindingKind
from creditdesk.audit.checkpoint_format import (
    Checkpoint,
    check_checkpoint_sequence,
    checkpoint_digest,
    compare_heads,
)
from creditdesk.audit.checkpoints import LoadedCheckpoint, load_record, load_tree
from creditdesk.audit.merkle import MerkleTree
from creditdesk.entities.ledger.journal_line import JournalLine
from creditdesk.entities.ledger.stored_checkpoint import StoredCheckpoint
from creditdesk.ledger.journal.entry import AccountType, from_epoch_microseconds
from creditdesk.ledger.journal.hash_chain import ChainHead
from creditdesk.ledger.journal.mapping import MAPPINGS, entry_from_record, where
from creditdesk.schema.entity import Record
from creditdesk.schema.progress import ProgressReporter
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


async def verify_checkpoint(store: Store, checkpoint: Checkpoint, report: ProgressReporter) -> None:
    """Reports each difference between the ledger and what the checkpoint covers.

    Also verifies the signatures and the order of the checkpoints in the database.
    """
    async with store.read_session() as reading:
        records = await reading.find(StoredCheckpoint)
        loaded = _parse_stored(records, report)
        keys = {each.checkpoint.key_fingerprint: each.public_key for each in loaded}
        for finding in check_checkpoint_sequence([each.checkpoint for each in loaded], keys.values()):
            report.problem(str(finding))
        digest = checkpoint_digest(checkpoint)
        found = next((k for k in loaded if checkpoint_digest(k.checkpoint) == digest), None)
        if found is None:
            made = from_epoch_microseconds(checkpoint.created_microseconds)
            report.problem(
                f"the checkpoint of {made:%Y-%m-%d %H:%M:%S} UTC is not among those the database"
                " keeps: it or the database is of another ledger, or it was removed"
            )
            return
        try:
            tree = await load_tree(reading, found)
        except (KeyError, ValueError):
            report.problem("the heads stored for the checkpoint cannot be read")
            return
        report.step("credits of the checkpoint", len(tree.heads))
        await _check_journal(reading, checkpoint, tree, report)


async def _check_journal(
    session: ReadSession, checkpoint: Checkpoint, tree: MerkleTree, report: ProgressReporter
) -> None:
    stored: dict[EntryKey, bytes] = {}
    ends: dict[tuple[AccountType, int], int] = {}
    wrong: list[ChainFinding] = []
    for heads in _head_batches(tree.heads):
        kind = heads[0].credit_kind
        lines = await session.find(
            JournalLine,
            where(JournalLine, CreditKind=kind.value, CreditId=[h.credit_id for h in heads]),
        )
        lines.sort(key=lambda line: (line["CreditId"], line["Sequence"]))
        last = {head.credit_id: head.sequence for head in heads}
        for line in lines:
            credit_id, sequence = line["CreditId"], line["Sequence"]
            ends[kind, credit_id] = sequence
            if sequence == last[credit_id]:
                stored[kind, credit_id, sequence] = _digest(line)
        wrong += await _orphan_findings(session, kind, heads, lines)
        report.advance(len(heads))
    for finding in [*compare_heads(checkpoint, tree, stored), *wrong]:
        report.problem(_describe_finding(finding, ends))


async def _orphan_findings(
    session: ReadSession, kind: AccountType, heads: Sequence[ChainHead], lines: Sequence[Record]
) -> list[ChainFinding]:
    """Problems in the chains of credits that no longer exist, which `verify` does not read."""
    ids = [head.credit_id for head in heads]
    existing = await session.get_many(MAPPINGS[kind].credit_entity, ids)
    orphans = [line for line in lines if line["CreditId"] not in existing]
    verifier = ChainVerifier()
    verifier.add(map(entry_from_record, orphans), map(_digest, orphans))
    return verifier.findings


def _describe_finding(finding: ChainFinding, ends: dict[tuple[AccountType, int], int]) -> str:
    """The finding's text; with the range of entries where the newest are missing."""
    kind, credit_id, last = finding.credit_kind, finding.credit_id, finding.sequence
    if finding.kind is not FindingKind.TRUNCATED or kind is None or credit_id is None or last is None:
        return str(finding)
    first = ends.get((kind, credit_id), 0) + 1
    if first > last:
        return str(finding)
    which = f"line {last}" if first == last else f"lines {first} to {last}"
    verb = "is" if first == last else "are"
    return f"{kind} credit {credit_id}, {which}: covered by the checkpoint, {verb} missing"


def _parse_stored(records: Sequence[Record], report: ProgressReporter) -> list[LoadedCheckpoint]:
    loaded: list[LoadedCheckpoint] = []
    for record in records:
        try:
            loaded.append(load_record(record))
        except (ValueError, TypeError):
            report.problem(f"checkpoint {record['Id']} in the database cannot be read")
    return loaded


def _digest(line: Record) -> bytes:
    try:
        return bytes.fromhex(line["Digest"])
    except ValueError:
        return b""


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
