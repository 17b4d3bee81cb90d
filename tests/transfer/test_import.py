"""Files as people bring them: every shape, every gap, and what is said about it."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from creditdesk.audit.verify import verify
from creditdesk.entities.billing.coworker_booking_credit import CoworkerBookingCredit
from creditdesk.entities.billing.coworker_booking_credit_use_history import (
    CoworkerBookingCreditUseHistory,
)
from creditdesk.entities.ledger.journal_line import JournalLine
from creditdesk.entities.security.role import Role
from creditdesk.entities.security.user_role import UserRole
from creditdesk.entities.spaces.coworker import Coworker
from creditdesk.entities.spaces.team import Team
from creditdesk.entities.sys.business import Business
from creditdesk.entities.sys.currency import Currency
from creditdesk.schema.entity import Entity, Record
from creditdesk.schema.progress import Gathered
from creditdesk.schema.repository import Store
from creditdesk.transfer.importer import Import

pytestmark = pytest.mark.usefixtures("import_into_empty")
NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)
CREDIT = {
    "Id": 70, "CoworkerId": 5, "BusinessId": 1, "TotalCredit": 100, "RemainingCredit": 87.5,
    "CreatedOn": "2026-01-01T00:00:00Z",
}  # fmt: skip
USE = {
    "Id": 900, "CoworkerBookingCreditId": 70, "CreditUsed": 12.5,
    "CreatedOn": "2026-02-01T09:30:00Z", "UniqueId": "a1b2c3d4-e5f6-7890-abcd-ef1234567890",
}  # fmt: skip


def lay(folder: Path, **files: Any) -> Path:
    """Writes the files that most tests need, and those given: text as it is, else as JSON."""
    folder.mkdir(exist_ok=True)
    usual: dict[str, Any] = {
        "currencies_json": [{"Id": 2, "Name": "Euro", "Code": "EUR"}],
        "businesses_json": [{"Id": 1, "Name": "Harbour", "CurrencyId": 2}],
        "coworkers_json": [{"Id": 5, "FullName": "Ada", "Email": "a@x.example"}],
        "coworkerbookingcredits_json": [CREDIT],
        "coworkerbookingcreditusehistories_json": [USE],
    }
    for name, content in (usual | files).items():
        stem, _, ending = name.rpartition("_")
        text = content if isinstance(content, str) else json.dumps(content)
        (folder / f"{stem}.{ending}").write_text(text, encoding="utf-8", newline="")
    return folder


async def bring(store: Store, folder: Path, *, keep_dangling: bool = False) -> Gathered:
    report = Gathered()
    await Import(store, report, NOW, keep_dangling=keep_dangling).run(folder)
    return report


async def one(store: Store, entity: type[Entity], record_id: int) -> Record:
    async with store.reading() as reading:
        found = await reading.get(entity, record_id)
    assert found is not None
    return found


async def findings(store: Store) -> list[str]:
    report = Gathered()
    await verify(store, report)
    return report.problems


async def test_balances_come_as_they_are_and_uses_are_not_spent_again(
    sqlite_store: Store, tmp_path: Path
) -> None:
    report = await bring(sqlite_store, lay(tmp_path))
    credit = await one(sqlite_store, CoworkerBookingCredit, 70)
    use = await one(sqlite_store, CoworkerBookingCreditUseHistory, 900)
    assert report.problems == []
    assert (credit["RemainingCredit"], credit["TotalCredit"]) == (875_000, 1_000_000)
    assert use["CreatedOn"] == datetime(2026, 2, 1, 9, 30, tzinfo=UTC)
    assert use["UniqueId"] == USE["UniqueId"]
    async with sqlite_store.reading() as reading:
        lines = await reading.find(JournalLine)
    assert [(x["Kind"], x["Amount"], x["BalanceAfter"], x["HistoryId"]) for x in lines] == [
        ("grant", 1_000_000, 1_000_000, None),
        ("use", 125_000, 875_000, 900),
    ]
    assert await findings(sqlite_store) == []


async def test_a_balance_that_its_uses_do_not_explain_is_reported_by_verify(
    sqlite_store: Store, tmp_path: Path
) -> None:
    await bring(sqlite_store, lay(tmp_path, coworkerbookingcreditusehistories_json=[]))
    found = await findings(sqlite_store)
    assert found[0] == (
        "CoworkerBookingCredit 70: remaining is 875000 and the journal says 1000000"
    )


async def test_a_later_use_of_a_credit_already_here_lowers_its_balance(
    sqlite_store: Store, tmp_path: Path
) -> None:
    await bring(sqlite_store, lay(tmp_path))
    later = USE | {"Id": 901, "CreditUsed": 7.5, "UniqueId": None}
    files = lay(tmp_path, coworkerbookingcreditusehistories_json=[USE, later])
    report = await bring(sqlite_store, files)
    assert report.problems == []
    credit = await one(sqlite_store, CoworkerBookingCredit, 70)
    assert credit["RemainingCredit"] == 800_000
    assert await findings(sqlite_store) == []


async def test_a_later_use_that_does_not_fit_is_told_and_takes_nothing(
    sqlite_store: Store, tmp_path: Path
) -> None:
    await bring(sqlite_store, lay(tmp_path))
    later = USE | {"Id": 901, "CreditUsed": 90, "UniqueId": None}
    report = await bring(
        sqlite_store, lay(tmp_path, coworkerbookingcreditusehistories_json=[USE, later])
    )
    assert report.problems == [
        "CoworkerBookingCredit 70: the uses that came for it do not fit its balance,"
        " which stays as it was"
    ]


async def test_a_list_answer_json_lines_and_csv_say_the_same(
    sqlite_store: Store, tmp_path: Path
) -> None:
    lay(
        tmp_path,
        coworkers_json={"Records": [{"Id": 5, "FullName": "Ada"}], "TotalItems": 1},
        currencies_json={"TotalItems": 1, "Records": [{"Id": 2, "Name": "Euro"}]},
        businesses_jsonl='{"Id": 1, "Name": "Harbour", "CurrencyId": 2}\n\n{"Id": 3}\n',
        businesses_json=[],
        coworkerbookingcredits_json=[],
        coworkerbookingcredits_csv=(
            "id,CoworkerId,BusinessId,TotalCredit,RemainingCredit,CoworkerFullName,ValidFrom\r\n"
            '70,5,1,"100.00",87.5,Ada,2026-01-15T10:30:00Z\r\n'
        ),
    )
    report = await bring(sqlite_store, tmp_path)
    assert (report.problems, report.notes) == ([], [])
    credit = await one(sqlite_store, CoworkerBookingCredit, 70)
    assert credit["RemainingCredit"] == 875_000
    assert credit["ValidFrom"] == datetime(2026, 1, 15, 10, 30, tzinfo=UTC)
    assert (await one(sqlite_store, Business, 3))["Name"] == ""


async def test_a_missing_reference_is_told_once_and_left_empty(
    sqlite_store: Store, tmp_path: Path
) -> None:
    other = CREDIT | {"Id": 71, "CoworkerId": 55}
    files = lay(tmp_path, coworkerbookingcredits_json=[CREDIT | {"CoworkerId": 55}, other])
    report = await bring(sqlite_store, files)
    assert report.problems == [
        "Coworker 55, named by CoworkerBookingCredit.CoworkerId, is nowhere;"
        " what names it is left empty"
    ]
    assert (await one(sqlite_store, CoworkerBookingCredit, 71))["CoworkerId"] is None


async def test_a_stand_in_is_kept_for_a_missing_record_when_asked(
    sqlite_store: Store, tmp_path: Path
) -> None:
    files = lay(tmp_path, coworkerbookingcredits_json=[CREDIT | {"CoworkerId": 55}])
    report = await bring(sqlite_store, files, keep_dangling=True)
    assert len(report.problems) == 1
    assert (await one(sqlite_store, Coworker, 55))["FullName"] == "Missing Coworker 55"
    assert (await one(sqlite_store, CoworkerBookingCredit, 70))["CoworkerId"] == 55


async def test_extra_columns_are_named_once_and_skipped(
    sqlite_store: Store, tmp_path: Path
) -> None:
    people = [{"Id": 5, "FullName": "Ada", "Shoe": 41}, {"Id": 6, "FullName": "Bo", "Shoe": 43}]
    report = await bring(sqlite_store, lay(tmp_path, coworkers_json=people, notes_txt="hello"))
    assert report.notes == [
        "notes.txt is not named after an entity's records and is skipped",
        "coworkers.json: the column Shoe is not known and skipped",
    ]


async def test_money_is_rounded_half_away_from_zero_and_told(
    sqlite_store: Store, tmp_path: Path
) -> None:
    credit = '[{"Id": 70, "CoworkerId": 5, "BusinessId": 1, "TotalCredit": 0.10005}]'
    files = lay(
        tmp_path,
        coworkerbookingcredits_json=credit,
        coworkerbookingcreditusehistories_json=[],
    )
    report = await bring(sqlite_store, files)
    assert (await one(sqlite_store, CoworkerBookingCredit, 70))["TotalCredit"] == 1001
    assert report.notes == [
        "coworkerbookingcredits.json: row 1: TotalCredit 0.10005 is rounded to what is kept"
    ]


async def test_what_cannot_be_read_is_left_out_with_its_row(
    sqlite_store: Store, tmp_path: Path
) -> None:
    bad = [CREDIT | {"Id": 71, "TotalCredit": "much"}, CREDIT | {"Id": 72, "RemainingCredit": 200}]
    files = lay(tmp_path, coworkerbookingcredits_json=[*bad, CREDIT], currencies_json='[{"Id": 2}')
    report = await bring(sqlite_store, files)
    assert report.problems[:1] == [
        "currencies.json ends in the middle of its list; what follows in this file is left out"
    ]
    assert sorted(report.problems[1:]) == [
        "CoworkerBookingCredit 72: RemainingCredit is not from 0 to TotalCredit;"
        " the record is left out",
        "coworkerbookingcredits.json: row 1: TotalCredit must be a number; the row is left out",
    ]
    assert (await one(sqlite_store, Currency, 2))["Id"] == 2


async def test_either_side_of_a_link_brings_it_and_empty_lists_take_nothing_away(
    sqlite_store: Store, tmp_path: Path
) -> None:
    people = [
        {"Id": 5, "FullName": "Ada", "Email": "a@x.example", "Teams": [8]},
        {"Id": 6, "FullName": "Bo", "Email": "b@x.example", "Teams": []},
    ]
    teams = [{"Id": 8, "BusinessId": 1, "Name": "Crew", "TeamMembers": [6], "PayingMemberId": 5}]
    files = lay(tmp_path, coworkers_json=people, teams_json=teams)
    for _ in range(2):
        assert (await bring(sqlite_store, files)).problems == []
        team = await one(sqlite_store, Team, 8)
        assert (team["TeamMembers"], team["PayingMemberId"]) == ((5, 6), 5)


async def test_changed_rows_are_updated_and_rows_without_ids_come_in_once(
    sqlite_store: Store, tmp_path: Path
) -> None:
    files = lay(tmp_path, coworkers_json=[{"Id": 5, "FullName": "Ada"}, {"FullName": "No Id"}])
    await bring(sqlite_store, files)
    lay(tmp_path, coworkers_json=[{"Id": 5, "FullName": "Ada L."}, {"FullName": "No Id"}])
    work = Import(sqlite_store, Gathered(), NOW)
    tally = (await work.run(tmp_path))["Coworker"]
    assert (tally.added, tally.changed, tally.same) == (0, 1, 1)
    assert (await one(sqlite_store, Coworker, 5))["FullName"] == "Ada L."


async def test_roles_are_known_by_their_names_not_their_numbers(
    sqlite_store: Store, tmp_path: Path
) -> None:
    here = [{"Id": 1, "Name": "Booking-List"}, {"Id": 2, "Name": "User-Delete"}]
    await bring(sqlite_store, lay(tmp_path / "here", roles_json=here))
    there = [{"Id": 2, "Name": "booking-list"}, {"Id": 1, "Name": "Team-List"}]
    desk = [{"Id": 4, "BusinessId": 1, "Name": "Desk", "Roles": [2, 1]}]
    files = lay(tmp_path / "there", roles_json=there, userroles_json=desk)
    for _ in range(2):
        await bring(sqlite_store, files)
        given = (await one(sqlite_store, UserRole, 4))["Roles"]
        names = [(await one(sqlite_store, Role, role_id))["Name"] for role_id in given]
        assert sorted(names) == ["Booking-List", "Team-List"]


async def test_an_id_or_unique_id_that_stands_twice_is_told(
    new_store: Callable[[], Awaitable[Store]], tmp_path: Path
) -> None:
    store = await new_store()
    ada = {"Id": 5, "FullName": "Ada", "UniqueId": USE["UniqueId"]}
    people = [ada, ada, ada | {"FullName": "Eve"}, {"Id": 6, "UniqueId": USE["UniqueId"]}]
    end = "row 1 has its Id or UniqueId; the row is left out"
    report = await bring(store, lay(tmp_path / "in", coworkers_json=people))
    assert report.problems == [f"coworkers: row 3: {end}", f"coworkers: row 4: {end}"]
    people = [{"Id": 6, "UniqueId": USE["UniqueId"]}, {"Id": 7, "FullName": "Bo"}, {"Nix": 1}]
    report = await bring(store, lay(tmp_path / "in", coworkers_json=people))
    assert report.problems == [
        "coworkers: row 1: another record has its UniqueId; the row is left out"
    ]
    assert (await one(store, Coworker, 5))["FullName"] == "Ada"
    assert (await one(store, Coworker, 7))["FullName"] == "Bo"


async def test_a_run_that_broke_off_before_the_journal_is_completed_by_the_next(
    sqlite_store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = lay(tmp_path)

    async def fail(*_: object) -> None:
        raise OSError

    with monkeypatch.context() as patch, pytest.raises(OSError):  # noqa: PT011 - the cut itself
        patch.setattr("creditdesk.transfer.importer.open_imported", fail)
        await bring(sqlite_store, files)
    assert await findings(sqlite_store) != []
    assert (await bring(sqlite_store, files)).problems == []
    assert await findings(sqlite_store) == []
