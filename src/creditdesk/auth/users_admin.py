"""Administration of users, roles and tokens for the command line, without a principal."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from creditdesk.auth.credentials import (
    find_credential,
    normalize_login,
    save_credential,
)
from creditdesk.auth.passwords import Passwords
from creditdesk.auth.refresh import issue_refresh_token
from creditdesk.auth.sessions import SignInMethod
from creditdesk.auth.token_responses import TokenResponse
from creditdesk.auth.tokens import AccessTokens
from creditdesk.auth.user_emails import require_unused_email
from creditdesk.entities.catalog import PUBLIC_ENTITIES
from creditdesk.entities.enums import eLanguage
from creditdesk.entities.roles import ROLES_WITHOUT_ENTITY
from creditdesk.entities.security.credential import Credential
from creditdesk.entities.security.role import Role
from creditdesk.entities.security.user_role import UserRole
from creditdesk.entities.sys.user import User
from creditdesk.schema.entity import ALL_VERBS
from creditdesk.schema.errors import NotFound, invalid_field
from creditdesk.schema.query import Comparison, Filter, where
from creditdesk.schema.records import new_record
from creditdesk.schema.repository import ReadSession, WriteSession
from creditdesk.schema.service import Principal
from creditdesk.settings import AuthSettings


async def count_users_who_can_sign_in(session: ReadSession) -> int:
    """The number of active users with API access and a password."""
    password = Filter(Credential.meta().columns["PasswordHash"], Comparison.NOT_NULL)
    credentials = await session.find(Credential, [password], columns=["UserId"])
    with_password = {each["UserId"] for each in credentials}
    return await session.count(User, where(User, Id=with_password, Active=True, APIAccess=True))


async def create_user(  # noqa: PLR0913 - one property of a user each
    session: WriteSession,
    email: str,
    password: str | None,
    full_name: str,
    *,
    is_admin: bool,
    now: datetime,
    businesses: Iterable[int] = (),
    passwords: Passwords | None = None,
    has_api_access: bool = True,
    principal: Principal | None = None,
) -> int:
    """Creates an active user; an administrator without businesses is unrestricted.

    Raises ValidationError for an e-mail that is invalid or in use, or a password of wrong length, and
    PermissionDenied for one in use by a user whom `principal` does not see.
    """
    email = email.strip()
    if not normalize_login(email):
        raise invalid_field("Email", "must be an e-mail address", email)
    await require_unused_email(session, email, principal)
    password_hash = (
        await (passwords or Passwords(AuthSettings())).hash(password, "Password", email) if password else None
    )
    values = {
        "Email": email,
        "FullName": full_name,
        "Active": True,
        "APIAccess": has_api_access,
        "Validated": True,
        "IsAdmin": is_admin,
        "Businesses": tuple(businesses),
        "Language": int(eLanguage.EnglishUS),
    }
    (user_id,) = await session.insert(User, [new_record(User, values, now, email)])
    await save_credential(session, user_id, email, now, password_hash=password_hash)
    return user_id


async def set_password(
    session: WriteSession,
    user_id: int,
    password: str,
    *,
    now: datetime,
    passwords: Passwords | None = None,
) -> None:
    """Sets a user's password and revokes its tokens. Raises NotFound."""
    user = await session.get(User, user_id)
    if user is None:
        raise NotFound
    password_hash = await (passwords or Passwords(AuthSettings())).hash(password, "Password", user["Email"])
    await save_credential(session, user_id, user["Email"], now, password_hash=password_hash)


async def ensure_roles(session: WriteSession, now: datetime) -> dict[str, int]:
    """Creates missing roles of public entities and of further paths; returns all role ids by lower-case name."""
    existing = {role["Name"].lower(): int(role["Id"]) for role in await session.find(Role)}
    wanted = {entity.roles[verb] for entity in PUBLIC_ENTITIES for verb in ALL_VERBS} | {*ROLES_WITHOUT_ENTITY}
    missing = sorted(name for name in wanted if name.lower() not in existing)
    made = await session.insert(Role, [new_record(Role, {"Name": name}, now) for name in missing])
    return existing | {name.lower(): role_id for name, role_id in zip(missing, made, strict=True)}


async def set_roles(
    session: WriteSession,
    user_id: int,
    business_id: int,
    names: Iterable[str],
    *,
    now: datetime,
    title: str = "Command line",
) -> int:
    """Replaces the user's roles by these, in a new user role of a location; returns its id.

    Role names match without case. Raises ValidationError for a name that does not exist.
    """
    user = await session.get(User, user_id)
    if user is None:
        raise NotFound
    known = await ensure_roles(session, now)
    chosen = {name.strip().lower(): name for name in names}
    for lower, name in chosen.items():
        if lower not in known:
            raise invalid_field("Roles", "there is no such role", name)
    values = {
        "BusinessId": business_id,
        "Name": f"{title}: {user['Email']}",
        "Roles": tuple(sorted(known[lower] for lower in chosen)),
    }
    record = new_record(UserRole, values, now, user["Email"])
    (user_role_id,) = await session.insert(UserRole, [record])
    await session.update(User, [(user_id, {"UserRoles": (user_role_id,)})])
    return user_role_id


async def issue_token(
    session: WriteSession,
    user_id: int,
    secret: str,
    settings: AuthSettings,
    *,
    now: datetime,
) -> TokenResponse:
    """Issues tokens for a user without its password; `secret` is that of `signing_secret`."""
    user = await session.get(User, user_id)
    if user is None:
        raise NotFound
    if await find_credential(session, user_id) is None:
        await save_credential(session, user_id, user["Email"], now)
    credential = await find_credential(session, user_id)
    assert credential is not None
    locked = (await session.lock(Credential, [credential["Id"]]))[credential["Id"]]
    issued = await issue_refresh_token(session, locked, user["Email"], now, settings, SignInMethod.COMMAND)
    access_token = AccessTokens(secret, settings).issue(user_id, issued.session_id, now)
    return TokenResponse(access_token, "bearer", settings.access_seconds, issued.refresh_token)
