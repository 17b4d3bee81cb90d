"""The credential of a user: found, made, changed and revoked inside a unit of work.

Knows hashes, never passwords. Every change raises the version, which ends all tokens given before.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from creditdesk.auth.records import new_row, only
from creditdesk.entities.security.credential import Credential
from creditdesk.entities.security.refresh_token import RefreshToken
from creditdesk.schema.entity import Record
from creditdesk.schema.fields import fold
from creditdesk.schema.query import Filter, Test
from creditdesk.schema.repository import Reading, Unit

LONGEST_LOGIN: Final = 320


def login_of(email: str) -> str:
    """An e-mail as sign-ins compare it: without case or spaces around it; empty, which is
    nobody's, for what no e-mail can be.
    """
    login = fold(email.strip())
    return login if len(login) <= LONGEST_LOGIN and login.isprintable() else ""


async def credential_of(reading: Reading, user_id: int) -> Record | None:
    """The credential of a user, if any."""
    column = Credential.shape().columns["UserId"]
    return only(await reading.find(Credential, [Filter(column, Test.IS, user_id)], limit=1))


async def credential_for(reading: Reading, login: str) -> Record | None:
    """The credential that signs in under this login, if any."""
    if not login:
        return None
    column = Credential.shape().columns["Login"]
    return only(await reading.find(Credential, [Filter(column, Test.IS, login)], limit=1))


async def keep_credential(
    unit: Unit,
    user_id: int,
    email: str,
    now: datetime,
    *,
    password_hash: str | None = None,
    totp_secret: str | None = None,
) -> None:
    """Makes or changes a user's credential; a secret that is None stays as it is.

    An empty `totp_secret` switches the second factor off. Unchanged values change nothing, so
    tokens live on.
    """
    kept = await credential_of(unit, user_id)
    if kept is None:
        row = new_row(
            Credential, now, UserId=user_id, Login=login_of(email),
            PasswordHash=password_hash, TotpSecret=totp_secret or None,
        )  # fmt: skip
        await unit.insert(Credential, [row])
        return
    locked = (await unit.lock(Credential, [kept["Id"]]))[kept["Id"]]
    changes: dict[str, Any] = {}
    if locked["Login"] != login_of(email):
        changes["Login"] = login_of(email)
    if password_hash is not None:
        changes["PasswordHash"] = password_hash
    if totp_secret is not None and (totp_secret or None) != locked["TotpSecret"]:
        changes |= {"TotpSecret": totp_secret or None, "LastStep": 0}
    if changes:
        changes |= {"Version": locked["Version"] + 1, "UpdatedOn": now}
        await unit.update(Credential, [(kept["Id"], changes)])


async def revoke_tokens(unit: Unit, user_id: int, now: datetime) -> None:
    """Ends every access and refresh token of a user."""
    kept = await credential_of(unit, user_id)
    if kept is not None:
        locked = (await unit.lock(Credential, [kept["Id"]]))[kept["Id"]]
        changes = {"Version": locked["Version"] + 1, "UpdatedOn": now}
        await unit.update(Credential, [(kept["Id"], changes)])


async def drop_credential(unit: Unit, user_id: int) -> None:
    """Removes what a user signs in with, before the user itself is removed."""
    for entity in (RefreshToken, Credential):
        column = entity.shape().columns["UserId"]
        rows = await unit.find(entity, [Filter(column, Test.IS, user_id)])
        if rows:
            await unit.delete(entity, [row["Id"] for row in rows])
