"""Imports of XLSX workbooks, of plans with lists of numbers, and of JSON with a fault in the middle."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest
from openpyxl import Workbook

from creditdesk.entities.billing.coworker_booking_credit import CoworkerBookingCredit
from creditdesk.entities.billing.tariff import Tariff
from creditdesk.entities.spaces.coworker import Coworker
from creditdesk.schema.repository import Store
from creditdesk.transfer.file_rows import BadRow, FileRow, MalformedFile
from creditdesk.transfer.files import read_rows
from tests.transfer.test_import import import_files, write_files

pytestmark = pytest.mark.usefixtures("import_into_empty")
COLUMNS = ("Id", "CoworkerId", "BusinessId", "TotalCredit", "ExpireDate", "CaneBeUsedForBookings", "Description")


def write_workbook(path: Path, *lines: tuple[Any, ...]) -> Path:
    workbook = Workbook()
    sheet = workbook.active
    for line in lines:
        sheet.append(line)
    workbook.create_sheet("Notes").append(("Id", "not a record"))
    workbook.save(path)
    return path


def test_cells_keep_their_types_and_numbers_are_exact(tmp_path: Path) -> None:
    file = write_workbook(
        tmp_path / "x.xlsx",
        ("Id", " Name ", "Price", "On", "Yes", None),
        (7, "Flex", 0.1 + 0.2, datetime.fromisoformat("2026-05-01T09:30"), True),
        (None, None, None, None, None),
        (8.0, "007", 1e15, None, False),
        (9, "", 1, None, None, "beyond"),
    )
    assert list(read_rows(file)) == [
        FileRow(1, {"Id": 7, "Name": "Flex", "Price": Decimal("0.3"), "On": "2026-05-01T09:30:00", "Yes": True}, True),
        FileRow(3, {"Id": 8, "Name": "007", "Price": 10**15, "On": "", "Yes": False}, True),
        BadRow(4, "has a cell beyond the 5 columns that the first line names"),
    ]


@pytest.mark.parametrize("content", [b"", b"Id,Name\n1,Ada\n", b"PK\x03\x04 not a zip"])
def test_a_file_that_is_no_workbook_is_refused(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "coworkers.xlsx"
    file.write_bytes(content)
    with pytest.raises(MalformedFile, match=r"coworkers\.xlsx is not an XLSX workbook, or is damaged; save it again"):
        list(read_rows(file))


def test_a_zip_without_a_workbook_is_refused(tmp_path: Path) -> None:
    with ZipFile(tmp_path / "coworkers.xlsx", "w") as archive:
        archive.writestr("readme.txt", "no sheet")
    with pytest.raises(MalformedFile, match="is not an XLSX workbook"):
        list(read_rows(tmp_path / "coworkers.xlsx"))


async def test_a_workbook_is_imported(store: Store, tmp_path: Path) -> None:
    folder = write_files(tmp_path / "files", coworkerbookingcreditusehistories_json=[])
    (folder / "coworkerbookingcredits.json").unlink()
    write_workbook(
        folder / "coworkerbookingcredits.xlsx",
        COLUMNS,
        (70, 5, 1, 100.25, datetime.fromisoformat("2027-01-01"), True, None),
        (71, 5, 1, "12.5", "2027-02-01", False, "Gift"),
        (72, 5, 1, "a lot", None, None, None),
    )
    report = await import_files(store, folder)
    assert [problem for problem in report.problems if "row 3" in problem and "TotalCredit" in problem]
    async with store.read_session() as session:
        found = {each["Id"]: each for each in await session.find(CoworkerBookingCredit)}
    assert sorted(found) == [70, 71]
    assert (found[70]["TotalCredit"], found[70]["RemainingCredit"]) == (1_002_500, 1_002_500)
    assert found[70]["ExpireDate"] == datetime(2027, 1, 1, tzinfo=UTC)
    assert (found[70]["CaneBeUsedForBookings"], found[70]["Description"]) == (True, None)
    assert (found[71]["TotalCredit"], found[71]["Description"]) == (125_000, "Gift")


PLAN = {"BusinessId": 1, "CurrencyId": 2, "Price": 100, "SystemTariffType": 1, "CancellationPeriod": 1}


@pytest.mark.parametrize("ending", ["json", "csv", "xlsx"])
async def test_plans_are_imported_with_lists_of_delivery_preferences(store: Store, tmp_path: Path, ending: str) -> None:
    lists: list[tuple[Any, tuple[int, ...]]] = [([], ()), ([3, 1], (1, 3)), (2, (2,)), (0, ()), (None, ())]
    plans = [
        {"Id": 40 + n, "Name": f"Plan {n}", **PLAN, "DeliveryPreferencesMail": mail, "DeliveryPreferencesOther": mail}
        for n, (mail, _) in enumerate(lists)
    ]
    folder = write_files(tmp_path / "files", **({"tariffs_json": plans} if ending == "json" else {}))
    if ending == "xlsx":
        cells = [tuple(str(v) if isinstance(v, list) else v for v in plan.values()) for plan in plans]
        write_workbook(folder / "tariffs.xlsx", tuple(plans[0]), *cells)
    elif ending == "csv":
        rows = [",".join(f'"{"" if v is None else v}"' for v in plan.values()) for plan in plans]
        (folder / "tariffs.csv").write_text("\n".join([",".join(plans[0]), *rows]), encoding="utf-8")
    report = await import_files(store, folder)
    assert report.problems == []
    columns = ("Id", "DeliveryPreferencesMail", "DeliveryPreferencesOther", "DeliveryPreferencesChecks")
    async with store.read_session() as session:
        found = await session.find(Tariff, columns=columns)
    assert [tuple(each.values()) for each in found] == [(40 + n, kept, kept, ()) for n, (_, kept) in enumerate(lists)]


@pytest.mark.parametrize(
    "fault",
    ['{"Id": 8, "FullName": }', '{"Id": 8, "FullName": "Bo"', '{"Id": 8 "FullName": "Bo"}', "{'Id': 8}", "nonsense"],
)
async def test_json_with_a_fault_keeps_what_was_read(store: Store, tmp_path: Path, fault: str) -> None:
    text = f'[{{"Id": 5, "FullName": "Ada"}},\n{{"Id": 6, "FullName": "Eve"}},\n{fault},\n{{"Id": 9}}]'
    report = await import_files(store, write_files(tmp_path / "files", coworkers_json=text))
    [problem] = [problem for problem in report.problems if problem.startswith("coworkers.json")]
    assert problem.startswith("coworkers.json: record 3 is not JSON (correct it, or put each record on a line")
    assert problem.endswith("the rest of the file is refused")
    async with store.read_session() as session:
        found = await session.find(Coworker, columns=("Id",))
        credits_ = await session.find(CoworkerBookingCredit, columns=("Id",))
    assert {5, 6} <= {each["Id"] for each in found}
    assert not {8, 9} & {each["Id"] for each in found}
    assert 70 in [each["Id"] for each in credits_]


async def test_a_bad_line_of_json_lines_refuses_that_line(store: Store, tmp_path: Path) -> None:
    text = '{"Id": 5, "FullName": "Ada"}\n{"Id": 16, "FullName": }\n{"Id": 7, "FullName": "Bo"}\n'
    folder = write_files(tmp_path / "files", coworkers_jsonl=text)
    (folder / "coworkers.json").unlink()
    report = await import_files(store, folder)
    assert [problem for problem in report.problems if problem.startswith("coworkers.jsonl: row 2")]
    async with store.read_session() as session:
        found = {each["Id"] for each in await session.find(Coworker, columns=("Id",))}
    assert 7 in found
    assert 16 not in found
