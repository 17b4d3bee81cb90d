"""Writers of users and user roles: no one gives a right that it does not hold itself.

Both wrap a plain writer that stores the record. A caller may write a user, or a user role, only
when it holds every right that it has before and after; a full administrator holds all. So a
manager can neither make an administrator nor take over the account of one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from creditdesk.auth.credentials import drop_credential, keep_credential, login_of
from creditdesk.auth.passwords import Passwords
from creditdesk.auth.principal import names_of, role_names
from creditdesk.auth.records import collected, without_write_only
from creditdesk.auth.scope import scope
from creditdesk.auth.totp import usable
from creditdesk.entities.security.user_role import UserRole
from creditdesk.entities.sys.user import User
from creditdesk.schema.entity import Entity, Record
from creditdesk.schema.errors import NotAllowed, NotFound, invalid
from creditdesk.schema.query import Filter, Test
from creditdesk.schema.repository import Reading, Unit
from creditdesk.schema.service import Call, Caller, Writer


@dataclass(frozen=True, slots=True)
class Rights:
    """What a user or user role may do and where."""

    admin: bool = False
    locations: frozenset[int] = frozenset()
    roles: frozenset[str] = frozenset()


def demand_held(caller: Caller, rights: Rights) -> None:
    """Raises NotAllowed unless the caller holds these rights itself."""
    if caller.unrestricted:
        return
    if rights.admin:
        raise NotAllowed("Only a full administrator may write an administrator")
    if caller.locations is not None and not rights.locations <= caller.locations:
        raise NotAllowed("You cannot give or change rights at a location that is not yours")
    if not rights.roles <= caller.roles:
        missing = ", ".join(sorted(rights.roles - caller.roles))
        raise NotAllowed(f"You cannot give or change roles that you do not hold: {missing}")


class UserWriter:
    """Writes users, with what they sign in with; `changed` is told after each write."""

    def __init__(
        self, plain: Writer, passwords: Passwords, changed: Callable[[], None] = lambda: None
    ) -> None:
        self._plain = plain
        self._passwords = passwords
        self._changed = changed

    async def create(self, unit: Unit, entity: type[Entity], record: Record, call: Call) -> int:
        demand_held(call.caller, await _user_rights(unit, record, {}))
        email = _email(record, {})
        await _demand_unique(unit, email, None)
        stored = without_write_only(entity, record)
        user_id = await self._plain.create(unit, entity, stored, call)
        await self._keep(unit, user_id, email, record, call)
        self._changed()
        return user_id

    async def update(
        self, unit: Unit, entity: type[Entity], before: Record, record: Record, call: Call
    ) -> None:
        user_id = before["Id"]
        whole = await _whole(unit, User, user_id)
        rights_before = await _user_rights(unit, {}, whole)
        rights_after = await _user_rights(unit, record, whole)
        if user_id == call.caller.user_id and rights_before.admin and rights_after.locations:
            # A limited administrator stays one while it edits itself; without locations it
            # would become unrestricted.
            rights_before = Rights(False, rights_before.locations, rights_before.roles)
            rights_after = Rights(False, rights_after.locations, rights_after.roles)
        demand_held(call.caller, rights_before)
        demand_held(call.caller, rights_after)
        email = _email(record, whole)
        if login_of(email) != login_of(whole["Email"]):
            await _demand_unique(unit, email, user_id)
        await self._plain.update(unit, entity, before, without_write_only(entity, record), call)
        await self._keep(unit, user_id, email, record, call)
        self._changed()

    async def delete(self, unit: Unit, entity: type[Entity], before: Record, call: Call) -> None:
        user_id = before["Id"]
        whole = await _whole(unit, User, user_id)
        demand_held(call.caller, await _user_rights(unit, {}, whole))
        await drop_credential(unit, user_id)
        if whole["UserRoles"]:
            await unit.update(User, [(user_id, {"UserRoles": ()})])
        await self._plain.delete(unit, entity, before, call)
        self._changed()

    async def _keep(self, unit: Unit, user_id: int, email: str, record: Record, call: Call) -> None:
        name = "NewPassword" if record.get("NewPassword") else "Password"
        password = record.get(name)
        password_hash = await self._passwords.hash(password, name) if password else None
        secret = "".join((record.get("TwoFactorSecret") or "").split())
        if secret and not usable(secret):
            raise invalid("TwoFactorSecret", "must be a base-32 secret of at least 80 bits")
        await keep_credential(
            unit, user_id, email, call.now,
            password_hash=password_hash, totp_secret=secret or None,
        )  # fmt: skip
        if secret:
            await unit.update(User, [(user_id, {"TwoFactorEnabled": True})])


class UserRoleWriter:
    """Writes user roles: which roles, at which location, who has them; `changed` as above."""

    def __init__(self, plain: Writer, changed: Callable[[], None] = lambda: None) -> None:
        self._plain = plain
        self._changed = changed

    async def create(self, unit: Unit, entity: type[Entity], record: Record, call: Call) -> int:
        demand_held(call.caller, await _user_role_rights(unit, record, {}))
        await _demand_seen(unit, call.caller, collected(record, "Users", {}))
        user_role_id = await self._plain.create(unit, entity, record, call)
        self._changed()
        return user_role_id

    async def update(
        self, unit: Unit, entity: type[Entity], before: Record, record: Record, call: Call
    ) -> None:
        whole = await _whole(unit, UserRole, before["Id"])
        demand_held(call.caller, await _user_role_rights(unit, {}, whole))
        demand_held(call.caller, await _user_role_rights(unit, record, whole))
        users = set(collected(record, "Users", whole)) ^ set(whole["Users"])
        await _demand_seen(unit, call.caller, tuple(users))
        await self._plain.update(unit, entity, before, record, call)
        self._changed()

    async def delete(self, unit: Unit, entity: type[Entity], before: Record, call: Call) -> None:
        whole = await _whole(unit, UserRole, before["Id"])
        demand_held(call.caller, await _user_role_rights(unit, {}, whole))
        await self._plain.delete(unit, entity, before, call)
        self._changed()


async def _user_rights(reading: Reading, record: Record, before: Record) -> Rights:
    admin = record["IsAdmin"] if "IsAdmin" in record else before.get("IsAdmin")
    return Rights(
        bool(admin),
        frozenset(collected(record, "Businesses", before)),
        await role_names(reading, collected(record, "UserRoles", before)),
    )


async def _user_role_rights(reading: Reading, record: Record, before: Record) -> Rights:
    business = record.get("BusinessId") or before.get("BusinessId")
    return Rights(
        locations=frozenset([business] if business else []),
        roles=await names_of(reading, collected(record, "Roles", before)),
    )


async def _demand_seen(reading: Reading, caller: Caller, user_ids: tuple[int, ...]) -> None:
    """Only users that the caller sees may be given a user role, or lose one."""
    narrowed = scope(caller, User)
    if user_ids and narrowed:
        seen = await reading.many(User, user_ids, narrowed)
        if unseen := sorted(set(user_ids) - set(seen)):
            raise invalid("Users", "contains an unknown id", unseen[0])


async def _demand_unique(reading: Reading, email: str, user_id: int | None) -> None:
    same = await reading.find(User, [Filter(User.shape().columns["Email"], Test.IS, email)])
    if any(user["Id"] != user_id for user in same):
        raise invalid("Email", "is already used by another user", email)


async def _whole(unit: Unit, entity: type[Entity], record_id: int) -> Record:
    whole = await unit.get(entity, record_id)
    if whole is None:
        raise NotFound
    return whole


def _email(record: Record, before: Record) -> str:
    email = str(record.get("Email") or before.get("Email") or "")
    if not login_of(email):
        raise invalid("Email", "must be an e-mail address", email)
    return email
