"""Imports of complete, incomplete and contradictory files, and their reports."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from creditdesk.audit.verify import verify_ledger
from creditdesk.entities.billing.coworker_booking_credit import CoworkerBookingCredit
from creditdesk.entities.billing.coworker_booking_credit_use_history import (
    CoworkerBookingCreditUseHistory,
)
from creditdesk.entities.ledger.journal_line import JournalLine
from creditdesk.entities.security.role import Role
from creditdesk.entities.security.user_role import UserRole
from creditdesk.entities.spaces.booking import Booking
from creditdesk.entities.spaces.coworker import Coworker
from creditdesk.entities.spaces.team import Team
from creditdesk.entities.sys.business import Business
from creditdesk.entities.sys.currency import Currency
from creditdesk.schema.entity import Entity, Record
from creditdesk.schema.records import new_record
from creditdesk.schema.repository import Store
from creditdesk.transfer.importer import Importer
from tests.support.progress import CollectingReporter

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


def write_files(folder: Path, **files: Any) -> Path:
    """Writes the default files and `files`: a text as it is, anything else as JSON."""
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


async def import_files(store: Store, folder: Path, *, keep_dangling: bool = False) -> CollectingReporter:
    report = CollectingReporter()
    await Importer(store, report, NOW, keep_dangling=keep_dangling).run(folder)
    return report


async def get_record(store: Store, entity: type[Entity], record_id: int) -> Record:
    async with store.read_session() as session:
        found = await session.get(entity, record_id)
    assert found is not None
    return found


async def verify_problems(store: Store) -> list[str]:
    report = CollectingReporter()
    await verify_ledger(store, report)
    return report.problems


async def test_balances_are_imported_as_is(sqlite_store: Store, tmp_path: Path) -> None:
    report = await import_files(sqlite_store, write_files(tmp_path))
    credit = await get_record(sqlite_store, CoworkerBookingCredit, 70)
    use = await get_record(sqlite_store, CoworkerBookingCreditUseHistory, 900)
    assert report.problems == []
    assert (credit["RemainingCredit"], credit["TotalCredit"]) == (875_000, 1_000_000)
    assert use["CreatedOn"] == datetime(2026, 2, 1, 9, 30, tzinfo=UTC)
    assert use["UniqueId"] == USE["UniqueId"]
    async with sqlite_store.read_session() as session:
        lines = await session.find(JournalLine)
    assert [(x["Kind"], x["Amount"], x["BalanceAfter"], x["HistoryId"]) for x in lines] == [
        ("grant", 1_000_000, 1_000_000, None),
        ("use", 125_000, 875_000, 900),
    ]
    assert await verify_problems(sqlite_store) == []


async def test_unexplained_balance_is_reported_by_verify(sqlite_store: Store, tmp_path: Path) -> None:
    await import_files(sqlite_store, write_files(tmp_path, coworkerbookingcreditusehistories_json=[]))
    found = await verify_problems(sqlite_store)
    assert found[0] == ("money credit 70: remaining is 87.50 EUR and the journal says 100.00 EUR")


async def test_later_use_of_existing_credit_lowers_balance(sqlite_store: Store, tmp_path: Path) -> None:
    await import_files(sqlite_store, write_files(tmp_path))
    later = USE | {"Id": 901, "CreditUsed": 7.5, "UniqueId": None}
    files = write_files(tmp_path, coworkerbookingcreditusehistories_json=[USE, later])
    report = await import_files(sqlite_store, files)
    assert report.problems == []
    credit = await get_record(sqlite_store, CoworkerBookingCredit, 70)
    assert credit["RemainingCredit"] == 800_000
    assert await verify_problems(sqlite_store) == []


async def test_later_use_exceeding_balance_is_reported(sqlite_store: Store, tmp_path: Path) -> None:
    await import_files(sqlite_store, write_files(tmp_path))
    later = USE | {"Id": 901, "CreditUsed": 90, "UniqueId": None}
    report = await import_files(
        sqlite_store, write_files(tmp_path, coworkerbookingcreditusehistories_json=[USE, later])
    )
    assert report.problems == [
        "CoworkerBookingCredit 70: the imported uses do not fit its balance, which stays as it was"
    ]


async def test_list_response_jsonl_and_csv_import_alike(sqlite_store: Store, tmp_path: Path) -> None:
    write_files(
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
    report = await import_files(sqlite_store, tmp_path)
    assert (report.problems, report.notes) == ([], [])
    credit = await get_record(sqlite_store, CoworkerBookingCredit, 70)
    assert credit["RemainingCredit"] == 875_000
    assert credit["ValidFrom"] == datetime(2026, 1, 15, 10, 30, tzinfo=UTC)
    assert (await get_record(sqlite_store, Business, 3))["Name"] == ""


async def test_missing_optional_reference_is_reported_once(sqlite_store: Store, tmp_path: Path) -> None:
    coworkers = [{"Id": 5, "FullName": "Ada", "TariffId": 9}, {"Id": 6, "TariffId": 9}]
    files = write_files(tmp_path, coworkers_json=coworkers)
    report = await import_files(sqlite_store, files)
    assert report.problems == ["Coworker.TariffId refers to the missing Tariff 9; the reference is cleared"]
    assert (await get_record(sqlite_store, Coworker, 6))["TariffId"] is None


async def test_placeholder_for_missing_record(sqlite_store: Store, tmp_path: Path) -> None:
    files = write_files(tmp_path, coworkerbookingcredits_json=[CREDIT | {"CoworkerId": 55}])
    report = await import_files(sqlite_store, files, keep_dangling=True)
    assert len(report.problems) == 1
    assert (await get_record(sqlite_store, Coworker, 55))["FullName"] == "Missing Coworker 55"
    assert (await get_record(sqlite_store, CoworkerBookingCredit, 70))["CoworkerId"] == 55


async def test_unknown_columns_are_reported_once(sqlite_store: Store, tmp_path: Path) -> None:
    coworkers = [
        {"Id": 5, "FullName": "Ada", "Shoe": 41},
        {"Id": 6, "FullName": "Bo", "Shoe": 43, "Hat": 1},
    ]
    report = await import_files(sqlite_store, write_files(tmp_path, coworkers_json=coworkers, notes_txt="hello"))
    assert report.notes == [
        "notes.txt is not named after an entity's records and is skipped",
        "coworkers.json: unknown columns are ignored: Shoe, Hat",
    ]


async def test_rounded_money_is_reported(sqlite_store: Store, tmp_path: Path) -> None:
    credit = '[{"Id": 70, "CoworkerId": 5, "BusinessId": 1, "TotalCredit": 0.10005}]'
    files = write_files(
        tmp_path,
        coworkerbookingcredits_json=credit,
        coworkerbookingcreditusehistories_json=[],
    )
    report = await import_files(sqlite_store, files)
    assert (await get_record(sqlite_store, CoworkerBookingCredit, 70))["TotalCredit"] == 1001
    assert report.problems == ["coworkerbookingcredits.json: row 1: TotalCredit 0.10005 is rounded to 4 decimal places"]


async def test_unreadable_row_is_refused(sqlite_store: Store, tmp_path: Path) -> None:
    bad = [CREDIT | {"Id": 71, "TotalCredit": "much"}, CREDIT | {"Id": 72, "RemainingCredit": 200}]
    files = write_files(tmp_path, coworkerbookingcredits_json=[*bad, CREDIT], currencies_json='[{"Id": 2}')
    report = await import_files(sqlite_store, files)
    assert report.problems[:1] == [
        "currencies.json ends in the middle of a record or list; the rest of the file is refused"
    ]
    assert sorted(report.problems[1:]) == [
        'coworkerbookingcredits.json: row 1: TotalCredit "much" must be a number such as 12.50; the row is refused',
        "coworkerbookingcredits.json: row 2: RemainingCredit must be between 0 and TotalCredit; the row is refused",
    ]
    assert (await get_record(sqlite_store, Currency, 2))["Id"] == 2


async def test_either_side_of_a_link_imports_it(sqlite_store: Store, tmp_path: Path) -> None:
    coworkers = [
        {"Id": 5, "FullName": "Ada", "Email": "a@x.example", "Teams": [8]},
        {"Id": 6, "FullName": "Bo", "Email": "b@x.example", "Teams": []},
    ]
    teams = [{"Id": 8, "BusinessId": 1, "Name": "Crew", "TeamMembers": [6], "PayingMemberId": 5}]
    files = write_files(tmp_path, coworkers_json=coworkers, teams_json=teams)
    for _ in range(2):
        assert (await import_files(sqlite_store, files)).problems == []
        team = await get_record(sqlite_store, Team, 8)
        assert (team["TeamMembers"], team["PayingMemberId"]) == ((5, 6), 5)


async def test_changed_rows_are_updated(sqlite_store: Store, tmp_path: Path) -> None:
    files = write_files(tmp_path, coworkers_json=[{"Id": 5, "FullName": "Ada"}, {"FullName": "No Id"}])
    await import_files(sqlite_store, files)
    write_files(tmp_path, coworkers_json=[{"Id": 5, "FullName": "Ada L."}, {"FullName": "No Id"}])
    importer = Importer(sqlite_store, CollectingReporter(), NOW)
    count = (await importer.run(tmp_path)).counts["Coworker"]
    assert (count.added, count.changed, count.unchanged) == (0, 1, 1)
    assert (await get_record(sqlite_store, Coworker, 5))["FullName"] == "Ada L."


async def test_roles_match_by_name(sqlite_store: Store, tmp_path: Path) -> None:
    here = [{"Id": 1, "Name": "Booking-List"}, {"Id": 2, "Name": "User-Delete"}]
    await import_files(sqlite_store, write_files(tmp_path / "here", roles_json=here))
    there = [{"Id": 2, "Name": "booking-list"}, {"Id": 1, "Name": "Team-List"}]
    assignments = [{"Id": 4, "BusinessId": 1, "Name": "Front", "Roles": [2, 1]}]
    files = write_files(tmp_path / "there", roles_json=there, userroles_json=assignments)
    for _ in range(2):
        await import_files(sqlite_store, files)
        given = (await get_record(sqlite_store, UserRole, 4))["Roles"]
        names = [(await get_record(sqlite_store, Role, role_id))["Name"] for role_id in given]
        assert sorted(names) == ["Booking-List", "Team-List"]


async def test_duplicate_id_or_unique_id_is_reported(new_store: Callable[[], Awaitable[Store]], tmp_path: Path) -> None:
    store = await new_store()
    ada = {"Id": 5, "FullName": "Ada", "UniqueId": USE["UniqueId"]}
    coworkers = [ada, ada, ada | {"FullName": "Eve"}, {"Id": 6, "UniqueId": USE["UniqueId"]}]
    end = "has the Id or UniqueId of row 1; the row is refused"
    report = await import_files(store, write_files(tmp_path / "in", coworkers_json=coworkers))
    assert report.problems == [
        f"coworkers.json: row 3: {end}",
        f"coworkers.json: row 4: {end}",
    ]
    coworkers = [{"Id": 6, "UniqueId": USE["UniqueId"]}, {"Id": 7, "FullName": "Bo"}, {"Nix": 1}]
    report = await import_files(store, write_files(tmp_path / "in", coworkers_json=coworkers))
    assert report.problems == ["coworkers.json: row 1: has the UniqueId of another record; the row is refused"]
    assert (await get_record(store, Coworker, 5))["FullName"] == "Ada"
    assert (await get_record(store, Coworker, 7))["FullName"] == "Bo"


async def test_interrupted_import_is_completed_by_the_next(
    sqlite_store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = write_files(tmp_path)

    async def fail(*_: object) -> None:
        raise OSError

    with monkeypatch.context() as patch, pytest.raises(OSError):
        patch.setattr("creditdesk.transfer.importer.open_imported_journals", fail)
        await import_files(sqlite_store, files)
    assert await verify_problems(sqlite_store) != []
    assert (await import_files(sqlite_store, files)).problems == []
    assert await verify_problems(sqlite_store) == []


async def test_import_grants_no_credit_that_it_does_not_name(sqlite_store: Store, tmp_path: Path) -> None:
    await import_files(sqlite_store, write_files(tmp_path / "first"))
    forged = {"CoworkerId": 5, "BusinessId": 1, "TotalCredit": 10_000, "RemainingCredit": 10_000}
    async with sqlite_store.write_session() as session:
        [forged_id] = await session.insert(
            CoworkerBookingCredit, [new_record(CoworkerBookingCredit, forged, NOW, "a@x.example")]
        )
    await import_files(
        sqlite_store, write_files(tmp_path / "second", coworkerbookingcredits_json=[CREDIT | {"Id": 90}])
    )
    report = CollectingReporter()
    await verify_ledger(sqlite_store, report)
    assert [problem for problem in report.problems if "no grant" in problem] == [
        f"money credit {forged_id}: no grant explains the credit, so it cannot be used until it is adopted"
    ]


async def test_dry_run_reports_like_an_import_and_changes_nothing(
    new_store: Callable[[], Awaitable[Store]], tmp_path: Path
) -> None:
    store = await new_store()
    ada = {"Id": 5, "FullName": "Ada", "UniqueId": USE["UniqueId"]}
    await import_files(store, write_files(tmp_path, coworkers_json=[ada]))
    people = [{"Id": 6, "UniqueId": USE["UniqueId"]}, {"Id": 7, "FullName": "Bo"}]
    later = USE | {"Id": 901, "CreditUsed": 7.5, "UniqueId": None}
    bad = CREDIT | {"Id": 71, "ExpireDate": "soon"}
    files = write_files(
        tmp_path,
        coworkers_json=people,
        coworkerbookingcredits_json=[CREDIT, bad],
        coworkerbookingcreditusehistories_json=[USE, later],
        # The database finds the conflict of the second row, in the middle of the transaction.
        locationprofiles_json=[{"Id": 1, "BusinessId": 1}, {"Id": 2, "BusinessId": 1}],
    )
    dry = CollectingReporter()
    state = await Importer(store, dry, NOW, dry_run=True).run(files)
    assert (await get_record(store, CoworkerBookingCredit, 70))["RemainingCredit"] == 875_000
    async with store.read_session() as session:
        assert await session.count(Coworker) == 1
    report = CollectingReporter()
    assert (await Importer(store, report, NOW).run(files)).counts == state.counts
    assert (dry.problems, len(dry.problems)) == (report.problems, 3)
    assert (await get_record(store, CoworkerBookingCredit, 70))["RemainingCredit"] == 800_000


async def test_bookings_without_a_number_are_numbered_after_those_that_have_one(store: Store, tmp_path: Path) -> None:
    bookings = [
        {"Id": 31, "ResourceId": 3, "BookingNumber": 8},
        {"Id": 32, "ResourceId": 3, "BookingNumber": None},
        {"Id": 33, "ResourceId": 3},
        {"Id": 34},
    ]
    folder = write_files(
        tmp_path / "files", resources_json=[{"Id": 3, "Name": "Room", "BusinessId": 1}], bookings_json=bookings
    )
    for _ in range(2):
        await import_files(store, folder)
        async with store.read_session() as session:
            found = await session.find(Booking, columns=("Id", "BookingNumber"))
        assert {each["Id"]: each["BookingNumber"] for each in found} == {31: 8, 32: 9, 33: 10, 34: None}
