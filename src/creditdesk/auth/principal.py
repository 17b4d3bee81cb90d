"""Who a user is to the rest of the house: roles and locations, read from User, UserRole and Role.

A user must be active and have API access. IsAdmin with no Businesses is a full unrestricted
administrator; anyone else has the union of the roles of all its UserRoles, at its Businesses.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from creditdesk.auth.credentials import credential_of
from creditdesk.entities.security.role import Role
from creditdesk.entities.security.user_role import UserRole
from creditdesk.entities.sys.user import User
from creditdesk.schema.entity import Record
from creditdesk.schema.query import Filter, Test
from creditdesk.schema.repository import Reading
from creditdesk.schema.service import Caller


@dataclass(frozen=True, slots=True)
class Standing:
    """A user's credential version, and the caller it makes; None without API access."""

    version: int
    caller: Caller | None


async def standing_of(reading: Reading, user_id: int) -> Standing | None:
    """What holds for a user now; None when there is no such user or nothing to sign in with."""
    credential = await credential_of(reading, user_id)
    user = await reading.get(User, user_id) if credential else None
    if credential is None or user is None:
        return None
    may_call = user["Active"] and user["APIAccess"]
    caller = await _caller(reading, user) if may_call else None
    return Standing(credential["Version"], caller)


async def role_names(reading: Reading, user_role_ids: Iterable[int]) -> frozenset[str]:
    """The union of the roles of these user roles, in lower case."""
    ids = tuple(user_role_ids)
    user_roles = await reading.many(UserRole, ids) if ids else {}
    return await names_of(reading, {i for row in user_roles.values() for i in row["Roles"]})


async def names_of(reading: Reading, role_ids: Iterable[int]) -> frozenset[str]:
    """The names of these roles, in lower case."""
    ids = tuple(sorted(role_ids))
    if not ids:
        return frozenset()
    roles = await reading.find(Role, [Filter(Role.shape().columns["Id"], Test.ONE_OF, ids)])
    return frozenset(role["Name"].lower() for role in roles)


async def _caller(reading: Reading, user: Record) -> Caller:
    businesses = frozenset(user["Businesses"])
    if user["IsAdmin"] and not businesses:
        return Caller(user["Id"], user["Email"], unrestricted=True)
    roles = await role_names(reading, user["UserRoles"])
    return Caller(user["Id"], user["Email"], roles=roles, locations=businesses)
