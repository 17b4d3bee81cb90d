"""Callers of every standing: without a token, without roles, and of another location."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import httpx
from starlette.types import ASGIApp

from creditdesk.auth.tokens import signing_secret
from creditdesk.auth.users_admin import create_user, issue_token
from creditdesk.entities.catalog import PUBLIC_ENTITIES
from creditdesk.entities.security.role import Role
from creditdesk.entities.security.user_role import UserRole
from creditdesk.schema.repository import Store
from creditdesk.settings import AuthSettings
from tests.support.record_builder import NOW, stored_row


async def create_full_user_role(store: Store, business: int) -> int:
    """The id of a user role that holds every role there is."""
    names = sorted({name for entity in PUBLIC_ENTITIES for name in entity.roles.values()})
    async with store.write_session() as unit:
        roles = await unit.insert(Role, [stored_row(Role, Name=name) for name in names])
        row = stored_row(UserRole, BusinessId=business, Name="All", Roles=tuple(roles))
        [user_role] = await unit.insert(UserRole, [row])
    return user_role


async def create_location_token(
    store: Store, email: str, businesses: Sequence[int], user_role: int | None = None
) -> str:
    """The access token of a new user of these locations, with a user role's roles or none."""
    settings, now = AuthSettings(), datetime.now(UTC)
    secret = await signing_secret(store, settings, now)
    async with store.write_session() as unit:
        user = await create_user(
            unit, email, None, "Some One", is_admin=False, now=NOW, businesses=businesses
        )
        if user_role:
            await unit.update(UserRole, [(user_role, {"Users": (user,)})])
        grant = await issue_token(unit, user, secret, settings, now=now)
    return grant.access_token


def client_with_token(app: ASGIApp, bearer: str | None) -> httpx.AsyncClient:
    """A client that sends this token, or none."""
    headers = {"Authorization": f"Bearer {bearer}"} if bearer else {}
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://desk", headers=headers)


async def create_admin_token(store: Store) -> str:
    """The access token of a new full unrestricted administrator."""
    settings, now = AuthSettings(), datetime.now(UTC)
    secret = await signing_secret(store, settings, now)
    async with store.write_session() as unit:
        user = await create_user(unit, "root@example.com", None, "Root", is_admin=True, now=NOW)
        grant = await issue_token(unit, user, secret, settings, now=now)
    return grant.access_token
