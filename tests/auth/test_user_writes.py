"""Writing users and their roles: a manager gives and changes no more than it has itself."""

from __future__ import annotations

import asyncio
from typing import Any

import pyotp
import pytest

from creditdesk.auth.token_responses import TokenError
from creditdesk.auth.users_admin import ensure_roles
from creditdesk.entities.security.credential import Credential
from creditdesk.entities.security.user_role import UserRole
from creditdesk.entities.sys.user import User
from creditdesk.schema.errors import PermissionDenied, StateConflict, ValidationError
from creditdesk.schema.records import new_record
from creditdesk.schema.repository import Store
from creditdesk.schema.service import Principal
from tests.support.users import (
    ROOT_PRINCIPAL,
    SIGN_IN_TIME,
    USER_ROLES,
    USERS,
    basic_authorization,
    caller_of,
    create_authenticator,
    create_location,
    create_person,
    create_user_role,
    password_form,
    request_context,
    stored,
)

MANAGER = ("User-Edit", "User-Create", "UserRole-Edit", "CoworkerBookingCredit-List")


async def create(store: Store, caller: Principal, **fields: Any) -> int:
    async with store.write_session() as session:
        record = new_record(User, {"FullName": "Bob", **fields}, SIGN_IN_TIME)
        record = {k: v for k, v in record.items() if k not in ("UniqueId", "CreatedOn")}
        return await USERS.create(session, User, record, request_context(caller))


async def change(store: Store, caller: Principal, user_id: int, **fields: Any) -> None:
    async with store.write_session() as session:
        before = await stored(session, User, user_id)
        kept = {c.name: before[c.name] for c in User.meta().stored_columns if c.name != "Id"}
        await USERS.update(session, User, before, kept | fields, request_context(caller))


async def delete(store: Store, caller: Principal, user_id: int) -> None:
    async with store.write_session() as session:
        await USERS.delete(session, User, await stored(session, User, user_id), request_context(caller))


async def change_role(store: Store, caller: Principal, user_role_id: int, **fields: Any) -> None:
    async with store.write_session() as session:
        before = await stored(session, UserRole, user_role_id)
        kept = {name: before[name] for name in ("Name", "BusinessId")}
        await USER_ROLES.update(session, UserRole, before, kept | fields, request_context(caller))


async def role_id(store: Store, name: str) -> int:
    async with store.write_session() as session:
        return (await ensure_roles(session, SIGN_IN_TIME))[name.lower()]


async def manager(store: Store) -> tuple[Principal, int, int]:
    """A user with some roles at one of two locations; returns it and both locations."""
    north, south = await create_location(store), await create_location(store, "South")
    user_id = await create_person(store, "manager@example.org", is_admin=False, business_ids=(north,), roles=MANAGER)
    return await caller_of(store, user_id), north, south


async def test_user_is_created_with_credentials(each_store: Store) -> None:
    user_id = await create(
        each_store, ROOT_PRINCIPAL, Email="bob@example.org", Password="a good password",
        IsAdmin=True, Active=True, APIAccess=True, PasswordSalt="ignored", AccessToken="ignored",
    )  # fmt: skip
    auth = create_authenticator(each_store)
    caller = await auth.authenticate(basic_authorization("bob@example.org", "a good password"), SIGN_IN_TIME)
    assert (caller.user_id, caller.unrestricted) == (user_id, True)
    for taken in ("bob@example.org", "BOB@Example.org"):
        with pytest.raises(ValidationError) as refused:
            await create(each_store, ROOT_PRINCIPAL, Email=taken)
        assert refused.value.errors[0].PropertyName == "Email"


async def test_changed_password_or_email_revokes_tokens(store: Store) -> None:
    user_id = await create_person(store)
    await create_person(store, "eve@example.org")
    auth = create_authenticator(store)
    bearer = f"Bearer {(await auth.sign_in(password_form(), None, SIGN_IN_TIME)).access_token}"
    await change(store, ROOT_PRINCIPAL, user_id, FullName="Countess", Password="", NewPassword=None)
    assert await auth.authenticate(bearer, SIGN_IN_TIME)
    with pytest.raises(ValidationError):
        await change(store, ROOT_PRINCIPAL, user_id, Email="EVE@example.org")
    await change(store, ROOT_PRINCIPAL, user_id, NewPassword="a new password")
    for stale in (bearer, basic_authorization()):
        with pytest.raises(Exception, match="Sign in"):
            await auth.authenticate(stale, SIGN_IN_TIME)
    await change(store, ROOT_PRINCIPAL, user_id, Email="countess@example.org")
    assert await auth.authenticate(basic_authorization("countess@example.org", "a new password"), SIGN_IN_TIME)
    with pytest.raises(ValidationError) as refused:
        await change(store, ROOT_PRINCIPAL, user_id, NewPassword="short")
    assert refused.value.errors[0].PropertyName == "NewPassword"


async def test_posted_secret_enables_second_factor(store: Store) -> None:
    user_id = await create_person(store)
    secret = pyotp.random_base32()
    with pytest.raises(ValidationError, match="TwoFactorSecret"):
        await change(store, ROOT_PRINCIPAL, user_id, TwoFactorSecret="JBSW")
    await change(store, ROOT_PRINCIPAL, user_id, TwoFactorSecret=secret)
    auth = create_authenticator(store)
    with pytest.raises(TokenError) as refused:
        await auth.sign_in(password_form(), None, SIGN_IN_TIME)
    assert refused.value.error == "two_factor_auth_check"
    assert await auth.sign_in(password_form(totp=pyotp.TOTP(secret).at(SIGN_IN_TIME)), None, SIGN_IN_TIME)
    async with store.read_session() as reading:
        assert (await stored(reading, User, user_id))["TwoFactorEnabled"]


async def test_manager_grants_own_roles(store: Store) -> None:
    caller, north, _ = await manager(store)
    mine = await create_user_role(store, north, MANAGER[:2])
    user_id = await create(store, caller, Email="bob@example.org", Businesses=(north,), UserRoles=(mine,))
    assert (await caller_of_any(store, user_id)) == (
        frozenset({"user-edit", "user-create"}),
        frozenset({north}),
    )


async def caller_of_any(store: Store, user_id: int) -> tuple[frozenset[str], frozenset[int] | None]:
    async with store.write_session() as session:
        await session.update(User, [(user_id, {"Active": True, "APIAccess": True})])
    caller = await caller_of(store, user_id)
    return caller.roles, caller.locations


async def test_manager_cannot_grant_other_roles(store: Store) -> None:
    caller, north, south = await manager(store)
    higher = await create_user_role(store, north, (*MANAGER, "Tariff-Delete"))
    for fields in (
        {"IsAdmin": True},
        {"IsAdmin": True, "Businesses": (north,)},
        {"Businesses": (south,)},
        {"Businesses": (north, south)},
        {"Businesses": (north,), "UserRoles": (higher,)},
    ):
        with pytest.raises(PermissionDenied):
            await create(store, caller, Email="bob@example.org", **fields)
        plain_user = await create_person(store, f"{len(str(fields))}@e.org", is_admin=False)
        for target in (plain_user, caller.user_id):
            with pytest.raises(PermissionDenied):
                await change(store, caller, target, **fields)


async def test_manager_cannot_change_user_with_more_roles(store: Store) -> None:
    caller, north, south = await manager(store)
    chiefs = [
        await create_person(store, "root@example.org"),
        await create_person(store, "chief@example.org", business_ids=(north,)),
        await create_person(store, "both@example.org", is_admin=False, business_ids=(north, south)),
        await create_person(store, "more@example.org", is_admin=False, business_ids=(north,), roles=("Tariff-Edit",)),
    ]
    for chief in chiefs:
        for fields in (
            {"NewPassword": "mine from now on"},
            {"Email": "mine@example.org"},
            {"IsAdmin": False, "Businesses": (north,), "UserRoles": ()},
        ):
            with pytest.raises(PermissionDenied):
                await change(store, caller, chief, **fields)
        with pytest.raises(PermissionDenied):
            async with store.write_session() as session:
                before = await stored(session, User, chief)
                await USERS.delete(session, User, before, request_context(caller))


async def test_limited_administrator_cannot_remove_own_limit(store: Store) -> None:
    north, south = await create_location(store), await create_location(store, "South")
    user_id = await create_person(store, business_ids=(north,), roles=("User-Edit",))
    caller = await caller_of(store, user_id)
    await change(store, caller, user_id, FullName="Still me", NewPassword="a new password")
    for fields in ({"Businesses": ()}, {"Businesses": (south,)}, {"Businesses": (north, south)}):
        with pytest.raises(PermissionDenied):
            await change(store, caller, user_id, **fields)
    with pytest.raises(PermissionDenied):
        await create(store, caller, Email="bob@example.org", IsAdmin=True, Businesses=(north,))


async def test_nobody_deletes_the_own_user(each_store: Store) -> None:
    own = await create_person(each_store, "own@example.org")
    async with each_store.write_session() as session:
        before = await stored(session, User, own)
        caller = Principal(own, "own@example.org", unrestricted=True)
        with pytest.raises(StateConflict, match="your own user"):
            await USERS.delete(session, User, before, request_context(caller))
        assert await session.get(User, own) is not None


async def test_deleted_user_leaves_no_credentials(each_store: Store) -> None:
    caller = Principal(0, "root@example.org", unrestricted=True)
    north = await create_location(each_store)
    user_id = await create_person(each_store, business_ids=(north,), roles=MANAGER)
    await create_authenticator(each_store).sign_in(password_form(), None, SIGN_IN_TIME)
    async with each_store.write_session() as session:
        before = await stored(session, User, user_id)
        await USERS.delete(session, User, before, request_context(caller))
    async with each_store.read_session() as reading:
        assert await reading.count(Credential) == 0
        assert await reading.count(User) == 0
    assert await create(each_store, ROOT_PRINCIPAL, Email="ada@example.org")


# Writing user roles ----------------------------------------------------------------------------


async def test_manager_writes_user_roles_within_own_roles(store: Store) -> None:
    caller, north, south = await manager(store)
    mine = await create_user_role(store, north, MANAGER[:1])
    held, higher = await role_id(store, MANAGER[1]), await role_id(store, "Tariff-Delete")
    await change_role(store, caller, mine, Roles=(held,), Users=(caller.user_id,))
    for fields in ({"Roles": (held, higher)}, {"BusinessId": south}):
        with pytest.raises(PermissionDenied):
            await change_role(store, caller, mine, **fields)
    elsewhere = await create_person(store, "far@example.org", is_admin=False, business_ids=(south,))
    with pytest.raises(ValidationError) as refused:
        await change_role(store, caller, mine, Users=(caller.user_id, elsewhere))
    assert refused.value.errors[0].PropertyName == "Users"
    async with store.write_session() as session:
        record = {"Name": "Mine", "BusinessId": north, "Roles": (held,), "Users": ()}
        made = await USER_ROLES.create(session, UserRole, record, request_context(caller))
        before = await stored(session, UserRole, made)
        await USER_ROLES.delete(session, UserRole, before, request_context(caller))
        for wrong in ({"Roles": (higher,)}, {"BusinessId": south}):
            with pytest.raises(PermissionDenied):
                await USER_ROLES.create(session, UserRole, record | wrong, request_context(caller))


async def test_manager_cannot_change_or_join_higher_user_role(store: Store) -> None:
    caller, north, _ = await manager(store)
    higher = await create_user_role(store, north, ("Tariff-Delete",))
    for fields in ({"Users": (caller.user_id,)}, {"Roles": ()}, {"Name": "Other"}):
        with pytest.raises(PermissionDenied):
            await change_role(store, caller, higher, **fields)
    async with store.write_session() as session:
        before = await stored(session, UserRole, higher)
        with pytest.raises(PermissionDenied):
            await USER_ROLES.delete(session, UserRole, before, request_context(caller))


@pytest.mark.parametrize(
    "loss",
    [{"IsAdmin": False}, {"Active": False}, {"APIAccess": False}, {"Businesses": ()}],
    ids=lambda loss: next(iter(loss)),
)
async def test_the_last_full_administrator_stays_one(each_store: Store, loss: dict[str, Any]) -> None:
    if "Businesses" in loss:
        loss = {"Businesses": (await create_location(each_store),)}
    ada = await create_person(each_store, is_admin=True)
    caller = await caller_of(each_store, ada)
    with pytest.raises(ValidationError, match="last full administrator") as refused:
        await change(each_store, caller, ada, **loss)
    assert [each.PropertyName for each in refused.value.errors] == list(loss)
    with pytest.raises(StateConflict, match="last full administrator"):
        await delete(each_store, Principal(0, "root@example.org", unrestricted=True), ada)
    await change(each_store, caller, ada, FullName="Ada King")
    second = await create_person(each_store, email="second@example.org", is_admin=True)
    callers = {user: await caller_of(each_store, user) for user in (ada, second)}
    ended = await asyncio.gather(
        change(each_store, callers[ada], second, **loss),
        change(each_store, callers[second], ada, **loss),
        return_exceptions=True,
    )
    assert sorted(type(each).__name__ for each in ended) == ["NoneType", "ValidationError"], ended


async def test_two_administrators_do_not_delete_each_other(each_store: Store) -> None:
    ada = await create_person(each_store)
    second = await create_person(each_store, email="second@example.org")
    callers = {user: await caller_of(each_store, user) for user in (ada, second)}
    ended = await asyncio.gather(
        delete(each_store, callers[ada], second), delete(each_store, callers[second], ada), return_exceptions=True
    )
    assert sorted(type(each).__name__ for each in ended) == ["NoneType", "StateConflict"], ended
