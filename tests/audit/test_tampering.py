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

from creditdesk.audit.checkpoint_check import read_checkpoint, verify_sealed
from creditdesk.audit.checkpoint_format import Checkpoint
from creditdesk.audit.checkpoints import newest, prove_use
from creditdesk.audit.verify import verify
from creditdesk.entities.ledger.checkpoint_heads import SealedHeads
from creditdesk.entities.ledger.journal_line import JournalLine
from creditdesk.ledger.journal.entry import CreditKind
from creditdesk.ledger.journal.hash_chain import genesis_digest, line_digest
from creditdesk.ledger.journal.mapping import line_of, state_id, where
from creditdesk.schema.errors import Conflict
from creditdesk.schema.progress import Gathered
from creditdesk.schema.repository import Store
from creditdesk.storage.sqlite import SQLiteStore
from tests.audit.conftest import Meddle, Seal, execute
from tests.ledger.town import Town, money


async def drawn(town: Town) -> int:
    """A credit of 40 with a grant and three uses: lines 1 to 4."""
    credit = await town.add_money("40.00")
    for amount in ("1.00", "2.00", "3.00"):
        await town.use(credit, amount, Description="coffee")
    return credit


async def in_the_books(store: Store, credit: int) -> list[str]:
    """What `verify` finds on a credit."""
    report = Gathered()
    await verify(store, report)
    names = (f"money credit {credit}, ", f"CoworkerBookingCredit {credit}: ")
    return [said for said in report.problems if said.startswith(names)]


async def under_seal(store: Store, checkpoint: Checkpoint, credit: int) -> list[str]:
    """What holding the journal against a kept checkpoint finds on a credit."""
    report = Gathered()
    await verify_sealed(store, checkpoint, report)
    return [said for said in report.problems if said.startswith(f"money credit {credit}, ")]


def at(credit: int, sequence: int) -> str:
    return f"WHERE credit_kind = 'money' AND credit_id = {credit} AND sequence = {sequence}"


async def test_sound_books_stand_under_their_seal(store: Store, town: Town, seal: Seal) -> None:
    credit = await drawn(town)
    checkpoint = await seal()
    await town.use(credit, "4.00")
    report = Gathered()
    await verify(store, report)
    await verify_sealed(store, checkpoint, report)
    assert report.problems == []


@pytest.mark.parametrize("table", ["stored_checkpoint", "sealed_heads"])
@pytest.mark.parametrize("act", ["DELETE FROM {}", "UPDATE {} SET updated_by = 'x'"])
async def test_the_database_itself_keeps_checkpoints_as_they_are(
    store: Any, town: Town, seal: Seal, table: str, act: str
) -> None:
    await drawn(town)
    await seal()
    with pytest.raises(Exception, match="append-only"):
        await execute(store, act.format(table))


SET = [
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


@pytest.mark.parametrize(("column", "value"), SET, ids=[column for column, _ in SET])
async def test_a_changed_line_is_named(
    store: Store, town: Town, meddle: Meddle, column: str, value: str
) -> None:
    credit = await drawn(town)
    await meddle(f"UPDATE journal_line SET {column} = {value} {at(credit, 3)}")
    found = await in_the_books(store, credit)
    assert (
        f"money credit {credit}, line 3: its content does not match its digest and the line"
        " before it" in found
    )
    assert not any(f"money credit {credit}, line {n}:" in said for n in (1, 2, 4) for said in found)


@pytest.mark.parametrize("column", ["recorded_on", "effective_on"])
async def test_a_changed_time_is_named_to_the_microsecond(
    store: Store, town: Town, meddle: Meddle, column: str
) -> None:
    credit = await drawn(town)
    later = "+ 1" if isinstance(store, SQLiteStore) else "+ interval '1 microsecond'"
    await meddle(f"UPDATE journal_line SET {column} = {column} {later} {at(credit, 2)}")
    (said,) = await in_the_books(store, credit)
    assert said.startswith(f"money credit {credit}, line 2: its content does not match")


async def test_a_part_of_a_use_is_named(store: Store, town: Town, meddle: Meddle) -> None:
    credit = await town.add_time(600)
    await town.use_time(credit, BookingId=await town.add_booking())
    await meddle(
        "UPDATE journal_line SET amount = amount + 1 "
        f"WHERE credit_kind = 'time' AND credit_id = {credit} AND sequence = 2"
    )
    report = Gathered()
    await verify(store, report)
    assert any(said.startswith(f"time credit {credit}, line 2: its") for said in report.problems)


async def test_a_removed_line_is_named(store: Store, town: Town, meddle: Meddle) -> None:
    credit = await drawn(town)
    await meddle(f"DELETE FROM journal_line {at(credit, 2)}")
    assert f"money credit {credit}, line 2: the line is missing" in await in_the_books(
        store, credit
    )


async def test_reordered_lines_are_named(store: Store, town: Town, meddle: Meddle) -> None:
    credit = await drawn(town)
    for sequence, other in ((2, 99), (3, 2), (99, 3)):
        await meddle(f"UPDATE journal_line SET sequence = {other} {at(credit, sequence)}")
    found = await in_the_books(store, credit)
    for sequence in (2, 3):
        assert any(said.startswith(f"money credit {credit}, line {sequence}: ") for said in found)


async def test_an_inserted_line_is_named(store: Store, town: Town, meddle: Meddle) -> None:
    credit = await drawn(town)
    copied = (await town.lines("money", credit))[2]
    for sequence in (4, 3):
        await meddle(f"UPDATE journal_line SET sequence = {sequence + 1} {at(credit, sequence)}")
    forged = {"Id": None, "UniqueId": str(uuid4()), "Sequence": 3, "Amount": money("9.00")}
    async with store.writing() as unit:
        await unit.insert(JournalLine, [copied | forged])
    found = await in_the_books(store, credit)
    assert any(said.startswith(f"money credit {credit}, line 3: ") for said in found)
    assert any("the journal goes on to line 5" in said for said in found)


async def test_newest_lines_cut_off_are_named_by_the_kept_checkpoint_alone(
    store: Store, town: Town, seal: Seal, meddle: Meddle, tmp_path: Path
) -> None:
    credit = await drawn(town)
    checkpoint = await seal()
    lines = await town.lines("money", credit)
    await _cut(store, meddle, credit, lines, 2)
    # Whoever cut them off made everything else fit, so the books alone are sound.
    assert await in_the_books(store, credit) == []
    (tmp_path / "kept.json").write_text(json.dumps(checkpoint.document()))
    kept = read_checkpoint(tmp_path / "kept.json")
    assert await under_seal(store, kept, credit) == [
        f"money credit {credit}, lines 3 to 4: sealed by the checkpoint, are cut off"
    ]
    async with store.reading() as reading:
        with pytest.raises(Conflict, match="is not what its checkpoint sealed"):
            await prove_use(reading, lines[0]["Id"])


async def test_one_line_cut_off_and_a_whole_credit_gone(
    store: Store, town: Town, seal: Seal, meddle: Meddle
) -> None:
    one, gone = await drawn(town), await drawn(town)
    checkpoint = await seal()
    await _cut(store, meddle, one, await town.lines("money", one), 3)
    for statement in (
        f"DELETE FROM journal_line WHERE credit_kind = 'money' AND credit_id = {gone}",
        f"DELETE FROM credit_state WHERE id = {state_id((CreditKind.MONEY, gone))}",
        f"DELETE FROM coworker_booking_credit_use_history WHERE coworker_booking_credit_id = {gone}",
        f"DELETE FROM coworker_booking_credit WHERE id = {gone}",
    ):
        await meddle(statement)
    assert await under_seal(store, checkpoint, one) == [
        f"money credit {one}, line 4: sealed by the checkpoint, is cut off"
    ]
    assert await under_seal(store, checkpoint, gone) == [
        f"money credit {gone}, lines 1 to 4: sealed by the checkpoint, are cut off"
    ]


async def test_a_past_rewritten_with_all_its_digests_is_named(
    store: Store, town: Town, seal: Seal, meddle: Meddle
) -> None:
    credit = await drawn(town)
    checkpoint = await seal()
    account = (CreditKind.MONEY, credit)
    digest = genesis_digest(*account)
    for record in await town.lines("money", credit):
        line = structs.replace(line_of(record), actor="someone@example.com")
        digest = line_digest(digest, line)
        changes = f"actor = '{line.actor}', digest = '{digest.hex()}'"
        await meddle(f"UPDATE journal_line SET {changes} WHERE id = {record['Id']}")
    await meddle(
        f"UPDATE credit_state SET digest = '{digest.hex()}' WHERE id = {state_id(account)}"
    )
    assert await in_the_books(store, credit) == []
    assert await under_seal(store, checkpoint, credit) == [
        f"money credit {credit}, line 4: this line or one before it is not what a checkpoint sealed"
    ]


async def test_a_line_of_a_credit_that_is_gone_is_still_watched(
    store: Store, town: Town, seal: Seal, meddle: Meddle
) -> None:
    credit = await drawn(town)
    checkpoint = await seal()
    await meddle(
        f"DELETE FROM coworker_booking_credit_use_history WHERE coworker_booking_credit_id = {credit}"
    )
    await meddle(f"DELETE FROM coworker_booking_credit WHERE id = {credit}")
    assert await under_seal(store, checkpoint, credit) == []
    await meddle(f"UPDATE journal_line SET amount = amount + 1 {at(credit, 2)}")
    (said,) = await under_seal(store, checkpoint, credit)
    assert said.startswith(f"money credit {credit}, line 2: its content does not match")


async def test_the_kept_checkpoint_must_be_one_of_this_ledger(store: Store, seal: Seal) -> None:
    checkpoint = await seal()
    report = Gathered()
    other = replace(checkpoint, root=bytes(32))
    await verify_sealed(store, other, report)
    assert "is not among those the database keeps" in report.problems[-1]


async def test_a_checkpoint_made_over_less_than_the_one_before_is_named(
    store: Store, town: Town, seal: Seal, meddle: Meddle
) -> None:
    credit = await drawn(town)
    await seal()
    await _cut(store, meddle, credit, await town.lines("money", credit), 2)
    checkpoint = await seal()
    report = Gathered()
    await verify_sealed(store, checkpoint, report)
    assert any("is earlier or smaller than the one before it" in s for s in report.problems)


async def test_a_changed_checkpoint_in_the_database_is_named(
    store: Store, seal: Seal, meddle: Meddle
) -> None:
    checkpoint = await seal()
    async with store.reading() as reading:
        kept = await newest(reading)
    assert kept is not None
    told = json.dumps(checkpoint.document() | {"lines": checkpoint.lines + 1})
    await meddle(f"UPDATE stored_checkpoint SET document = '{told}' WHERE id = {kept.id}")
    report = Gathered()
    await verify_sealed(store, checkpoint, report)
    assert any(said.endswith("has a signature that is not valid") for said in report.problems)
    assert "is not among those the database keeps" in report.problems[-1]
    true = json.dumps(checkpoint.document())
    await meddle(f"UPDATE stored_checkpoint SET document = '{true}' WHERE id = {kept.id}")


async def test_heads_that_were_changed_are_refused_as_a_whole(
    store: Store, seal: Seal, meddle: Meddle
) -> None:
    checkpoint = await seal()
    async with store.reading() as reading:
        kept = await newest(reading)
        assert kept is not None
        run = (await reading.find(SealedHeads, where(SealedHeads, StoredCheckpointId=kept.id)))[0]
    await meddle(f"DELETE FROM sealed_heads WHERE id = {run['Id']}")
    report = Gathered()
    await verify_sealed(store, checkpoint, report)
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
def test_a_file_that_is_no_checkpoint_is_refused(tmp_path: Path, text: str, sentence: str) -> None:
    (tmp_path / "kept.json").write_text(text)
    with pytest.raises(ValueError, match=sentence):
        read_checkpoint(tmp_path / "kept.json")


async def _cut(
    store: Store, meddle: Meddle, credit: int, lines: Sequence[dict[str, Any]], keep: int
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
        f"UPDATE credit_state SET sequence = {keep}, digest = '{last['Digest']}' "
        f"WHERE id = {state_id((CreditKind.MONEY, credit))}",
    ):
        await meddle(statement)
    assert money("40.00") > last["BalanceAfter"]
