"""Users, their roles and tokens as the command line makes them, without a caller to ask."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from creditdesk.auth.credentials import credential_of, keep_credential, login_of
from creditdesk.auth.passwords import Passwords
from creditdesk.auth.records import new_row, only
from creditdesk.auth.refresh import give_refresh
from creditdesk.auth.settings import AuthSettings
from creditdesk.auth.token_responses import Grant
from creditdesk.auth.tokens import AccessTokens
from creditdesk.auth.totp import new_secret
from creditdesk.entities.catalog import SERVED
from creditdesk.entities.enums import eLanguage
from creditdesk.entities.security.credential import Credential
from creditdesk.entities.security.role import Role
from creditdesk.entities.security.user_role import UserRole
from creditdesk.entities.sys.user import User
from creditdesk.schema.entity import ALL_VERBS
from creditdesk.schema.errors import NotFound, invalid
from creditdesk.schema.query import Filter, Test
from creditdesk.schema.repository import Reading, Unit


async def user_with_email(reading: Reading, email: str) -> int | None:
    """The id of the user with this e-mail, compared without case."""
    column = User.shape().columns["Email"]
    found = only(await reading.find(User, [Filter(column, Test.IS, email.strip())], limit=1))
    return int(found["Id"]) if found else None


async def create_user(
    unit: Unit,
    email: str,
    password: str | None,
    full_name: str,
    *,
    is_admin: bool,
    now: datetime,
    businesses: Iterable[int] = (),
    passwords: Passwords | None = None,
) -> int:
    """Adds an active user with API access; an administrator without businesses is unrestricted.

    Raises Invalid for an e-mail that is taken or unusable, or a password of bad length.
    """
    email = email.strip()
    if not login_of(email):
        raise invalid("Email", "must be an e-mail address", email)
    if await user_with_email(unit, email) is not None:
        raise invalid("Email", "is already used by another user", email)
    kept = await (passwords or Passwords(AuthSettings())).hash(password) if password else None
    user = new_row(
        User, now, email, Email=email, FullName=full_name, Active=True, APIAccess=True,
        Validated=True, IsAdmin=is_admin, Businesses=tuple(businesses),
        Language=int(eLanguage.EnglishUS),
    )  # fmt: skip
    (user_id,) = await unit.insert(User, [user])
    await keep_credential(unit, user_id, email, now, password_hash=kept)
    return user_id


async def set_password(
    unit: Unit, user_id: int, password: str, *, now: datetime, passwords: Passwords | None = None
) -> None:
    """Gives a user a new password and ends its tokens."""
    user = await unit.get(User, user_id)
    if user is None:
        raise NotFound
    kept = await (passwords or Passwords(AuthSettings())).hash(password)
    await keep_credential(unit, user_id, user["Email"], now, password_hash=kept)


async def set_two_factor(unit: Unit, user_id: int, *, on: bool, now: datetime) -> str | None:
    """Switches the second factor on, giving its secret in base 32, or off. Ends the tokens."""
    user = await unit.get(User, user_id)
    if user is None:
        raise NotFound
    secret = new_secret() if on else None
    await keep_credential(unit, user_id, user["Email"], now, totp_secret=secret or "")
    await unit.update(User, [(user_id, {"TwoFactorEnabled": on})])
    return secret


async def ensure_roles(unit: Unit, now: datetime) -> dict[str, int]:
    """The id of every role by lower-case name: five for each served entity, made where missing."""
    kept = {role["Name"].lower(): int(role["Id"]) for role in await unit.find(Role)}
    wanted = {entity.roles[verb] for entity in SERVED for verb in ALL_VERBS}
    missing = sorted(name for name in wanted if name.lower() not in kept)
    made = await unit.insert(Role, [new_row(Role, now, Name=name) for name in missing])
    return kept | {name.lower(): role_id for name, role_id in zip(missing, made, strict=True)}


async def set_roles(
    unit: Unit,
    user_id: int,
    business_id: int,
    names: Iterable[str],
    *,
    now: datetime,
    title: str = "Command line",
) -> int:
    """Makes these the user's only roles, in one user role of a location; gives its id.

    Role names match without case. Raises Invalid under Roles for a name that is none.
    """
    user = await unit.get(User, user_id)
    if user is None:
        raise NotFound
    known = await ensure_roles(unit, now)
    chosen = {name.strip().lower(): name for name in names}
    for lower, name in chosen.items():
        if lower not in known:
            raise invalid("Roles", "there is no such role", name)
    row = new_row(
        UserRole, now, user["Email"], BusinessId=business_id, Name=f"{title}: {user['Email']}",
        Roles=tuple(sorted(known[lower] for lower in chosen)),
    )  # fmt: skip
    (user_role_id,) = await unit.insert(UserRole, [row])
    await unit.update(User, [(user_id, {"UserRoles": (user_role_id,)})])
    return user_role_id


async def issue_token(
    unit: Unit,
    user_id: int,
    secret: str,
    settings: AuthSettings,
    *,
    now: datetime,
    client_id: str | None = None,
) -> Grant:
    """Tokens for a user without its password; `secret` is what `tokens.signing_secret` gives."""
    user = await unit.get(User, user_id)
    if user is None:
        raise NotFound
    if await credential_of(unit, user_id) is None:
        await keep_credential(unit, user_id, user["Email"], now)
    credential = await credential_of(unit, user_id)
    assert credential is not None
    locked = (await unit.lock(Credential, [credential["Id"]]))[credential["Id"]]
    refresh_token = await give_refresh(
        unit, locked, client_id or user["Email"], now, settings.refresh_seconds
    )
    access_token = AccessTokens(secret, settings).give(user_id, locked["Version"], now)
    return Grant(access_token, "bearer", settings.access_seconds, refresh_token)
