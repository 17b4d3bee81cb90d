"""Callers from users, roles and locations; scope of every entity; who may give which right."""

from __future__ import annotations

from datetime import timedelta

import pyotp
import pytest

from creditdesk.api.default_service import PlainWriter
from creditdesk.auth.permission import allowed, demand
from creditdesk.auth.principal import standing_of
from creditdesk.auth.records import new_row
from creditdesk.auth.scope import scope, scope_column
from creditdesk.auth.token_responses import GrantRefused
from creditdesk.auth.users import UserRoleWriter, UserWriter
from creditdesk.auth.users_admin import ensure_roles, set_roles
from creditdesk.entities.billing.coworker_booking_credit import CoworkerBookingCredit
from creditdesk.entities.catalog import CATALOG, SERVED
from creditdesk.entities.security.credential import Credential
from creditdesk.entities.security.role import Role
from creditdesk.entities.security.user_role import UserRole
from creditdesk.entities.sys.business import Business
from creditdesk.entities.sys.user import User
from creditdesk.schema.entity import ALL_VERBS, entity_named
from creditdesk.schema.errors import Invalid, NotAllowed
from creditdesk.schema.fields import Collection, Reference
from creditdesk.schema.query import Test
from creditdesk.schema.service import Caller
from tests.auth.people import (
    ADMINISTRATOR,
    NOW,
    PASSWORDS,
    authenticator,
    basic,
    call,
    form,
    person,
    place,
    user_role,
)

USERS = UserWriter(PlainWriter(), PASSWORDS)
USER_ROLES = UserRoleWriter(PlainWriter())
MANAGER = ("User-Edit", "User-Create", "UserRole-Edit", "CoworkerBookingCredit-List")


async def caller_of(store, user_id) -> Caller:
    async with store.reading() as reading:
        return (await standing_of(reading, user_id)).caller


async def create(store, caller, **fields):
    async with store.writing() as unit:
        record = new_row(User, NOW, FullName="Bob", **fields)
        record = {k: v for k, v in record.items() if k not in ("UniqueId", "CreatedOn")}
        return await USERS.create(unit, User, record, call(caller))


async def change(store, caller, user_id, **fields):
    async with store.writing() as unit:
        before = await unit.get(User, user_id)
        kept = {c.name: before[c.name] for c in User.shape().stored if c.name != "Id"}
        await USERS.update(unit, User, before, kept | fields, call(caller))


async def change_role(store, caller, user_role_id, **fields):
    async with store.writing() as unit:
        before = await unit.get(UserRole, user_role_id)
        kept = {name: before[name] for name in ("Name", "BusinessId")}
        await USER_ROLES.update(unit, UserRole, before, kept | fields, call(caller))


async def role_id(store, name):
    async with store.writing() as unit:
        return (await ensure_roles(unit, NOW))[name.lower()]


# Who a user is ---------------------------------------------------------------------------------


async def test_an_administrator_with_locations_is_limited_to_them(each_store):
    north, south = await place(each_store), await place(each_store, "South")
    user_id = await person(each_store, businesses=(north, south))
    caller = await caller_of(each_store, user_id)
    assert not caller.unrestricted
    assert caller.locations == {north, south}
    assert caller.roles == frozenset()


async def test_roles_are_the_union_of_all_user_roles_in_lower_case(each_store):
    north = await place(each_store)
    user_id = await person(each_store, is_admin=False, businesses=(north,), roles=("Tariff-List",))
    await user_role(each_store, north, ("tariff-list", "Booking-READ"), (user_id,))
    caller = await caller_of(each_store, user_id)
    assert caller.roles == {"tariff-list", "booking-read"}


async def test_a_user_without_locations_sees_nothing_that_has_one(each_store):
    north = await place(each_store)
    user_id = await person(each_store, is_admin=False)
    caller = await caller_of(each_store, user_id)
    assert caller.locations == frozenset()
    async with each_store.reading() as reading:
        assert await reading.count(Business) == 1
        assert await reading.count(Business, scope(caller, Business)) == 0
        assert await reading.count(User, scope(caller, User)) == 0
        assert await reading.get(Business, north, scope(caller, Business)) is None


async def test_a_new_role_reaches_a_live_token_within_the_setting(store):
    north = await place(store)
    user_id = await person(store, is_admin=False, businesses=(north,))
    auth = authenticator(store)
    assert not (await auth.caller(basic(), NOW)).roles
    async with store.writing() as unit:
        await set_roles(unit, user_id, north, ["tariff-LIST"], now=NOW)
    later = await auth.caller(basic(), NOW + timedelta(seconds=5))
    assert later.roles == {"tariff-list"}
    with pytest.raises(Invalid, match="no such role"):
        async with store.writing() as unit:
            await set_roles(unit, user_id, north, ["Tariff-Fly"], now=NOW)


async def test_a_right_given_by_this_worker_holds_at_once(store):
    north = await place(store)
    user_id = await person(store, is_admin=False, businesses=(north,))
    user_role_id = await user_role(store, north, ("Tariff-List",))
    auth = authenticator(store)
    users = UserWriter(PlainWriter(), PASSWORDS, auth.forget)
    user_roles = UserRoleWriter(PlainWriter(), auth.forget)
    assert not (await auth.caller(basic(), NOW)).roles
    async with store.writing() as unit:
        before = await unit.get(UserRole, user_role_id)
        await user_roles.update(unit, UserRole, before, {"Users": (user_id,)}, call(ADMINISTRATOR))
    assert (await auth.caller(basic(), NOW)).roles == {"tariff-list"}
    async with store.writing() as unit:
        before = await unit.get(User, user_id)
        await users.update(unit, User, before, {"UserRoles": ()}, call(ADMINISTRATOR))
    assert not (await auth.caller(basic(), NOW)).roles


# Roles and scope -------------------------------------------------------------------------------


@pytest.mark.parametrize("entity", SERVED, ids=lambda e: e.__name__)
def test_each_verb_needs_its_role(entity):
    for verb in ALL_VERBS:
        holder = Caller(1, "a", roles=frozenset({entity.roles[verb].lower()}))
        demand(holder, entity, verb)
        demand(ADMINISTRATOR, entity, verb)
        with pytest.raises(NotAllowed, match=entity.roles[verb]):
            demand(Caller(1, "a"), entity, verb)
        others = {entity.roles[v] for v in ALL_VERBS} - {entity.roles[verb]}
        for other in others:
            assert not allowed(Caller(1, "a", roles=frozenset({other.lower()})), entity, verb)


@pytest.mark.parametrize("entity", CATALOG, ids=lambda e: e.__name__)
def test_each_scope_is_a_column_that_tells_a_location(entity):
    somewhere = Caller(1, "a", locations=frozenset({3, 2}))
    assert scope(ADMINISTRATOR, entity) == ()
    if entity.scope is None:
        assert scope(somewhere, entity) == ()
        assert not entity.served or not any(
            isinstance(f, Reference) and f.kept and f.to == "Business"
            for f in entity.fields.values()
        )
        return
    column = scope_column(entity, entity.scope)
    (narrowed,) = scope(somewhere, entity)
    assert (narrowed.column, narrowed.value) == (column, (2, 3))
    if isinstance(column.kind, Collection):
        assert column.kind.of == "Business"
        assert narrowed.test is Test.OVERLAPS
    else:
        assert narrowed.test is Test.ONE_OF
        owner = entity
        for step in column.path:
            owner = entity_named(owner.fields[step].to)
        if owner is not Business:
            relation = owner.fields[column.leaf.removesuffix("Id")]
            assert isinstance(relation, Reference)
            assert (relation.to, relation.kept) == ("Business", True)
        else:
            assert column.leaf == "Id"


async def test_each_scope_is_a_question_both_engines_answer(each_store):
    for locations in (frozenset(), frozenset({7, 8})):
        caller = Caller(1, "a", locations=locations)
        async with each_store.reading() as reading:
            for entity in SERVED:
                assert await reading.count(entity, scope(caller, entity)) == 0


async def test_entities_of_signing_in_are_not_served():
    names = {e.__name__ for e in SERVED}
    assert not names & {"Credential", "RefreshToken", "SignInAttempt", "SigningKey"}


# Writing users ---------------------------------------------------------------------------------


async def manager(store):
    """A limited user at north with some roles, beside a location that is not its own."""
    north, south = await place(store), await place(store, "South")
    user_id = await person(
        store, "manager@example.org", is_admin=False, businesses=(north,), roles=MANAGER
    )
    return await caller_of(store, user_id), north, south


async def test_a_user_is_created_with_what_it_signs_in_with(each_store):
    user_id = await create(
        each_store, ADMINISTRATOR, Email="bob@example.org", Password="a good password",
        IsAdmin=True, Active=True, APIAccess=True, PasswordSalt="ignored", AccessToken="ignored",
    )  # fmt: skip
    auth = authenticator(each_store)
    caller = await auth.caller(basic("bob@example.org", "a good password"), NOW)
    assert (caller.user_id, caller.unrestricted) == (user_id, True)
    for taken in ("bob@example.org", "BOB@Example.org"):
        with pytest.raises(Invalid) as refused:
            await create(each_store, ADMINISTRATOR, Email=taken)
        assert refused.value.errors[0].PropertyName == "Email"


async def test_a_new_password_or_email_ends_old_tokens_and_an_unchanged_user_keeps_them(store):
    user_id = await person(store)
    await person(store, "eve@example.org")
    auth = authenticator(store, revocation_seconds=0)
    bearer = f"Bearer {(await auth.sign_in(form(), None, NOW)).access_token}"
    await change(store, ADMINISTRATOR, user_id, FullName="Countess", Password="", NewPassword=None)
    assert await auth.caller(bearer, NOW)
    with pytest.raises(Invalid):
        await change(store, ADMINISTRATOR, user_id, Email="EVE@example.org")
    await change(store, ADMINISTRATOR, user_id, NewPassword="a new password")
    for stale in (bearer, basic()):
        with pytest.raises(Exception, match="Sign in"):
            await auth.caller(stale, NOW)
    await change(store, ADMINISTRATOR, user_id, Email="countess@example.org")
    assert await auth.caller(basic("countess@example.org", "a new password"), NOW)
    with pytest.raises(Invalid) as refused:
        await change(store, ADMINISTRATOR, user_id, NewPassword="short")
    assert refused.value.errors[0].PropertyName == "NewPassword"


async def test_a_sent_secret_switches_the_second_factor_on(store):
    user_id = await person(store)
    secret = pyotp.random_base32()
    with pytest.raises(Invalid, match="TwoFactorSecret"):
        await change(store, ADMINISTRATOR, user_id, TwoFactorSecret="JBSW")
    await change(store, ADMINISTRATOR, user_id, TwoFactorSecret=secret)
    auth = authenticator(store)
    with pytest.raises(GrantRefused) as refused:
        await auth.sign_in(form(), None, NOW)
    assert refused.value.error == "two_factor_auth_check"
    assert await auth.sign_in(form(totp=pyotp.TOTP(secret).at(NOW)), None, NOW)
    async with store.reading() as reading:
        assert (await reading.get(User, user_id))["TwoFactorEnabled"]


async def test_a_manager_gives_what_it_holds(store):
    caller, north, _ = await manager(store)
    mine = await user_role(store, north, MANAGER[:2])
    user_id = await create(
        store, caller, Email="bob@example.org", Businesses=(north,), UserRoles=(mine,)
    )
    assert (await caller_of_any(store, user_id)) == ({"user-edit", "user-create"}, {north})


async def caller_of_any(store, user_id):
    async with store.writing() as unit:
        await unit.update(User, [(user_id, {"Active": True, "APIAccess": True})])
    caller = await caller_of(store, user_id)
    return caller.roles, caller.locations


async def test_a_manager_gives_nothing_more(store):
    caller, north, south = await manager(store)
    higher = await user_role(store, north, (*MANAGER, "Tariff-Delete"))
    for fields in (
        {"IsAdmin": True},
        {"IsAdmin": True, "Businesses": (north,)},
        {"Businesses": (south,)},
        {"Businesses": (north, south)},
        {"Businesses": (north,), "UserRoles": (higher,)},
    ):
        with pytest.raises(NotAllowed):
            await create(store, caller, Email="bob@example.org", **fields)
        plain_user = await person(store, f"{len(str(fields))}@e.org", is_admin=False)
        for target in (plain_user, caller.user_id):
            with pytest.raises(NotAllowed):
                await change(store, caller, target, **fields)


async def test_a_manager_cannot_take_over_someone_with_more_rights(store):
    caller, north, south = await manager(store)
    chiefs = [
        await person(store, "root@example.org"),
        await person(store, "chief@example.org", businesses=(north,)),
        await person(store, "both@example.org", is_admin=False, businesses=(north, south)),
        await person(
            store, "more@example.org", is_admin=False, businesses=(north,), roles=("Tariff-Edit",)
        ),
    ]
    for chief in chiefs:
        for fields in (
            {"NewPassword": "mine from now on"},
            {"Email": "mine@example.org"},
            {"IsAdmin": False, "Businesses": (north,), "UserRoles": ()},
        ):
            with pytest.raises(NotAllowed):
                await change(store, caller, chief, **fields)
        with pytest.raises(NotAllowed):
            async with store.writing() as unit:
                before = await unit.get(User, chief)
                await USERS.delete(unit, User, before, call(caller))


async def test_a_limited_administrator_cannot_free_itself(store):
    north, south = await place(store), await place(store, "South")
    user_id = await person(store, businesses=(north,), roles=("User-Edit",))
    caller = await caller_of(store, user_id)
    await change(store, caller, user_id, FullName="Still me", NewPassword="a new password")
    for fields in ({"Businesses": ()}, {"Businesses": (south,)}, {"Businesses": (north, south)}):
        with pytest.raises(NotAllowed):
            await change(store, caller, user_id, **fields)
    with pytest.raises(NotAllowed):
        await create(store, caller, Email="bob@example.org", IsAdmin=True, Businesses=(north,))


async def test_a_deleted_user_leaves_nothing_to_sign_in_with(each_store):
    north = await place(each_store)
    user_id = await person(each_store, businesses=(north,), roles=MANAGER)
    await authenticator(each_store).sign_in(form(), None, NOW)
    async with each_store.writing() as unit:
        before = await unit.get(User, user_id)
        await USERS.delete(unit, User, before, call(ADMINISTRATOR))
    async with each_store.reading() as reading:
        assert await reading.count(Credential) == 0
        assert await reading.count(User) == 0
    assert await create(each_store, ADMINISTRATOR, Email="ada@example.org")


# Writing user roles ----------------------------------------------------------------------------


async def test_a_manager_writes_user_roles_of_its_own_rights(store):
    caller, north, south = await manager(store)
    mine = await user_role(store, north, MANAGER[:1])
    held, higher = await role_id(store, MANAGER[1]), await role_id(store, "Tariff-Delete")
    await change_role(store, caller, mine, Roles=(held,), Users=(caller.user_id,))
    for fields in ({"Roles": (held, higher)}, {"BusinessId": south}):
        with pytest.raises(NotAllowed):
            await change_role(store, caller, mine, **fields)
    elsewhere = await person(store, "far@example.org", is_admin=False, businesses=(south,))
    with pytest.raises(Invalid) as refused:
        await change_role(store, caller, mine, Users=(caller.user_id, elsewhere))
    assert refused.value.errors[0].PropertyName == "Users"
    async with store.writing() as unit:
        record = {"Name": "Mine", "BusinessId": north, "Roles": (held,), "Users": ()}
        made = await USER_ROLES.create(unit, UserRole, record, call(caller))
        before = await unit.get(UserRole, made)
        await USER_ROLES.delete(unit, UserRole, before, call(caller))
        for wrong in ({"Roles": (higher,)}, {"BusinessId": south}):
            with pytest.raises(NotAllowed):
                await USER_ROLES.create(unit, UserRole, record | wrong, call(caller))


async def test_a_manager_cannot_touch_a_higher_user_role_not_even_join_it(store):
    caller, north, _ = await manager(store)
    higher = await user_role(store, north, ("Tariff-Delete",))
    for fields in ({"Users": (caller.user_id,)}, {"Roles": ()}, {"Name": "Other"}):
        with pytest.raises(NotAllowed):
            await change_role(store, caller, higher, **fields)
    async with store.writing() as unit:
        before = await unit.get(UserRole, higher)
        with pytest.raises(NotAllowed):
            await USER_ROLES.delete(unit, UserRole, before, call(caller))


async def test_roles_are_made_once_five_for_each_served_entity(each_store):
    async with each_store.writing() as unit:
        first = await ensure_roles(unit, NOW)
        assert await ensure_roles(unit, NOW) == first
        assert await unit.count(Role) == len(first)
    assert {e.roles[v].lower() for e in SERVED for v in ALL_VERBS} == set(first)
    assert CoworkerBookingCredit.roles["get"] == "CoworkerBookingCredit-Read"
