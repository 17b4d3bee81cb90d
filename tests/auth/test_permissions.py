"""Principals from users, roles and locations; the scope of every entity; granting roles."""

from __future__ import annotations

from typing import Any

import pyotp
import pytest

from creditdesk.api.default_service import DefaultService
from creditdesk.auth.permission import require_role
from creditdesk.auth.principal import load_user_snapshot
from creditdesk.auth.scope import scope_column, scope_filters
from creditdesk.auth.token_responses import TokenError
from creditdesk.auth.users import UserRoleService, UserService
from creditdesk.auth.users_admin import ensure_roles, set_roles
from creditdesk.entities.billing.coworker_booking_credit import CoworkerBookingCredit
from creditdesk.entities.catalog import CATALOG, PUBLIC_ENTITIES
from creditdesk.entities.ledger.audit_record import AuditRecord
from creditdesk.entities.roles import ROLES_WITHOUT_ENTITY
from creditdesk.entities.security.credential import Credential
from creditdesk.entities.security.role import Role
from creditdesk.entities.security.user_role import UserRole
from creditdesk.entities.sys.business import Business
from creditdesk.entities.sys.user import User
from creditdesk.schema.entity import ALL_VERBS, Entity, Record, entity_by_name
from creditdesk.schema.errors import PermissionDenied, ValidationError
from creditdesk.schema.fields import Collection, Reference
from creditdesk.schema.query import Comparison
from creditdesk.schema.records import new_record
from creditdesk.schema.repository import ReadSession, Store
from creditdesk.schema.service import Principal
from tests.support.users import (
    PASSWORDS,
    ROOT_PRINCIPAL,
    SIGN_IN_TIME,
    basic_authorization,
    create_authenticator,
    create_location,
    create_person,
    create_user_role,
    password_form,
    request_context,
)

USERS = UserService(DefaultService(), PASSWORDS)
USER_ROLES = UserRoleService(DefaultService())
MANAGER = ("User-Edit", "User-Create", "UserRole-Edit", "CoworkerBookingCredit-List")


async def caller_of(store: Store, user_id: int) -> Principal:
    async with store.read_session() as reading:
        snapshot = await load_user_snapshot(reading, user_id)
    assert snapshot is not None
    assert snapshot.principal is not None
    return snapshot.principal


async def stored(session: ReadSession, entity: type[Entity], record_id: int) -> Record:
    """The record with this id, which must be there."""
    record = await session.get(entity, record_id)
    assert record is not None
    return record


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


async def change_role(store: Store, caller: Principal, user_role_id: int, **fields: Any) -> None:
    async with store.write_session() as session:
        before = await stored(session, UserRole, user_role_id)
        kept = {name: before[name] for name in ("Name", "BusinessId")}
        await USER_ROLES.update(session, UserRole, before, kept | fields, request_context(caller))


async def role_id(store: Store, name: str) -> int:
    async with store.write_session() as session:
        return (await ensure_roles(session, SIGN_IN_TIME))[name.lower()]


# Principals ------------------------------------------------------------------------------------


async def test_administrator_is_limited_to_assigned_locations(each_store: Store) -> None:
    north, south = await create_location(each_store), await create_location(each_store, "South")
    user_id = await create_person(each_store, business_ids=(north, south))
    caller = await caller_of(each_store, user_id)
    assert not caller.unrestricted
    assert caller.locations == frozenset({north, south})
    assert caller.roles == frozenset()


async def test_roles_are_union_of_user_roles_in_lower_case(each_store: Store) -> None:
    north = await create_location(each_store)
    user_id = await create_person(each_store, is_admin=False, business_ids=(north,), roles=("Tariff-List",))
    await create_user_role(each_store, north, ("tariff-list", "Booking-READ"), (user_id,))
    caller = await caller_of(each_store, user_id)
    assert caller.roles == {"tariff-list", "booking-read"}


async def test_user_without_locations_sees_no_located_records(each_store: Store) -> None:
    north = await create_location(each_store)
    user_id = await create_person(each_store, is_admin=False)
    caller = await caller_of(each_store, user_id)
    assert caller.locations == frozenset()
    async with each_store.read_session() as reading:
        assert await reading.count(Business) == 1
        assert await reading.count(Business, scope_filters(caller, Business)) == 0
        assert await reading.count(User, scope_filters(caller, User)) == 0
        assert await reading.get(Business, north, scope_filters(caller, Business)) is None


async def test_new_role_applies_to_live_token_within_cache_time(store: Store) -> None:
    north = await create_location(store)
    user_id = await create_person(store, is_admin=False, business_ids=(north,))
    auth = create_authenticator(store)
    assert not (await auth.authenticate(basic_authorization(), SIGN_IN_TIME)).roles
    async with store.write_session() as session:
        await set_roles(session, user_id, north, ["tariff-LIST"], now=SIGN_IN_TIME)
    later = await auth.authenticate(basic_authorization(), SIGN_IN_TIME)
    assert later.roles == {"tariff-list"}
    with pytest.raises(ValidationError, match="no such role"):
        async with store.write_session() as session:
            await set_roles(session, user_id, north, ["Tariff-Fly"], now=SIGN_IN_TIME)


async def test_role_applies_at_once(each_store: Store) -> None:
    store = each_store
    north = await create_location(store)
    user_id = await create_person(store, is_admin=False, business_ids=(north,))
    user_role_id = await create_user_role(store, north, ("Tariff-List",))
    auth = create_authenticator(store)
    assert not (await auth.authenticate(basic_authorization(), SIGN_IN_TIME)).roles
    async with store.write_session() as session:
        before = await stored(session, UserRole, user_role_id)
        await USER_ROLES.update(session, UserRole, before, {"Users": (user_id,)}, request_context(ROOT_PRINCIPAL))
    assert (await auth.authenticate(basic_authorization(), SIGN_IN_TIME)).roles == {"tariff-list"}
    async with store.write_session() as session:
        before = await stored(session, User, user_id)
        await USERS.update(session, User, before, {"UserRoles": ()}, request_context(ROOT_PRINCIPAL))
    assert not (await auth.authenticate(basic_authorization(), SIGN_IN_TIME)).roles


# Roles and scope -------------------------------------------------------------------------------


@pytest.mark.parametrize("entity", PUBLIC_ENTITIES, ids=lambda e: e.__name__)
def test_verb_requires_role(entity: type[Entity]) -> None:
    for verb in ALL_VERBS:
        holder = Principal(1, "a", roles=frozenset({entity.roles[verb].lower()}))
        require_role(holder, entity, verb)
        require_role(ROOT_PRINCIPAL, entity, verb)
        with pytest.raises(PermissionDenied, match=entity.roles[verb]):
            require_role(Principal(1, "a"), entity, verb)
        others = {entity.roles[v] for v in ALL_VERBS} - {entity.roles[verb]}
        for other in others:
            with pytest.raises(PermissionDenied):
                require_role(Principal(1, "a", roles=frozenset({other.lower()})), entity, verb)


@pytest.mark.parametrize("entity", CATALOG, ids=lambda e: e.__name__)
def test_scope_is_a_location_column(entity: type[Entity]) -> None:
    somewhere = Principal(1, "a", locations=frozenset({3, 2}))
    assert scope_filters(ROOT_PRINCIPAL, entity) == ()
    if entity.scope is None:
        assert scope_filters(somewhere, entity) == ()
        assert not entity.public or not any(
            isinstance(f, Reference) and f.is_local and f.to == "Business" for f in entity.fields.values()
        )
        return
    column = scope_column(entity, entity.scope)
    (narrowed,) = scope_filters(somewhere, entity)
    assert (narrowed.column, narrowed.value) == (column, (2, 3))
    if isinstance(column.field, Collection):
        assert column.field.of == "Business"
        assert narrowed.comparison is Comparison.OVERLAPS
    else:
        assert narrowed.comparison is Comparison.ONE_OF
        owner = entity
        for step in column.path:
            link = owner.fields[step]
            assert isinstance(link, Reference)
            owner = entity_by_name(link.to)
        if owner is not Business:
            relation = owner.fields[column.leaf.removesuffix("Id")]
            assert isinstance(relation, Reference)
            # A record of the audit trail keeps the location's id whatever becomes of the location.
            assert (relation.to, relation.is_local) == ("Business", owner is not AuditRecord)
        else:
            assert column.leaf == "Id"


async def test_scope_filter_runs_on_both_engines(each_store: Store) -> None:
    for locations in (frozenset(), frozenset({7, 8})):
        caller = Principal(1, "a", locations=locations)
        async with each_store.read_session() as reading:
            for entity in PUBLIC_ENTITIES:
                assert await reading.count(entity, scope_filters(caller, entity)) == 0


async def test_sign_in_entities_are_not_public() -> None:
    names = {e.__name__ for e in PUBLIC_ENTITIES}
    assert not names & {"Credential", "RefreshToken", "SignInAttempt", "SigningKey"}


# Writing users ---------------------------------------------------------------------------------


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


async def test_deleted_user_leaves_no_credentials(each_store: Store) -> None:
    north = await create_location(each_store)
    user_id = await create_person(each_store, business_ids=(north,), roles=MANAGER)
    await create_authenticator(each_store).sign_in(password_form(), None, SIGN_IN_TIME)
    async with each_store.write_session() as session:
        before = await stored(session, User, user_id)
        await USERS.delete(session, User, before, request_context(ROOT_PRINCIPAL))
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


async def test_five_roles_per_public_entity_are_created_once(each_store: Store) -> None:
    async with each_store.write_session() as session:
        first = await ensure_roles(session, SIGN_IN_TIME)
        assert await ensure_roles(session, SIGN_IN_TIME) == first
        assert await session.count(Role) == len(first)
    own_paths = {name.lower() for name in ROLES_WITHOUT_ENTITY}
    assert {e.roles[v].lower() for e in PUBLIC_ENTITIES for v in ALL_VERBS} | own_paths == set(first)
    assert CoworkerBookingCredit.roles["get"] == "CoworkerBookingCredit-Read"
