"""Services of users and user roles: nobody grants a right that they lack.

A principal may write a user or user role only if it holds every right that the record has before
and after; an unrestricted one holds all. So a manager can neither create an administrator nor take
over the account of one. The user of a customer has the rights of a member at each location of the
customer. Nobody deletes their own user.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from creditdesk.auth.credentials import delete_credential, normalize_login, save_credential
from creditdesk.auth.customers import customers_of_user, require_all_locations
from creditdesk.auth.encryption import NO_CIPHER, SecretCipher
from creditdesk.auth.passwords import Passwords
from creditdesk.auth.principal import granted_role_names, role_names_of
from creditdesk.auth.saved_views import forget_views, unshare_views
from creditdesk.auth.scope import scope_filters
from creditdesk.auth.sessions import EndReason, end_sessions_of
from creditdesk.auth.totp import is_valid_secret
from creditdesk.auth.user_emails import require_no_hidden_customer, require_unused_email
from creditdesk.entities.security.user_role import UserRole
from creditdesk.entities.sys.user import User
from creditdesk.schema.entity import Entity, Record
from creditdesk.schema.errors import NotFound, PermissionDenied, StateConflict, invalid_field
from creditdesk.schema.query import where
from creditdesk.schema.repository import ReadSession, WriteSession
from creditdesk.schema.service import EntityService, ForwardingService, Principal, RequestContext

LAST_ADMINISTRATOR_MESSAGE: Final = "cannot change: this is the last full administrator, so make another user one first"
FOREIGN_LOCATION_MESSAGE: Final = "You cannot give or change rights at a location that is not yours"


@dataclass(frozen=True, slots=True)
class Rights:
    """The rights of a user or user role."""

    admin: bool = False
    locations: frozenset[int] = frozenset()
    roles: frozenset[str] = frozenset()


def require_rights(principal: Principal, rights: Rights) -> None:
    """Raises PermissionDenied unless the principal holds these rights."""
    if principal.unrestricted:
        return
    if rights.admin:
        raise PermissionDenied("Only a full administrator may write an administrator")
    if principal.locations is not None and not rights.locations <= principal.locations:
        raise PermissionDenied(FOREIGN_LOCATION_MESSAGE)
    if not rights.roles <= principal.roles:
        missing = ", ".join(sorted(rights.roles - principal.roles))
        raise PermissionDenied(f"You cannot give or change roles that you do not hold: {missing}")


async def require_rights_over(session: ReadSession, principal: Principal, user: Record) -> None:
    """Raises PermissionDenied unless the principal holds a user's rights, and sees all locations of its customers."""
    require_rights(principal, await _user_rights(session, {}, user))
    await _require_customers(session, principal, user["Id"])


class UserService(ForwardingService):
    """Writes users and their credentials."""

    def __init__(
        self,
        default_service: EntityService,
        passwords: Passwords,
        cipher: SecretCipher = NO_CIPHER,
    ) -> None:
        super().__init__(default_service)
        self._passwords = passwords
        self._cipher = cipher

    async def create(self, session: WriteSession, entity: type[Entity], record: Record, context: RequestContext) -> int:
        require_rights(context.principal, await _user_rights(session, record, {}))
        email = _email(record, {})
        await _require_free_email(session, email, context.principal, None)
        user_id = await super().create(session, entity, record, context)
        await self._save_credential(session, user_id, record | {"Email": email}, context)
        return user_id

    async def update(
        self,
        session: WriteSession,
        entity: type[Entity],
        before: Record,
        record: Record,
        context: RequestContext,
    ) -> None:
        user_id = before["Id"]
        stored = await _get_stored(session, User, user_id)
        rights_before = await _user_rights(session, {}, stored)
        rights_after = await _user_rights(session, record, stored)
        if user_id == context.principal.user_id and rights_before.admin and rights_after.locations:
            # An administrator of locations may edit itself, and stays one: only an administrator
            # without locations is unrestricted.
            rights_before = Rights(False, rights_before.locations, rights_before.roles)
            rights_after = Rights(False, rights_after.locations, rights_after.roles)
        require_rights(context.principal, rights_before)
        require_rights(context.principal, rights_after)
        await _require_customers(session, context.principal, user_id)
        if (lost := _lost_right(stored, stored | record)) and await _is_last_administrator(session, user_id):
            raise invalid_field(lost, LAST_ADMINISTRATOR_MESSAGE, record[lost])
        email = _email(record, stored)
        if normalize_login(email) != normalize_login(stored["Email"] or ""):
            await _require_free_email(session, email, context.principal, user_id)
        await super().update(session, entity, before, record, context)
        await self._save_credential(session, user_id, stored | record | {"Email": email}, context)
        if _may_call(stored) and not _may_call(stored | record):
            await end_sessions_of(session, user_id, EndReason.DEACTIVATED, context.now)

    async def delete(
        self, session: WriteSession, entity: type[Entity], before: Record, context: RequestContext
    ) -> None:
        user_id = before["Id"]
        if user_id == context.principal.user_id:
            raise StateConflict("You cannot delete your own user: ask another administrator.")
        stored = await _get_stored(session, User, user_id)
        await require_rights_over(session, context.principal, stored)
        if _lost_right(stored, {}) and await _is_last_administrator(session, user_id):
            raise StateConflict(
                "The last full administrator must stay one: make another user a full administrator first."
            )
        await delete_credential(session, user_id)
        await forget_views(session, user_id)
        if stored["UserRoles"]:
            await session.update(User, [(user_id, {"UserRoles": ()})])
        await super().delete(session, entity, before, context)

    async def _save_credential(
        self,
        session: WriteSession,
        user_id: int,
        record: Record,
        context: RequestContext,
    ) -> None:
        name = "NewPassword" if record.get("NewPassword") else "Password"
        password = record.get(name)
        if not normalize_login(record["Email"]):
            if password or record.get("TwoFactorSecret"):
                raise invalid_field("Email", "must be an e-mail address, so that the user can sign in")
            return
        password_hash = await self._passwords.hash(password, name, record["Email"]) if password else None
        secret = "".join((record.get("TwoFactorSecret") or "").split())
        if secret and not is_valid_secret(secret):
            raise invalid_field("TwoFactorSecret", "must be a base-32 secret of at least 80 bits")
        await save_credential(
            session, user_id, record["Email"], context.now,
            password_hash=password_hash, totp_secret=secret or None, cipher=self._cipher,
        )  # fmt: skip
        if secret:
            await session.update(User, [(user_id, {"TwoFactorEnabled": True})])


class UserRoleService(ForwardingService):
    """Writes user roles."""

    async def create(self, session: WriteSession, entity: type[Entity], record: Record, context: RequestContext) -> int:
        require_rights(context.principal, await _user_role_rights(session, record, {}))
        await _require_visible_users(session, context.principal, _merged_collection(record, "Users", {}))
        return await super().create(session, entity, record, context)

    async def update(
        self,
        session: WriteSession,
        entity: type[Entity],
        before: Record,
        record: Record,
        context: RequestContext,
    ) -> None:
        stored = await _get_stored(session, UserRole, before["Id"])
        require_rights(context.principal, await _user_role_rights(session, {}, stored))
        require_rights(context.principal, await _user_role_rights(session, record, stored))
        users = set(_merged_collection(record, "Users", stored)) ^ set(stored["Users"])
        await _require_visible_users(session, context.principal, tuple(users))
        await super().update(session, entity, before, record, context)

    async def delete(
        self, session: WriteSession, entity: type[Entity], before: Record, context: RequestContext
    ) -> None:
        stored = await _get_stored(session, UserRole, before["Id"])
        require_rights(context.principal, await _user_role_rights(session, {}, stored))
        await unshare_views(session, before["Id"])
        await super().delete(session, entity, before, context)


async def _require_customers(session: ReadSession, principal: Principal, user_id: int) -> None:
    if user_id != principal.user_id:
        customers = await customers_of_user(session, user_id)
        await require_all_locations(session, customers, principal, FOREIGN_LOCATION_MESSAGE)


def _lost_right(before: Record, after: Record) -> str | None:
    """The column by which a change ends a full administrator; None where it was none, or stays one."""
    return None if _missing_right(before) else _missing_right(after)


def _missing_right(user: Record) -> str | None:
    """The column that makes a user less than a full administrator."""
    missing = next((name for name in ("IsAdmin", "Active", "APIAccess") if not user.get(name)), None)
    return missing or ("Businesses" if user.get("Businesses") else None)


async def _is_last_administrator(session: WriteSession, user_id: int) -> bool:
    """Whether no other user is a full administrator; locks those that are."""
    active = where(User, IsAdmin=True, Active=True, APIAccess=True)
    found = await session.find(User, active, columns=("Id",))
    # Locked, so that two administrators cannot remove each other concurrently; read after the locks, to see the other
    # change.
    await session.lock(User, [each["Id"] for each in found], ("Id",))
    found = await session.find(User, active, columns=("Id", "Businesses"))
    return all(each["Id"] == user_id or each["Businesses"] for each in found)


def _may_call(user: Record) -> bool:
    return bool(user["Active"] and user["APIAccess"])


async def _user_rights(session: ReadSession, record: Record, before: Record) -> Rights:
    admin = record["IsAdmin"] if "IsAdmin" in record else before.get("IsAdmin")
    return Rights(
        bool(admin),
        frozenset(_merged_collection(record, "Businesses", before)),
        await granted_role_names(session, _merged_collection(record, "UserRoles", before)),
    )


async def _user_role_rights(session: ReadSession, record: Record, before: Record) -> Rights:
    business = record.get("BusinessId") or before.get("BusinessId")
    return Rights(
        locations=frozenset([business] if business else []),
        roles=await role_names_of(session, _merged_collection(record, "Roles", before)),
    )


async def _require_visible_users(session: ReadSession, principal: Principal, user_ids: tuple[int, ...]) -> None:
    """Raises ValidationError for a user that the principal may not see."""
    filters = scope_filters(principal, User)
    if user_ids and filters:
        visible = await session.get_many(User, user_ids, filters)
        if hidden := sorted(set(user_ids) - set(visible)):
            raise invalid_field("Users", "contains an unknown id", hidden[0])


async def _require_free_email(session: ReadSession, email: str, principal: Principal, user_id: int | None) -> None:
    await require_unused_email(session, email, principal, user_id)
    await require_no_hidden_customer(session, email, principal, user_id)


async def _get_stored(session: WriteSession, entity: type[Entity], record_id: int) -> Record:
    stored = await session.get(entity, record_id)
    if stored is None:
        raise NotFound
    return stored


def _email(record: Record, before: Record) -> str:
    """The e-mail after the write. A stored e-mail is accepted unchanged, even if an import left it invalid."""
    email = str(record.get("Email") or before.get("Email") or "")
    is_kept = bool(before) and email == (before["Email"] or "")
    if not normalize_login(email) and not is_kept:
        raise invalid_field("Email", "must be an e-mail address", email)
    return email


def _merged_collection(record: Record, name: str, before: Record) -> tuple[int, ...]:
    """The members of a collection after the write: those sent, else those before."""
    return tuple(record[name] if record.get(name) is not None else before.get(name) or ())
