"""People and places for the tests of who may: cheap passwords, one location or two, an app each."""

from __future__ import annotations

import base64
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from creditdesk.auth.authenticator import Authenticator
from creditdesk.auth.passwords import Passwords
from creditdesk.auth.records import new_row
from creditdesk.auth.settings import AuthSettings
from creditdesk.auth.users_admin import create_user, ensure_roles
from creditdesk.entities.security.user_role import UserRole
from creditdesk.entities.sys.business import Business
from creditdesk.entities.sys.currency import Currency
from creditdesk.entities.sys.user import User
from creditdesk.schema.repository import Store
from creditdesk.schema.service import Call, Caller

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
PASSWORD = "correct horse battery"
CHEAP = AuthSettings(argon2_time_cost=1, argon2_memory_kib=8)
PASSWORDS = Passwords(CHEAP)


def authenticator(store: Store, **changed: Any) -> Authenticator:
    return Authenticator(store, replace(CHEAP, **changed), PASSWORDS)


async def person(
    store: Store,
    email: str = "ada@example.org",
    *,
    is_admin: bool = True,
    businesses: tuple[int, ...] = (),
    roles: tuple[str, ...] = (),
    **changed: Any,
) -> int:
    async with store.writing() as unit:
        user_id = await create_user(
            unit, email, PASSWORD, "Ada Lovelace", is_admin=is_admin, now=NOW,
            businesses=businesses, passwords=PASSWORDS,
        )  # fmt: skip
        if changed:
            await unit.update(User, [(user_id, changed)])
    if roles:
        await user_role(store, businesses[0], roles, (user_id,))
    return user_id


async def user_role(
    store: Store, business_id: int, roles: tuple[str, ...], users: tuple[int, ...] = ()
) -> int:
    async with store.writing() as unit:
        known = await ensure_roles(unit, NOW)
        ids = tuple(known[name.lower()] for name in roles)
        row = new_row(UserRole, NOW, Name="Some", BusinessId=business_id, Roles=ids, Users=users)
        (user_role_id,) = await unit.insert(UserRole, [row])
    return user_role_id


async def place(store: Store, name: str = "North") -> int:
    async with store.writing() as unit:
        (currency_id,) = await unit.insert(
            Currency, [new_row(Currency, NOW, Name="EUR", Code="EUR")]
        )
        row = new_row(Business, NOW, Name=name, CurrencyId=currency_id)
        (business_id,) = await unit.insert(Business, [row])
    return business_id


def form(**fields: str) -> dict[str, str]:
    return {"grant_type": "password", "username": "ada@example.org", "password": PASSWORD} | fields


def basic(email: str = "ada@example.org", password: str = PASSWORD) -> str:
    return "Basic " + base64.b64encode(f"{email}:{password}".encode()).decode()


def call(caller: Caller) -> Call:
    return Call(caller, NOW)


ADMINISTRATOR = Caller(1, "root@example.org", unrestricted=True)
