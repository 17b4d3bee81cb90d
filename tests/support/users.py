"""People and places for the tests of who may: cheap passwords, one location or two, an app each."""

from __future__ import annotations

import base64
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from creditdesk.auth.authenticator import Authenticator
from creditdesk.auth.passwords import Passwords
from creditdesk.auth.users_admin import create_user, ensure_roles
from creditdesk.entities.security.user_role import UserRole
from creditdesk.entities.sys.business import Business
from creditdesk.entities.sys.currency import Currency
from creditdesk.entities.sys.user import User
from creditdesk.schema.records import new_record
from creditdesk.schema.repository import Store
from creditdesk.schema.service import Principal, RequestContext
from creditdesk.settings import AuthSettings

SIGN_IN_TIME = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
PASSWORD = "correct horse battery"
FAST_HASHING = AuthSettings(argon2_time_cost=1, argon2_memory_kib=8)
PASSWORDS = Passwords(FAST_HASHING)


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
