"""Users, their tokens, roles and locations, and HTTP clients that are signed in as them."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import httpx
import pyotp
from starlette.types import ASGIApp

from creditdesk.api.default_service import DefaultService
from creditdesk.auth.authenticator import Authenticator
from creditdesk.auth.credentials import save_credential
from creditdesk.auth.passwords import Passwords
from creditdesk.auth.principal import load_user_snapshot
from creditdesk.auth.tokens import signing_secret
from creditdesk.auth.users import UserRoleService, UserService
from creditdesk.auth.users_admin import create_user, ensure_roles, issue_token, set_password
from creditdesk.entities.catalog import PUBLIC_ENTITIES
from creditdesk.entities.security.role import Role
from creditdesk.entities.security.user_role import UserRole
from creditdesk.entities.sys.business import Business
from creditdesk.entities.sys.currency import Currency
from creditdesk.entities.sys.user import User
from creditdesk.schema.entity import Entity, Record
from creditdesk.schema.records import new_record
from creditdesk.schema.repository import ReadSession, Store
from creditdesk.schema.service import Principal, RequestContext
from creditdesk.settings import AuthSettings
from tests.support.record_builder import NOW, stored_row

SIGN_IN_TIME = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
PASSWORD = "correct horse battery"
FAST_HASHING = AuthSettings(argon2_time_cost=1, argon2_memory_kib=8)
PASSWORDS = Passwords(FAST_HASHING)
USERS = UserService(DefaultService(), PASSWORDS)
USER_ROLES = UserRoleService(DefaultService())


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


def create_authenticator(store: Store, **overrides: Any) -> Authenticator:
    return Authenticator(store, replace(FAST_HASHING, **overrides), PASSWORDS)


async def create_person(
    store: Store,
    email: str = "ada@example.org",
    *,
    is_admin: bool = True,
    business_ids: tuple[int, ...] = (),
    roles: tuple[str, ...] = (),
    **values: Any,
) -> int:
    async with store.write_session() as unit:
        user_id = await create_user(
            unit, email, PASSWORD, "Ada Lovelace", is_admin=is_admin, now=SIGN_IN_TIME,
            businesses=business_ids, passwords=PASSWORDS,
        )  # fmt: skip
        if values:
            await unit.update(User, [(user_id, values)])
    if roles:
        await create_user_role(store, business_ids[0], roles, (user_id,))
    return user_id


async def revoke_tokens(store: Store, user_id: int) -> None:
    """Revokes all tokens of a user, as setting a password does."""
    async with store.write_session() as session:
        await set_password(session, user_id, PASSWORD, now=SIGN_IN_TIME, passwords=PASSWORDS)


async def set_two_factor(store: Store, user_id: int, *, on: bool) -> str:
    """Turns the second factor of a user on or off; returns its secret."""
    secret = pyotp.random_base32() if on else ""
    async with store.write_session() as session:
        user = await session.get(User, user_id)
        assert user is not None
        await save_credential(session, user_id, user["Email"], SIGN_IN_TIME, totp_secret=secret)
        await session.update(User, [(user_id, {"TwoFactorEnabled": on})])
    return secret


async def create_user_role(
    store: Store, business_id: int, roles: tuple[str, ...], user_ids: tuple[int, ...] = ()
) -> int:
    async with store.write_session() as unit:
        known = await ensure_roles(unit, SIGN_IN_TIME)
        ids = tuple(known[name.lower()] for name in roles)
        values = {"Name": "Some", "BusinessId": business_id, "Roles": ids, "Users": user_ids}
        row = new_record(UserRole, values, SIGN_IN_TIME)
        (user_role_id,) = await unit.insert(UserRole, [row])
    return user_role_id


async def create_location(store: Store, name: str = "North") -> int:
    async with store.write_session() as unit:
        (currency_id,) = await unit.insert(
            Currency, [new_record(Currency, {"Name": "EUR", "Code": "EUR"}, SIGN_IN_TIME)]
        )
        row = new_record(Business, {"Name": name, "CurrencyId": currency_id}, SIGN_IN_TIME)
        (business_id,) = await unit.insert(Business, [row])
    return business_id


def password_form(**fields: str) -> dict[str, str]:
    return {"grant_type": "password", "username": "ada@example.org", "password": PASSWORD} | fields


def basic_authorization(email: str = "ada@example.org", password: str = PASSWORD) -> str:
    return "Basic " + base64.b64encode(f"{email}:{password}".encode()).decode()


def request_context(principal: Principal) -> RequestContext:
    return RequestContext(principal, SIGN_IN_TIME)


ROOT_PRINCIPAL = Principal(1, "root@example.org", unrestricted=True)


async def create_user_token(
    store: Store,
    email: str,
    *,
    is_admin: bool = True,
    business_ids: Sequence[int] = (),
    user_role_id: int | None = None,
    lifetime_days: int | None = None,
) -> str:
    """The access token of a new user; an administrator without locations is unrestricted.

    `user_role_id` gives the user the roles of a user role. `lifetime_days` overrides the default
    lifetime of a token.
    """
    settings, now = AuthSettings(), datetime.now(UTC)
    if lifetime_days is not None:
        settings = replace(settings, access_seconds=lifetime_days * 24 * 3600)
    secret = await signing_secret(store, settings, now)
    async with store.write_session() as session:
        user_id = await create_user(
            session, email, None, "Some One", is_admin=is_admin, now=NOW, businesses=business_ids
        )
        if user_role_id is not None:
            await session.update(UserRole, [(user_role_id, {"Users": (user_id,)})])
        token = await issue_token(session, user_id, secret, settings, now=now)
    return token.access_token


async def create_full_user_role(store: Store, business: int) -> int:
    """The id of a user role that holds every role there is."""
    names = sorted({name for entity in PUBLIC_ENTITIES for name in entity.roles.values()})
    async with store.write_session() as unit:
        roles = await unit.insert(Role, [stored_row(Role, Name=name) for name in names])
        row = stored_row(UserRole, BusinessId=business, Name="All", Roles=tuple(roles))
        [user_role] = await unit.insert(UserRole, [row])
    return user_role


def http_client(app: ASGIApp, token: str | None = None) -> httpx.AsyncClient:
    """A client of an application; without a token it is not signed in."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://creditdesk.test", headers=headers)
