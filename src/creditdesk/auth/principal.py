"""Principals: the roles and locations of users, from User, UserRole and Role.

A user must be active, and not have to reset its password. With API access it is of the operator: an
IsAdmin user without Businesses is unrestricted; any other has the roles of all its UserRoles, at its
Businesses. Without API access it is a member, if it is the user of a customer.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

from creditdesk.auth.credentials import find_credential
from creditdesk.auth.members import load_member
from creditdesk.auth.sessions import find_session
from creditdesk.entities.security.role import Role
from creditdesk.entities.security.user_role import UserRole
from creditdesk.entities.sys.user import User
from creditdesk.schema.entity import Record
from creditdesk.schema.query import Comparison, Filter
from creditdesk.schema.repository import ReadSession
from creditdesk.schema.service import Principal

NO_ACCESS_MESSAGE: Final = "This user has no API access"
RESET_MESSAGE: Final = "This user must set a new password first: POST /api/auth/password"


@dataclass(frozen=True, slots=True)
class UserSnapshot:
    """The version of a user's credential, and its principal; without one, why it may not call."""

    version: int
    principal: Principal | None
    message: str = ""


async def load_user_snapshot(session: ReadSession, user_id: int, customer_id: int | None = None) -> UserSnapshot | None:
    """The user as it is now; with a customer only as its member. None without a user or credential."""
    credential = await find_credential(session, user_id)
    user = await session.get(User, user_id) if credential else None
    if credential is None or user is None:
        return None
    principal = None
    if user["Active"]:
        is_operator = user["APIAccess"] and customer_id is None
        principal = await (_principal(session, user) if is_operator else load_member(session, user, customer_id))
    if principal is None:
        return UserSnapshot(credential["Version"], None, NO_ACCESS_MESSAGE)
    if user["MustResetPassword"] and customer_id is None:
        return UserSnapshot(credential["Version"], None, RESET_MESSAGE)
    return UserSnapshot(credential["Version"], principal)


async def load_session_snapshot(session: ReadSession, user_id: int, session_id: int) -> UserSnapshot | None:
    """The user of an open session as it is now; None where the session has ended.

    A session that is limited to a customer has the rights of its member alone.
    """
    opened = await find_session(session, session_id)
    if opened is None or opened["UserId"] != user_id or opened["EndedOn"] is not None:
        return None
    snapshot = await load_user_snapshot(session, user_id, opened["CoworkerId"])
    if snapshot is None or snapshot.principal is None:
        return snapshot
    return replace(snapshot, principal=replace(snapshot.principal, session_id=session_id))


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
