"""A value that decides money, owner, window or kind is imported as it is, or its row is refused."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from creditdesk.entities.billing.coworker_booking_credit import CoworkerBookingCredit
from creditdesk.entities.spaces.coworker import Coworker
from creditdesk.schema.fields import Boolean, Collection, DateTime, Guid, Reference, Scaled
from creditdesk.schema.repository import Store
from creditdesk.transfer.dependency_order import TRANSFERRED
from creditdesk.transfer.importer import Importer
from creditdesk.transfer.row_parser import is_descriptive
from tests.support.progress import CollectingReporter
from tests.transfer.test_import import CREDIT, USE, write_files

pytestmark = pytest.mark.usefixtures("import_into_empty")
NewStore = Callable[[], Awaitable[Store]]
NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)
DATE = "must be a date such as 2025-01-15T10:30:00Z"


async def import_credits(store: Store, folder: Path, *credits_: dict[str, Any]) -> list[str]:
    report = CollectingReporter()
    files = write_files(folder, coworkerbookingcredits_json=list(credits_))
    state = await Importer(store, report, NOW).run(files)
    assert state.report.refused + state.report.adjusted == len(report.problems)
    return report.problems


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        (
            "ExpireDate",
            "31/12/2020",
            f'"31/12/2020" {DATE}; --dates dmy reads day/month/year, --dates mdy month/day/year',
        ),
        ("ValidFrom", "soon", f'"soon" {DATE}'),
        ("ExpireDate", 20201231, f"20201231 {DATE}"),
        ("ValidFrom", "2026-02-30", '"2026-02-30" is not a date of the calendar'),
        ("CreatedOn", "x" * 99, f'"{"x" * 60}…" {DATE}'),
        ("CoworkerId", "Ada", '"Ada" must be a whole number'),
        ("BusinessId", -1, "-1 must be an id"),
        (
            "TotalCredit",
            "12,50",
            '"12,50" must be a number such as 12.50; --format european reads decimal commas',
        ),
        ("IsUniversalCredit", "maybe", '"maybe" must be true or false'),
        ("CoworkerContractUniqueId", "none", '"none" must be a GUID'),
        ("ElegibleResourceTypes", "desk", '"desk" must be a whole number'),
        ("UniqueId", "7", '"7" must be a GUID'),
        ("Id", "first", '"first" must be a whole number'),
    ],
)
async def test_unreadable_value_refuses_the_credit(
    new_store: NewStore, tmp_path: Path, name: str, value: object, message: str
) -> None:
    store = await new_store()
    bad = CREDIT | {"Id": 71} | {name: value}
    problems = await import_credits(store, tmp_path, CREDIT, bad)
    assert problems == [f"coworkerbookingcredits.json: row 2: {name} {message}; the row is refused"]
    async with store.read_session() as session:
        assert [credit["Id"] for credit in await session.find(CoworkerBookingCredit)] == [70]


async def test_refused_change_leaves_the_stored_credit(new_store: NewStore, tmp_path: Path) -> None:
    store = await new_store()
    until = datetime(2026, 12, 31, tzinfo=UTC)
    assert await import_credits(store, tmp_path, CREDIT | {"ExpireDate": "2026-12-31"}) == []
    problems = await import_credits(store, tmp_path, CREDIT | {"ExpireDate": "31.12.2020"})
    assert len(problems) == 1
    async with store.read_session() as session:
        credit = await session.get(CoworkerBookingCredit, 70)
    assert credit is not None
    assert credit["ExpireDate"] == until


async def test_unreadable_use_amount_refuses_the_use(new_store: NewStore, tmp_path: Path) -> None:
    store, report = await new_store(), CollectingReporter()
    use = USE | {"CreditUsed": "all", "BookingId": "x"}
    files = write_files(tmp_path, coworkerbookingcreditusehistories_json=[use])
    state = await Importer(store, report, NOW).run(files)
    assert (state.report.refused, state.report.adjusted) == (1, 0)
    assert state.counts["CoworkerBookingCreditUseHistory"].added == 0


async def test_unreadable_profile_value_is_left_empty(new_store: NewStore, tmp_path: Path) -> None:
    store, report = await new_store(), CollectingReporter()
    coworker = {"Id": 5, "FullName": "Ada", "RegistrationDate": "some day"}
    files = write_files(tmp_path, coworkers_json=json.dumps([coworker]))
    state = await Importer(store, report, NOW).run(files)
    assert (state.report.refused, state.report.adjusted) == (0, 1)
    assert report.problems == [f'coworkers.json: row 1: RegistrationDate "some day" {DATE}; it is left empty']
    async with store.read_session() as session:
        found = await session.get(Coworker, 5)
    assert found is not None
    assert found["RegistrationDate"] is None


def test_only_descriptive_fields_may_stay_empty() -> None:
    decisive = (Scaled, Reference, Collection, Boolean, Guid)
    for entity in TRANSFERRED:
        for name, field in entity.fields.items():
            if isinstance(field, decisive) or field.required:
                assert not is_descriptive(entity, field), f"{entity.__name__}.{name}"
            if isinstance(field, DateTime) and entity.__name__ not in ("Coworker", "User"):
                assert not is_descriptive(entity, field), f"{entity.__name__}.{name}"
