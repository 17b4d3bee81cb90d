"""Credentials of users: finding, saving and revoking them.

Every change raises the credential's version and ends the user's sessions.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from creditdesk.auth.encryption import NO_CIPHER, SecretCipher
from creditdesk.auth.sessions import EndReason, delete_sessions_of, end_sessions_of
from creditdesk.entities.security.credential import Credential
from creditdesk.entities.security.refresh_token import RefreshToken
from creditdesk.entities.sys.user import User
from creditdesk.schema.conversions import fold_compatible
from creditdesk.schema.entity import Record
from creditdesk.schema.query import where
from creditdesk.schema.records import new_record, update_stamp
from creditdesk.schema.repository import ReadSession, WriteSession, delete_matching, find_first

MAX_LOGIN_LENGTH: Final = 320


def normalize_login(email: str) -> str:
    """The e-mail as sign-ins compare it: case-folded, in Unicode's form NFKC, without surrounding spaces.

    Returns an empty text, which matches no user, for text that cannot be an e-mail.
    """
    login = fold_compatible(email)
    return login if len(login) <= MAX_LOGIN_LENGTH and login.isprintable() else ""


async def find_credential(session: ReadSession, user_id: int) -> Record | None:
    """The credential of a user, or None."""
    return await find_first(session, Credential, where(Credential, UserId=user_id))


async def find_credential_by_login(session: ReadSession, login: str) -> Record | None:
    """The credential with this login, or None."""
    if not login:
        return None
    return await find_first(session, Credential, where(Credential, Login=login))


async def find_user_id(session: ReadSession, email: str) -> int | None:
    """The id of the user with this e-mail, as sign-ins compare it; None without one.

    An imported user has no credential and is found only by its e-mail.
    """
    credential = await find_credential_by_login(session, normalize_login(email))
    if credential is not None:
        return int(credential["UserId"])
    found = await find_first(session, User, where(User, Email=email.strip()))
    return int(found["Id"]) if found else None


async def save_credential(
    session: WriteSession,
    user_id: int,
    email: str,
    now: datetime,
    *,
    password_hash: str | None = None,
    totp_secret: str | None = None,
    cipher: SecretCipher = NO_CIPHER,
    keep_session: int | None = None,
) -> None:
    """Creates or updates a user's credential.

    None keeps a secret; an empty `totp_secret` turns the second factor off. Saving unchanged values revokes nothing.
    The session `keep_session` stays open with its access token.
    """
    stored = await find_credential(session, user_id)
    encrypted = cipher.encrypt(totp_secret) if totp_secret else None
    if stored is None:
        values = {
            "UserId": user_id,
            "Login": normalize_login(email),
            "PasswordHash": password_hash,
            "TotpSecret": encrypted,
        }
        await session.insert(Credential, [new_record(Credential, values, now)])
        return
    locked = (await session.lock(Credential, [stored["Id"]]))[stored["Id"]]
    changes: dict[str, Any] = {}
    if locked["Login"] != normalize_login(email):
        changes["Login"] = normalize_login(email)
    if password_hash is not None:
        changes["PasswordHash"] = password_hash
    if totp_secret is not None and totp_secret != cipher.decrypt(locked["TotpSecret"] or ""):
        changes |= {"TotpSecret": encrypted, "LastStep": 0}
    if changes:
        changes |= {"Version": locked["Version"] + 1, **update_stamp(now, None)}
        await session.update(Credential, [(stored["Id"], changes)])
        await end_sessions_of(session, user_id, EndReason.CREDENTIAL, now, keep=keep_session)


async def delete_credential(session: WriteSession, user_id: int) -> None:
    """Deletes the credential, sessions and refresh tokens of a user that is about to be deleted."""
    await delete_sessions_of(session, user_id)
    for entity in (RefreshToken, Credential):
        await delete_matching(session, entity, where(entity, UserId=user_id))
