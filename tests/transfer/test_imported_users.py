"""Files neither make administrators nor change existing users unless these are named."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from creditdesk.auth.users_admin import create_user
from creditdesk.entities.security.user_role import UserRole
from creditdesk.entities.sys.user import User
from creditdesk.schema.repository import Store
from creditdesk.transfer.importer import Importer
from tests.support.progress import CollectingReporter
from tests.transfer.test_import import get_record, write_files

pytestmark = pytest.mark.usefixtures("import_into_empty")
NewStore = Callable[[], Awaitable[Store]]
NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)
EVE = {
    "Id": 7, "FullName": "Eve", "Email": "Eve@x.example", "Language": 1, "Active": True,
    "IsAdmin": True, "UserRoles": [4],
}  # fmt: skip
ROLE = {"Id": 4, "BusinessId": 1, "Name": "Front", "Roles": [1], "Users": [1]}


async def new_store_with_admin(new_store: NewStore) -> Store:
    store = await new_store()
    async with store.write_session() as session:
        await create_user(session, "boss@x.example", None, "Boss", is_admin=True, now=NOW, businesses=())
    return store


async def import_users(store: Store, folder: Path, *users: Any, **named: Any) -> list[str]:
    files = write_files(
        folder,
        users_json=list(users),
        roles_json=[{"Id": 1, "Name": "Booking-List"}],
        userroles_json=[ROLE],
    )
    report = CollectingReporter()
    await Importer(store, report, NOW, **named).run(files)
    return report.problems


async def test_user_never_comes_in_as_administrator(new_store: NewStore, tmp_path: Path) -> None:
    store = await new_store_with_admin(new_store)
    assert await import_users(store, tmp_path, EVE) == [
        "users.json: row 1: IsAdmin of eve@x.example is not imported; --admin names administrators",
        "UserRole 4: the rights of existing users are not changed",
    ]
    eve = await get_record(store, User, 7)
    assert (eve["IsAdmin"], eve["Active"], eve["UserRoles"]) == (False, True, (4,))
    assert (await get_record(store, UserRole, 4))["Users"] == (7,)


async def test_named_user_comes_in_as_administrator(new_store: NewStore, tmp_path: Path) -> None:
    store = await new_store_with_admin(new_store)
    await import_users(store, tmp_path, EVE, admins=("EVE@x.example ",))
    assert (await get_record(store, User, 7))["IsAdmin"] is True


async def test_existing_user_is_not_overwritten(new_store: NewStore, tmp_path: Path) -> None:
    store = await new_store_with_admin(new_store)
    before = await get_record(store, User, 1)
    problems = await import_users(store, tmp_path, EVE | {"Id": 1, "IsAdmin": False})
    assert problems[0] == (
        "users.json: row 1: the user boss@x.example exists; --overwrite-user names it; the row is refused"
    )
    assert await get_record(store, User, 1) == before


async def test_named_user_is_overwritten(new_store: NewStore, tmp_path: Path) -> None:
    store = await new_store_with_admin(new_store)
    user = EVE | {"Id": 1, "IsAdmin": False, "Email": "boss@x.example"}
    assert await import_users(store, tmp_path, user, overwritten_users=("Boss@x.example",)) == []
    boss = await get_record(store, User, 1)
    assert (boss["FullName"], boss["IsAdmin"], boss["UserRoles"]) == ("Eve", False, (4,))


async def test_second_user_with_an_email_is_refused(new_store: NewStore, tmp_path: Path) -> None:
    store = await new_store_with_admin(new_store)
    boss = EVE | {"Email": "BOSS@x.example", "IsAdmin": False}
    second = EVE | {"Id": 8, "Email": "eve@X.example", "IsAdmin": False}
    problems = await import_users(store, tmp_path, boss, EVE | {"IsAdmin": False, "Id": 9}, second)
    end = "; the row is refused"
    assert problems[:2] == [
        f"users.json: row 1: another user has the e-mail boss@x.example{end}",
        f"users.json: row 3: another user has the e-mail eve@x.example{end}",
    ]


async def test_rights_of_existing_users_do_not_grow(new_store: NewStore, tmp_path: Path) -> None:
    store = await new_store_with_admin(new_store)
    await import_users(store, tmp_path, EVE | {"IsAdmin": False})
    wider = write_files(
        tmp_path,
        roles_json=[{"Id": 1, "Name": "Booking-List"}, {"Id": 2, "Name": "User-Delete"}],
        userroles_json=[ROLE | {"Roles": [1, 2]}],
    )
    await Importer(store, CollectingReporter(), NOW).run(wider)
    assert (await get_record(store, UserRole, 4))["Roles"] == (1,)


@pytest.mark.parametrize("folder_is_a_link", [False, True])
async def test_link_out_of_the_folder_is_not_followed(
    sqlite_store: Store, tmp_path: Path, folder_is_a_link: bool
) -> None:
    outside = tmp_path / "outside.csv"
    outside.write_text("Id,Name\n3,Secret\n")
    folder = write_files(tmp_path / "in", businesses_json=[])
    (folder / "businesses.csv").symlink_to(outside)
    (folder / "coworkers.csv").symlink_to(folder / "coworkers.json")
    if folder_is_a_link:
        (tmp_path / "link").symlink_to(folder)
        folder = tmp_path / "link"
    report = CollectingReporter()
    state = await Importer(sqlite_store, report, NOW).run(folder)
    assert report.problems[0] == ("businesses.csv is a link to a file outside of the folder and is refused")
    assert (state.counts["Business"].added, state.report.refused) == (0, len(report.problems))
