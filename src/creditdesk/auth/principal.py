"""Principals: the roles and locations of users, from User, UserRole and Role.

A user must be active and have API access. An IsAdmin user without Businesses is unrestricted; any
other has the roles of all its UserRoles, at its Businesses.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from creditdesk.auth.credentials import find_credential
from creditdesk.entities.security.role import Role
from creditdesk.entities.security.user_role import UserRole
from creditdesk.entities.sys.user import User
from creditdesk.schema.entity import Record
from creditdesk.schema.query import Comparison, Filter
from creditdesk.schema.repository import ReadSession
from creditdesk.schema.service import Principal


@dataclass(frozen=True, slots=True)
class UserSnapshot:
    """The version of a user's credential, and its principal; None without API access."""

    version: int
    principal: Principal | None


async def load_user_snapshot(session: ReadSession, user_id: int) -> UserSnapshot | None:
    """The user as it is now; None without a user or credential."""
    credential = await find_credential(session, user_id)
    user = await session.get(User, user_id) if credential else None
    if credential is None or user is None:
        return None
    may_call = user["Active"] and user["APIAccess"]
    principal = await _principal(session, user) if may_call else None
    return UserSnapshot(credential["Version"], principal)


async def granted_role_names(session: ReadSession, user_role_ids: Iterable[int]) -> frozenset[str]:
    """The roles that these user roles grant together, in lower case."""
    ids = tuple(user_role_ids)
    user_roles = await session.get_many(UserRole, ids) if ids else {}
    return await role_names_of(session, {i for row in user_roles.values() for i in row["Roles"]})


async def role_names_of(session: ReadSession, role_ids: Iterable[int]) -> frozenset[str]:
    """The names of these roles, in lower case."""
    ids = tuple(sorted(role_ids))
    if not ids:
        return frozenset()
    roles = await session.find(Role, [Filter(Role.meta().columns["Id"], Comparison.ONE_OF, ids)])
    return frozenset(role["Name"].lower() for role in roles)


async def _principal(session: ReadSession, user: Record) -> Principal:
    businesses = frozenset(user["Businesses"])
    if user["IsAdmin"] and not businesses:
        return Principal(user["Id"], user["Email"], unrestricted=True)
    roles = await granted_role_names(session, user["UserRoles"])
    return Principal(user["Id"], user["Email"], roles=roles, locations=businesses)
