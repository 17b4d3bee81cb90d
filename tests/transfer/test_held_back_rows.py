"""A row whose owner, location, credit or limit is missing waits for it and never changes meaning."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from creditdesk.entities.billing.coworker_booking_credit import CoworkerBookingCredit
from creditdesk.entities.spaces.coworker import Coworker
from creditdesk.schema.entity import Entity
from creditdesk.schema.repository import Store
from creditdesk.transfer.dependency_order import (
    TRANSFERRED,
    limit_collections,
    load_order,
    required_references,
    target_of,
)
from tests.transfer.test_import import (
    CREDIT,
    get_record,
    import_files,
    verify_problems,
    write_files,
)

pytestmark = pytest.mark.usefixtures("import_into_empty")
NewStore = Callable[[], Awaitable[Store]]
HELD = "the row is held back until that record is imported"
TIME_CREDIT = {"Id": 80, "CoworkerId": 5, "BusinessId": 1, "ExtraServiceId": 3, "TotalUses": 4}
RESOURCE_TYPE = {"Id": 9, "BusinessId": 1, "Name": "Desk"}


async def ids_of(store: Store, entity: type[Entity]) -> list[int]:
    async with store.read_session() as session:
        return [record["Id"] for record in await session.find(entity)]


@pytest.mark.parametrize(
    ("name", "value", "target"),
    [
        ("CoworkerId", 55, "Coworker 55"),
        ("BusinessId", 66, "Business 66"),
        ("ElegibleResourceTypes", [9], "ResourceType 9"),
        ("ElegiblePasses", [8, 7], "TimePass 7"),
    ],
)
async def test_credit_waits_for_what_it_lacks(
    new_store: NewStore, tmp_path: Path, name: str, value: Any, target: str
) -> None:
    store = await new_store()
    files = write_files(tmp_path, coworkerbookingcredits_json=[CREDIT | {name: value}])
    report = await import_files(store, files)
    assert report.problems == [
        f"coworkerbookingcredits.json: row 1: {name} refers to the missing {target}; {HELD}",
        "coworkerbookingcreditusehistories.json: row 1: CoworkerBookingCreditId refers to the"
        f" missing CoworkerBookingCredit 70; {HELD}",
    ]
    assert await ids_of(store, CoworkerBookingCredit) == []


@pytest.mark.parametrize("name", ["CoworkerId", "BusinessId"])
@pytest.mark.parametrize("blank", [None, 0, ...])
async def test_credit_without_owner_or_location_is_refused(
    new_store: NewStore, tmp_path: Path, name: str, blank: Any
) -> None:
    store = await new_store()
    credit = {key: value for key, value in CREDIT.items() if key != name}
    if blank is not ...:
        credit[name] = blank
    files = write_files(
        tmp_path,
        coworkerbookingcredits_json=[credit],
        coworkerbookingcreditusehistories_json=[],
    )
    report = await import_files(store, files)
    assert report.problems == [f"coworkerbookingcredits.json: row 1: {name} is empty; the row is refused"]


async def test_stored_credit_keeps_owner_and_limits(new_store: NewStore, tmp_path: Path) -> None:
    store = await new_store()
    limited = CREDIT | {"ElegibleResourceTypes": [9]}
    types = [RESOURCE_TYPE]
    files = write_files(tmp_path, resourcetypes_json=types, coworkerbookingcredits_json=[limited])
    assert (await import_files(store, files)).problems == []
    for change in ({"CoworkerId": None}, {"CoworkerId": 55}, {"ElegibleResourceTypes": [99]}):
        write_files(tmp_path, coworkerbookingcredits_json=[limited | change])
        assert len((await import_files(store, files)).problems) == 1
        credit = await get_record(store, CoworkerBookingCredit, 70)
        assert (credit["CoworkerId"], credit["ElegibleResourceTypes"]) == (5, (9,))


async def test_later_run_with_the_owner_imports_credit_and_uses(new_store: NewStore, tmp_path: Path) -> None:
    store = await new_store()
    files = write_files(tmp_path, coworkers_json=[])
    assert len((await import_files(store, files)).problems) == 2
    write_files(tmp_path)
    assert (await import_files(store, files)).problems == []
    credit = await get_record(store, CoworkerBookingCredit, 70)
    assert (credit["CoworkerId"], credit["RemainingCredit"]) == (5, 875_000)
    assert await verify_problems(store) == []


async def test_owner_in_a_later_file_is_found(new_store: NewStore, tmp_path: Path) -> None:
    store = await new_store()
    files = write_files(tmp_path, coworkers_json=[], coworkers_jsonl='{"Id": 5, "FullName": "Ada"}\n')
    assert (await import_files(store, files)).problems == []
    assert (await get_record(store, CoworkerBookingCredit, 70))["CoworkerId"] == 5


async def test_placeholder_becomes_the_record_that_comes_later(new_store: NewStore, tmp_path: Path) -> None:
    store = await new_store()
    files = write_files(tmp_path, coworkers_json=[])
    report = await import_files(store, files, keep_dangling=True)
    assert report.problems == [
        "CoworkerBookingCredit.CoworkerId refers to the missing Coworker 5; a placeholder is created"
    ]
    ada = {"Id": 5, "FullName": "Ada", "UniqueId": "a1b2c3d4-0000-7890-abcd-ef1234567890"}
    write_files(tmp_path, coworkers_json=[ada])
    assert (await import_files(store, files)).problems == []
    coworker = await get_record(store, Coworker, 5)
    assert {name: coworker[name] for name in ada} == ada


async def test_time_credit_waits_for_its_rate(new_store: NewStore, tmp_path: Path) -> None:
    store = await new_store()
    files = write_files(tmp_path, coworkerextraservices_json=[TIME_CREDIT])
    report = await import_files(store, files)
    assert report.problems == [
        f"coworkerextraservices.json: row 1: ExtraServiceId refers to the missing ExtraService 3; {HELD}"
    ]


def test_what_a_row_waits_for_is_imported_before_it() -> None:
    order = load_order()
    for entity in TRANSFERRED:
        for column in (*required_references(entity), *limit_collections(entity)):
            assert order.index(target_of(column)) < order.index(entity)
