"""Principals from users, roles and locations; the scope of every entity; the roles that exist."""

from __future__ import annotations

import pytest

from creditdesk.auth.permission import require_role
from creditdesk.auth.scope import scope_column, scope_filters
from creditdesk.auth.users_admin import ensure_roles, set_roles
from creditdesk.entities.billing.coworker_booking_credit import CoworkerBookingCredit
from creditdesk.entities.catalog import CATALOG, PUBLIC_ENTITIES
from creditdesk.entities.ledger.audit_record import AuditRecord
from creditdesk.entities.roles import ROLES_WITHOUT_ENTITY
from creditdesk.entities.security.role import Role
from creditdesk.entities.security.user_role import UserRole
from creditdesk.entities.sys.business import Business
from creditdesk.entities.sys.user import User
from creditdesk.schema.entity import ALL_VERBS, Entity, entity_by_name
from creditdesk.schema.errors import PermissionDenied, ValidationError
from creditdesk.schema.fields import Collection, Reference
from creditdesk.schema.query import Comparison
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
    request_context,
    stored,
)


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


async def test_five_roles_per_public_entity_are_created_once(each_store: Store) -> None:
    async with each_store.write_session() as session:
        first = await ensure_roles(session, SIGN_IN_TIME)
        assert await ensure_roles(session, SIGN_IN_TIME) == first
        assert await session.count(Role) == len(first)
    own_paths = {name.lower() for name in ROLES_WITHOUT_ENTITY}
    assert {e.roles[v].lower() for e in PUBLIC_ENTITIES for v in ALL_VERBS} | own_paths == set(first)
    assert CoworkerBookingCredit.roles["get"] == "CoworkerBookingCredit-Read"
