"""Changes made directly in the database are found and located (rule 34)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from msgspec import structs

from creditdesk.audit.checkpoint_check import read_checkpoint, verify_checkpoint
from creditdesk.audit.checkpoint_format import Checkpoint
from creditdesk.audit.checkpoints import latest_checkpoint, prove_entry
from creditdesk.audit.verify import verify_ledger
from creditdesk.entities.ledger.checkpoint_heads import CheckpointHeads
from creditdesk.entities.ledger.journal_line import JournalLine
from creditdesk.ledger.journal.entry import AccountType
from creditdesk.ledger.journal.hash_chain import entry_digest, genesis_digest
from creditdesk.ledger.journal.mapping import entry_from_record, state_id
from creditdesk.schema.errors import Conflict
from creditdesk.schema.query import where
from creditdesk.schema.repository import Store
from creditdesk.storage.sqlite import SQLiteStore
from tests.audit.conftest import CreateCheckpoint, Tamper, execute
from tests.support.ledger_builder import LedgerBuilder, money
from tests.support.progress import CollectingReporter


async def credit_with_uses(ledger: LedgerBuilder) -> int:
    """A credit of 40.00 with a grant and three uses: entries 1 to 4."""
    credit = await ledger.add_money_credit("40.00")
    for amount in ("1.00", "2.00", "3.00"):
        await ledger.post_use(credit, amount, Description="coffee")
    return credit


async def verify_problems(store: Store, credit: int) -> list[str]:
    """The problems `verify` reports for a credit."""
    report = CollectingReporter()
    await verify_ledger(store, report)
    names = (f"money credit {credit}, ", f"money credit {credit}: ")
    return [output for output in report.problems if output.startswith(names)]


async def checkpoint_problems(store: Store, checkpoint: Checkpoint, credit: int) -> list[str]:
    """The problems that comparing with a checkpoint reports for a credit."""
    report = CollectingReporter()
    await verify_checkpoint(store, checkpoint, report)
    names = (f"money credit {credit}, ", f"money credit {credit}: ")
    return [output for output in report.problems if output.startswith(names)]


def entry_condition(credit: int, sequence: int) -> str:
    return f"WHERE credit_kind = 'money' AND credit_id = {credit} AND sequence = {sequence}"


async def test_intact_ledger_matches_checkpoint(
    store: Store, ledger: LedgerBuilder, make_checkpoint: CreateCheckpoint
) -> None:
    credit = await credit_with_uses(ledger)
    checkpoint = await make_checkpoint()
    await ledger.post_use(credit, "4.00")
    report = CollectingReporter()
    await verify_ledger(store, report)
    await verify_checkpoint(store, checkpoint, report)
    assert report.problems == []


@pytest.mark.parametrize("table", ["stored_checkpoint", "checkpoint_heads"])
@pytest.mark.parametrize("act", ["DELETE FROM {}", "UPDATE {} SET updated_by = 'x'"])
async def test_checkpoints_are_append_only(
    store: Any, ledger: LedgerBuilder, make_checkpoint: CreateCheckpoint, table: str, act: str
) -> None:
    await credit_with_uses(ledger)
    await make_checkpoint()
    with pytest.raises(Exception, match="append-only"):
        await execute(store, act.format(table))


CHANGED_COLUMNS = [
    ("amount", "amount + 1"),
    ("balance_after", "balance_after + 1"),
    ("held_after", "held_after + 1"),
    ("total_after", "total_after + 1"),
    ("kind", "'void'"),
    ("source_kind", "'booking'"),
    ("source_id", "17"),
    ("actor", "'someone@example.com'"),
    ("reason", "reason || '.'"),
    ("idempotency_key", "'k'"),
    ("reverses", "1"),
    ("rule_version", "rule_version + 1"),
    ("history_id", "NULL"),
    ("cause", "'correction'"),
    ("business_id", "NULL"),
    ("coworker_id", "NULL"),
    ("member_id", "9"),
    ("allocation_id", "9"),
    ("document", "'{}'"),
    ("unique_id", "'0' || substr(unique_id, 2, 34) || 'x'"),
    ("format_version", "1"),
    ("digest", "'" + "0" * 64 + "'"),
]


@pytest.mark.parametrize(("column", "value"), CHANGED_COLUMNS, ids=[column for column, _ in CHANGED_COLUMNS])
async def test_changed_entry_is_reported(
    store: Store, ledger: LedgerBuilder, tamper: Tamper, column: str, value: str
) -> None:
    credit = await credit_with_uses(ledger)
    await tamper(f"UPDATE journal_line SET {column} = {value} {entry_condition(credit, 3)}")
    found = await verify_problems(store, credit)
    assert f"money credit {credit}, line 3: its content does not match its digest and the line before it" in found
    assert not any(f"money credit {credit}, line {n}:" in output for n in (1, 2, 4) for output in found)


@pytest.mark.parametrize("column", ["recorded_on", "effective_on"])
async def test_changed_microsecond_is_reported(
    store: Store, ledger: LedgerBuilder, tamper: Tamper, column: str
) -> None:
    credit = await credit_with_uses(ledger)
    later = "+ 1" if isinstance(store, SQLiteStore) else "+ interval '1 microsecond'"
    await tamper(f"UPDATE journal_line SET {column} = {column} {later} {entry_condition(credit, 2)}")
    (output,) = await verify_problems(store, credit)
    assert output.startswith(f"money credit {credit}, line 2: its content does not match")


async def test_changed_time_credit_entry_is_reported(store: Store, ledger: LedgerBuilder, tamper: Tamper) -> None:
    credit = await ledger.add_time_credit(600)
    await ledger.post_time_use(credit, BookingId=await ledger.add_booking())
    await tamper(
        "UPDATE journal_line SET amount = amount + 1 "
        f"WHERE credit_kind = 'time' AND credit_id = {credit} AND sequence = 2"
    )
    report = CollectingReporter()
    await verify_ledger(store, report)
    assert any(output.startswith(f"time credit {credit}, line 2: its") for output in report.problems)


async def test_removed_entry_is_reported(store: Store, ledger: LedgerBuilder, tamper: Tamper) -> None:
    credit = await credit_with_uses(ledger)
    await tamper(f"DELETE FROM journal_line {entry_condition(credit, 2)}")
    assert f"money credit {credit}, line 2: the line is missing" in await verify_problems(store, credit)


async def test_reordered_entries_are_reported(store: Store, ledger: LedgerBuilder, tamper: Tamper) -> None:
    credit = await credit_with_uses(ledger)
    for sequence, other in ((2, 99), (3, 2), (99, 3)):
        await tamper(f"UPDATE journal_line SET sequence = {other} {entry_condition(credit, sequence)}")
    found = await verify_problems(store, credit)
    for sequence in (2, 3):
        assert any(output.startswith(f"money credit {credit}, line {sequence}: ") for output in found)


async def test_inserted_entry_is_reported(store: Store, ledger: LedgerBuilder, tamper: Tamper) -> None:
    credit = await credit_with_uses(ledger)
    copied = (await ledger.journal_lines("money", credit))[2]
    for sequence in (4, 3):
        await tamper(f"UPDATE journal_line SET sequence = {sequence + 1} {entry_condition(credit, sequence)}")
    forged = {"Id": None, "UniqueId": str(uuid4()), "Sequence": 3, "Amount": money("9.00")}
    async with store.write_session() as session:
        await session.insert(JournalLine, [copied | forged])
    found = await verify_problems(store, credit)
    assert any(output.startswith(f"money credit {credit}, line 3: ") for output in found)
    assert any("the journal goes on to line 5" in output for output in found)


async def test_truncation_is_found_by_checkpoint(
    store: Store,
    ledger: LedgerBuilder,
    make_checkpoint: CreateCheckpoint,
    tamper: Tamper,
    tmp_path: Path,
) -> None:
    credit = await credit_with_uses(ledger)
    checkpoint = await make_checkpoint()
    lines = await ledger.journal_lines("money", credit)
    await _truncate_journal(store, tamper, credit, lines, 2)
    # Balance, state and use rows were adjusted as well, so the journal alone looks intact.
    assert await verify_problems(store, credit) == []
    (tmp_path / "kept.json").write_text(json.dumps(checkpoint.document()))
    kept = read_checkpoint(tmp_path / "kept.json")
    assert await checkpoint_problems(store, kept, credit) == [
        f"money credit {credit}: lines 3 to 4 are missing, which the checkpoint covers"
    ]
    async with store.read_session() as session:
        with pytest.raises(Conflict, match="differs from its checkpoint"):
            await prove_entry(session, lines[0]["Id"])


async def test_truncated_entry_and_removed_credit(
    store: Store, ledger: LedgerBuilder, make_checkpoint: CreateCheckpoint, tamper: Tamper
) -> None:
    one, gone = await credit_with_uses(ledger), await credit_with_uses(ledger)
    checkpoint = await make_checkpoint()
    await _truncate_journal(store, tamper, one, await ledger.journal_lines("money", one), 3)
    for statement in (
        f"DELETE FROM journal_line WHERE credit_kind = 'money' AND credit_id = {gone}",
        f"DELETE FROM account_state WHERE id = {state_id((AccountType.MONEY, gone))}",
        f"DELETE FROM coworker_booking_credit_use_history WHERE coworker_booking_credit_id = {gone}",
        f"DELETE FROM coworker_booking_credit WHERE id = {gone}",
    ):
        await tamper(statement)
    assert await checkpoint_problems(store, checkpoint, one) == [
        f"money credit {one}: line 4 is missing, which the checkpoint covers"
    ]
    assert await checkpoint_problems(store, checkpoint, gone) == [
        f"money credit {gone}: lines 1 to 4 are missing, which the checkpoint covers"
    ]


async def test_rewritten_history_is_found_by_checkpoint(
    store: Store, ledger: LedgerBuilder, make_checkpoint: CreateCheckpoint, tamper: Tamper
) -> None:
    credit = await credit_with_uses(ledger)
    checkpoint = await make_checkpoint()
    account = (AccountType.MONEY, credit)
    digest = genesis_digest(*account)
    for record in await ledger.journal_lines("money", credit):
        line = structs.replace(entry_from_record(record), actor="someone@example.com")
        digest = entry_digest(digest, line)
        changes = f"actor = '{line.actor}', updated_by = '{line.actor}', digest = '{digest.hex()}'"
        await tamper(f"UPDATE journal_line SET {changes} WHERE id = {record['Id']}")
    await tamper(f"UPDATE account_state SET digest = '{digest.hex()}' WHERE id = {state_id(account)}")
    assert await verify_problems(store, credit) == []
    assert await checkpoint_problems(store, checkpoint, credit) == [
        f"money credit {credit}, line 4: this line or one before it differs from the checkpoint"
    ]


async def test_changed_entry_of_deleted_credit_is_reported(
    store: Store, ledger: LedgerBuilder, make_checkpoint: CreateCheckpoint, tamper: Tamper
) -> None:
    credit = await credit_with_uses(ledger)
    checkpoint = await make_checkpoint()
    await tamper(f"DELETE FROM coworker_booking_credit_use_history WHERE coworker_booking_credit_id = {credit}")
    await tamper(f"DELETE FROM coworker_booking_credit WHERE id = {credit}")
    assert await checkpoint_problems(store, checkpoint, credit) == []
    await tamper(f"UPDATE journal_line SET amount = amount + 1 {entry_condition(credit, 2)}")
    found = await verify_problems(store, credit)
    assert f"money credit {credit}, line 2: its content does not match its digest and the line before it" in found


async def test_foreign_checkpoint_is_rejected(store: Store, make_checkpoint: CreateCheckpoint) -> None:
    checkpoint = await make_checkpoint()
    report = CollectingReporter()
    other = replace(checkpoint, root=bytes(32))
    await verify_checkpoint(store, other, report)
    assert "is not among those the database keeps" in report.problems[-1]


async def test_shrinking_checkpoint_is_reported(
    store: Store, ledger: LedgerBuilder, make_checkpoint: CreateCheckpoint, tamper: Tamper
) -> None:
    credit = await credit_with_uses(ledger)
    await make_checkpoint()
    await _truncate_journal(store, tamper, credit, await ledger.journal_lines("money", credit), 2)
    checkpoint = await make_checkpoint()
    report = CollectingReporter()
    await verify_checkpoint(store, checkpoint, report)
    assert any("is earlier or smaller than the one before it" in s for s in report.problems)


async def test_changed_stored_checkpoint_is_reported(
    store: Store, make_checkpoint: CreateCheckpoint, tamper: Tamper
) -> None:
    checkpoint = await make_checkpoint()
    async with store.read_session() as session:
        kept = await latest_checkpoint(session)
    assert kept is not None
    changed = json.dumps(checkpoint.document() | {"lines": checkpoint.lines + 1})
    await tamper(f"UPDATE stored_checkpoint SET document = '{changed}' WHERE id = {kept.id}")
    report = CollectingReporter()
    await verify_checkpoint(store, checkpoint, report)
    assert any(output.endswith("has a signature that is not valid") for output in report.problems)
    assert "is not among those the database keeps" in report.problems[-1]
    true = json.dumps(checkpoint.document())
    await tamper(f"UPDATE stored_checkpoint SET document = '{true}' WHERE id = {kept.id}")


async def test_changed_heads_are_reported(store: Store, make_checkpoint: CreateCheckpoint, tamper: Tamper) -> None:
    checkpoint = await make_checkpoint()
    async with store.read_session() as session:
        kept = await latest_checkpoint(session)
        assert kept is not None
        run = (await session.find(CheckpointHeads, where(CheckpointHeads, StoredCheckpointId=kept.id)))[0]
    await tamper(f"DELETE FROM checkpoint_heads WHERE id = {run['Id']}")
    report = CollectingReporter()
    await verify_checkpoint(store, checkpoint, report)
    assert report.problems[-1] == "the heads stored for the checkpoint do not match it"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is not a JSON document"),
        ("[]", "is not a creditdesk-checkpoint-1"),
        ('{"format": "creditdesk-checkpoint-1", "format": 1}', "says the same field twice"),
        ('{"format": "creditdesk-checkpoint-1"}', "is missing"),
        (" " * 200_000, "is too long"),
    ],
)
def test_invalid_checkpoint_file_is_rejected(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "kept.json").write_text(text)
    with pytest.raises(ValueError, match=message):
        read_checkpoint(tmp_path / "kept.json")


async def _truncate_journal(
    store: Store, tamper: Tamper, credit: int, lines: Sequence[dict[str, Any]], keep: int
) -> None:
    """Deletes the entries after `keep` and adjusts the balance, the state and the use rows."""
    last = lines[keep - 1]
    ids = ", ".join(str(line["HistoryId"]) for line in lines[keep:])
    for statement in (
        f"DELETE FROM journal_line WHERE credit_id = {credit} AND credit_kind = 'money' AND sequence > {keep}",
        f"DELETE FROM coworker_booking_credit_use_history WHERE id IN ({ids})",
        f"UPDATE coworker_booking_credit SET remaining_credit = {last['BalanceAfter']} WHERE id = {credit}",
        f"UPDATE account_state SET sequence = {keep}, digest = '{last['Digest']}' "
        f"WHERE id = {state_id((AccountType.MONEY, credit))}",
    ):
        await tamper(statement)
    assert money("40.00") > last["BalanceAfter"]
