"""Whatever is done to the journal behind the program's back is found and named (rule 34)."""

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
from creditdesk.ledger.journal.mapping import entry_from_record, state_id, where
from creditdesk.schema.errors import Conflict
from creditdesk.schema.progress import CollectingReporter
from creditdesk.schema.repository import Store
from creditdesk.storage.sqlite import SQLiteStore
from tests.audit.conftest import CreateCheckpoint, Tamper, execute
from tests.ledger.town import LedgerBuilder, money


async def credit_with_uses(town: LedgerBuilder) -> int:
    """A credit of 40 with a grant and three uses: lines 1 to 4."""
    credit = await town.add_money_credit("40.00")
    for amount in ("1.00", "2.00", "3.00"):
        await town.post_use(credit, amount, Description="coffee")
    return credit


async def verify_problems(store: Store, credit: int) -> list[str]:
    """What `verify` finds on a credit."""
    report = CollectingReporter()
    await verify_ledger(store, report)
    names = (f"money credit {credit}, ", f"CoworkerBookingCredit {credit}: ")
    return [said for said in report.problems if said.startswith(names)]


async def checkpoint_problems(store: Store, checkpoint: Checkpoint, credit: int) -> list[str]:
    """What holding the journal against a kept checkpoint finds on a credit."""
    report = CollectingReporter()
    await verify_checkpoint(store, checkpoint, report)
    return [said for said in report.problems if said.startswith(f"money credit {credit}, ")]


def entry_condition(credit: int, sequence: int) -> str:
    return f"WHERE credit_kind = 'money' AND credit_id = {credit} AND sequence = {sequence}"


async def test_intact_ledger_matches_checkpoint(
    store: Store, town: LedgerBuilder, seal: CreateCheckpoint
) -> None:
    credit = await credit_with_uses(town)
    checkpoint = await seal()
    await town.post_use(credit, "4.00")
    report = CollectingReporter()
    await verify_ledger(store, report)
    await verify_checkpoint(store, checkpoint, report)
    assert report.problems == []


@pytest.mark.parametrize("table", ["stored_checkpoint", "checkpoint_heads"])
@pytest.mark.parametrize("act", ["DELETE FROM {}", "UPDATE {} SET updated_by = 'x'"])
async def test_checkpoints_are_append_only(
    store: Any, town: LedgerBuilder, seal: CreateCheckpoint, table: str, act: str
) -> None:
    await credit_with_uses(town)
    await seal()
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
    ("digest", "'" + "0" * 64 + "'"),
]


@pytest.mark.parametrize(
    ("column", "value"), CHANGED_COLUMNS, ids=[column for column, _ in CHANGED_COLUMNS]
)
async def test_changed_entry_is_reported(
    store: Store, town: LedgerBuilder, meddle: Tamper, column: str, value: str
) -> None:
    credit = await credit_with_uses(town)
    await meddle(f"UPDATE journal_line SET {column} = {value} {entry_condition(credit, 3)}")
    found = await verify_problems(store, credit)
    assert (
        f"money credit {credit}, line 3: its content does not match its digest and the line"
        " before it" in found
    )
    assert not any(f"money credit {credit}, line {n}:" in said for n in (1, 2, 4) for said in found)


@pytest.mark.parametrize("column", ["recorded_on", "effective_on"])
async def test_changed_microsecond_is_reported(
    store: Store, town: LedgerBuilder, meddle: Tamper, column: str
) -> None:
    credit = await credit_with_uses(town)
    later = "+ 1" if isinstance(store, SQLiteStore) else "+ interval '1 microsecond'"
    await meddle(
        f"UPDATE journal_line SET {column} = {column} {later} {entry_condition(credit, 2)}"
    )
    (said,) = await verify_problems(store, credit)
    assert said.startswith(f"money credit {credit}, line 2: its content does not match")


async def test_changed_time_credit_entry_is_reported(
    store: Store, town: LedgerBuilder, meddle: Tamper
) -> None:
    credit = await town.add_time_credit(600)
    await town.post_time_use(credit, BookingId=await town.add_booking())
    await meddle(
        "UPDATE journal_line SET amount = amount + 1 "
        f"WHERE credit_kind = 'time' AND credit_id = {credit} AND sequence = 2"
    )
    report = CollectingReporter()
    await verify_ledger(store, report)
    assert any(said.startswith(f"time credit {credit}, line 2: its") for said in report.problems)


async def test_removed_entry_is_reported(store: Store, town: LedgerBuilder, meddle: Tamper) -> None:
    credit = await credit_with_uses(town)
    await meddle(f"DELETE FROM journal_line {entry_condition(credit, 2)}")
    assert f"money credit {credit}, line 2: the line is missing" in await verify_problems(
        store, credit
    )


async def test_reordered_entries_are_reported(
    store: Store, town: LedgerBuilder, meddle: Tamper
) -> None:
    credit = await credit_with_uses(town)
    for sequence, other in ((2, 99), (3, 2), (99, 3)):
        await meddle(
            f"UPDATE journal_line SET sequence = {other} {entry_condition(credit, sequence)}"
        )
    found = await verify_problems(store, credit)
    for sequence in (2, 3):
        assert any(said.startswith(f"money credit {credit}, line {sequence}: ") for said in found)


async def test_inserted_entry_is_reported(
    store: Store, town: LedgerBuilder, meddle: Tamper
) -> None:
    credit = await credit_with_uses(town)
    copied = (await town.journal_lines("money", credit))[2]
    for sequence in (4, 3):
        await meddle(
            f"UPDATE journal_line SET sequence = {sequence + 1} {entry_condition(credit, sequence)}"
        )
    forged = {"Id": None, "UniqueId": str(uuid4()), "Sequence": 3, "Amount": money("9.00")}
    async with store.write_session() as unit:
        await unit.insert(JournalLine, [copied | forged])
    found = await verify_problems(store, credit)
    assert any(said.startswith(f"money credit {credit}, line 3: ") for said in found)
    assert any("the journal goes on to line 5" in said for said in found)


async def test_truncation_is_found_by_checkpoint(
    store: Store, town: LedgerBuilder, seal: CreateCheckpoint, meddle: Tamper, tmp_path: Path
) -> None:
    credit = await credit_with_uses(town)
    checkpoint = await seal()
    lines = await town.journal_lines("money", credit)
    await _truncate_journal(store, meddle, credit, lines, 2)
    # Whoever cut them off made everything else fit, so the books alone are sound.
    assert await verify_problems(store, credit) == []
    (tmp_path / "kept.json").write_text(json.dumps(checkpoint.document()))
    kept = read_checkpoint(tmp_path / "kept.json")
    assert await checkpoint_problems(store, kept, credit) == [
        f"money credit {credit}, lines 3 to 4: sealed by the checkpoint, are cut off"
    ]
    async with store.read_session() as reading:
        with pytest.raises(Conflict, match="is not what its checkpoint sealed"):
            await prove_entry(reading, lines[0]["Id"])


async def test_truncated_entry_and_removed_credit(
    store: Store, town: LedgerBuilder, seal: CreateCheckpoint, meddle: Tamper
) -> None:
    one, gone = await credit_with_uses(town), await credit_with_uses(town)
    checkpoint = await seal()
    await _truncate_journal(store, meddle, one, await town.journal_lines("money", one), 3)
    for statement in (
        f"DELETE FROM journal_line WHERE credit_kind = 'money' AND credit_id = {gone}",
        f"DELETE FROM account_state WHERE id = {state_id((AccountType.MONEY, gone))}",
        f"DELETE FROM coworker_booking_credit_use_history WHERE coworker_booking_credit_id = {gone}",
        f"DELETE FROM coworker_booking_credit WHERE id = {gone}",
    ):
        await meddle(statement)
    assert await checkpoint_problems(store, checkpoint, one) == [
        f"money credit {one}, line 4: sealed by the checkpoint, is cut off"
    ]
    assert await checkpoint_problems(store, checkpoint, gone) == [
        f"money credit {gone}, lines 1 to 4: sealed by the checkpoint, are cut off"
    ]


async def test_rewritten_history_is_found_by_checkpoint(
    store: Store, town: LedgerBuilder, seal: CreateCheckpoint, meddle: Tamper
) -> None:
    credit = await credit_with_uses(town)
    checkpoint = await seal()
    account = (AccountType.MONEY, credit)
    digest = genesis_digest(*account)
    for record in await town.journal_lines("money", credit):
        line = structs.replace(entry_from_record(record), actor="someone@example.com")
        digest = entry_digest(digest, line)
        changes = f"actor = '{line.actor}', digest = '{digest.hex()}'"
        await meddle(f"UPDATE journal_line SET {changes} WHERE id = {record['Id']}")
    await meddle(
        f"UPDATE account_state SET digest = '{digest.hex()}' WHERE id = {state_id(account)}"
    )
    assert await verify_problems(store, credit) == []
    assert await checkpoint_problems(store, checkpoint, credit) == [
        f"money credit {credit}, line 4: this line or one before it is not what a checkpoint sealed"
    ]


async def test_changed_entry_of_deleted_credit_is_reported(
    store: Store, town: LedgerBuilder, seal: CreateCheckpoint, meddle: Tamper
) -> None:
    credit = await credit_with_uses(town)
    checkpoint = await seal()
    await meddle(
        f"DELETE FROM coworker_booking_credit_use_history WHERE coworker_booking_credit_id = {credit}"
    )
    await meddle(f"DELETE FROM coworker_booking_credit WHERE id = {credit}")
    assert await checkpoint_problems(store, checkpoint, credit) == []
    await meddle(f"UPDATE journal_line SET amount = amount + 1 {entry_condition(credit, 2)}")
    (said,) = await checkpoint_problems(store, checkpoint, credit)
    assert said.startswith(f"money credit {credit}, line 2: its content does not match")


async def test_foreign_checkpoint_is_rejected(store: Store, seal: CreateCheckpoint) -> None:
    checkpoint = await seal()
    report = CollectingReporter()
    other = replace(checkpoint, root=bytes(32))
    await verify_checkpoint(store, other, report)
    assert "is not among those the database keeps" in report.problems[-1]


async def test_shrinking_checkpoint_is_reported(
    store: Store, town: LedgerBuilder, seal: CreateCheckpoint, meddle: Tamper
) -> None:
    credit = await credit_with_uses(town)
    await seal()
    await _truncate_journal(store, meddle, credit, await town.journal_lines("money", credit), 2)
    checkpoint = await seal()
    report = CollectingReporter()
    await verify_checkpoint(store, checkpoint, report)
    assert any("is earlier or smaller than the one before it" in s for s in report.problems)


async def test_changed_stored_checkpoint_is_reported(
    store: Store, seal: CreateCheckpoint, meddle: Tamper
) -> None:
    checkpoint = await seal()
    async with store.read_session() as reading:
        kept = await latest_checkpoint(reading)
    assert kept is not None
    told = json.dumps(checkpoint.document() | {"lines": checkpoint.lines + 1})
    await meddle(f"UPDATE stored_checkpoint SET document = '{told}' WHERE id = {kept.id}")
    report = CollectingReporter()
    await verify_checkpoint(store, checkpoint, report)
    assert any(said.endswith("has a signature that is not valid") for said in report.problems)
    assert "is not among those the database keeps" in report.problems[-1]
    true = json.dumps(checkpoint.document())
    await meddle(f"UPDATE stored_checkpoint SET document = '{true}' WHERE id = {kept.id}")


async def test_changed_heads_are_reported(
    store: Store, seal: CreateCheckpoint, meddle: Tamper
) -> None:
    checkpoint = await seal()
    async with store.read_session() as reading:
        kept = await latest_checkpoint(reading)
        assert kept is not None
        run = (
            await reading.find(CheckpointHeads, where(CheckpointHeads, StoredCheckpointId=kept.id))
        )[0]
    await meddle(f"DELETE FROM checkpoint_heads WHERE id = {run['Id']}")
    report = CollectingReporter()
    await verify_checkpoint(store, checkpoint, report)
    assert report.problems[-1] == "the heads kept for the checkpoint are not those it sealed"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("{", "is not a JSON document"),
        ("[]", "is not a creditdesk-checkpoint-1"),
        ('{"format": "creditdesk-checkpoint-1", "format": 1}', "says the same field twice"),
        ('{"format": "creditdesk-checkpoint-1"}', "is missing"),
        (" " * 200_000, "is too long"),
    ],
)
def test_invalid_checkpoint_file_is_rejected(tmp_path: Path, text: str, sentence: str) -> None:
    (tmp_path / "kept.json").write_text(text)
    with pytest.raises(ValueError, match=sentence):
        read_checkpoint(tmp_path / "kept.json")


async def _truncate_journal(
    store: Store, meddle: Tamper, credit: int, lines: Sequence[dict[str, Any]], keep: int
) -> None:
    """Cuts off all lines after `keep`, and makes the credit, its state and its rows agree."""
    last = lines[keep - 1]
    ids = ", ".join(str(line["HistoryId"]) for line in lines[keep:])
    for statement in (
        f"DELETE FROM journal_line WHERE credit_id = {credit} AND credit_kind = 'money' "
        f"AND sequence > {keep}",
        f"DELETE FROM coworker_booking_credit_use_history WHERE id IN ({ids})",
        f"UPDATE coworker_booking_credit SET remaining_credit = {last['BalanceAfter']} "
        f"WHERE id = {credit}",
        f"UPDATE account_state SET sequence = {keep}, digest = '{last['Digest']}' "
        f"WHERE id = {state_id((AccountType.MONEY, credit))}",
    ):
        await meddle(statement)
    assert money("40.00") > last["BalanceAfter"]
