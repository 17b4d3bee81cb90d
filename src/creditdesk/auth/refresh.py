"""Refresh tokens: opaque, stored as hashes, one valid per client, rotated at each use.

A used token is kept until it expires: when it is used again, it or its successor was stolen, and the
session ends.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from creditdesk.auth.audit_trail import AuditAction, record_user_event
from creditdesk.auth.credentials import find_credential
from creditdesk.auth.origin import NO_ORIGIN, RequestOrigin
from creditdesk.auth.sessions import (
    EndReason,
    SignInMethod,
    end_sessions,
    find_session_of_family,
    hash_token,
    open_session,
)
from creditdesk.entities.security.credential import Credential
from creditdesk.entities.security.refresh_token import RefreshToken
from creditdesk.entities.security.user_session import UserSession
from creditdesk.entities.sys.user import User
from creditdesk.schema.conversions import fold_compatible
from creditdesk.schema.entity import Record
from creditdesk.schema.query import Comparison, Filter, where
from creditdesk.schema.records import new_record, update_stamp
from creditdesk.schema.repository import ReadSession, WriteSession, delete_matching, find_first
from creditdesk.settings import AuthSettings

_TOKEN_BYTES = 32
_DELETE_BATCH_SIZE = 100


@dataclass(frozen=True, slots=True)
class _Client:
    """The program that signed a user in. `is_optional`: a refresh need not name it."""

    id: str
    is_optional: bool


@dataclass(frozen=True, slots=True)
class IssuedToken:
    """A new refresh token, its session and user."""

    user_id: int
    session_id: int
    refresh_token: str


async def issue_refresh_token(  # noqa: PLR0913 - what `open_session` takes
    session: WriteSession,
    credential: Record,
    client_id: str,
    now: datetime,
    settings: AuthSettings,
    method: SignInMethod,
    origin: RequestOrigin = NO_ORIGIN,
    *,
    family: str = "",
    customer_id: int | None = None,
) -> IssuedToken:
    """Opens a session of a client (see `open_session`) and issues its first token.

    Deletes earlier tokens of that client. The credential must be locked, so that two sign-ins of a
    client leave one valid token. Earlier sessions of the client last as long as their access tokens.
    """
    user_id = credential["UserId"]
    earlier = await session.find(RefreshToken, where(RefreshToken, UserId=user_id, ClientId=client_id))
    await _supersede(session, earlier, now + timedelta(seconds=settings.access_seconds))
    await _delete_expired(session, user_id, now)
    expires = now + timedelta(seconds=settings.refresh_seconds)
    opened = await open_session(
        session, user_id, client_id, method, now, expires, origin, family=family, customer_id=customer_id
    )
    client = _Client(client_id, origin.has_client_credentials)
    token = await _insert(session, credential, client, opened["UniqueId"], now, expires)
    return IssuedToken(user_id, opened["Id"], token)


async def rotate_refresh_token(
    session: WriteSession,
    token: str,
    client_id: str | None,
    now: datetime,
    settings: AuthSettings,
    origin: RequestOrigin = NO_ORIGIN,
) -> IssuedToken | None:
    """Exchanges a token for the next one of its session.

    Returns None for a token that is not valid for this client. A replay also ends the session, which
    the caller must commit. The client id may be left out where the client signed the user in with
    credentials of its own; else it defaults to the user's e-mail.
    """
    found = await find_first(session, RefreshToken, where(RefreshToken, TokenHash=hash_token(token)))
    credential = await find_credential(session, found["UserId"]) if found else None
    if found is None or credential is None:
        return None
    # Always lock the credential before the token; both may have changed before they were locked.
    credential = (await session.lock(Credential, [credential["Id"]]))[credential["Id"]]
    stored = (await session.lock(RefreshToken, [found["Id"]])).get(found["Id"])
    if stored is None:
        return None
    opened = await find_session_of_family(session, stored["Family"])
    if stored["UsedOn"] is not None:
        await end_sessions(session, [opened] if opened else [], EndReason.REPLAYED, now)
        await delete_matching(session, RefreshToken, where(RefreshToken, Family=stored["Family"]))
        details = {"SessionId": opened["Id"] if opened else None, "ClientId": stored["ClientId"]}
        await record_user_event(session, AuditAction.TOKEN_REPLAYED, stored["UserId"], now, origin, details)
        return None
    if not await _is_usable(session, stored, credential, client_id, now):
        return None
    await session.update(RefreshToken, [(stored["Id"], {"UsedOn": now, **update_stamp(now, None)})])
    await _delete_expired(session, stored["UserId"], now)
    expires = now + timedelta(seconds=settings.refresh_seconds)
    if opened is None:
        opened = await open_session(
            session, stored["UserId"], stored["ClientId"], SignInMethod.EARLIER_VERSION, now, expires,
            family=stored["Family"],
        )  # fmt: skip
    else:
        change = {"LastUsedOn": now, "ExpireDate": expires, **update_stamp(now, None)}
        await session.update(UserSession, [(opened["Id"], change)])
    client = _Client(stored["ClientId"], bool(stored["ClientOptional"]))
    next_token = await _insert(session, credential, client, stored["Family"], now, expires)
    return IssuedToken(stored["UserId"], opened["Id"], next_token)


async def find_session_of_token(session: ReadSession, token: str) -> Record | None:
    """The session of a refresh token, used or not."""
    found = await find_first(session, RefreshToken, where(RefreshToken, TokenHash=hash_token(token)))
    return await find_session_of_family(session, found["Family"]) if found else None


async def _supersede(session: WriteSession, tokens: Sequence[Record], expires: datetime) -> None:
    """Deletes tokens that a new sign-in replaces; their sessions end with their access tokens."""
    if not tokens:
        return
    families = {token["Family"] for token in tokens}
    opened = await session.find(UserSession, where(UserSession, UniqueId=families))
    shortened = [each["Id"] for each in opened if each["ExpireDate"] > expires]
    if shortened:
        await session.update(UserSession, [(session_id, {"ExpireDate": expires}) for session_id in shortened])
    await session.delete(RefreshToken, [token["Id"] for token in tokens])


async def _is_usable(
    session: WriteSession, stored: Record, credential: Record, client_id: str | None, now: datetime
) -> bool:
    if stored["ExpireDate"] <= now or stored["Version"] != credential["Version"]:
        return False
    if client_id is None:
        if stored["ClientOptional"]:
            return True
        user = await session.get(User, stored["UserId"])
        client_id = str(user["Email"]) if user else ""
    return fold_compatible(client_id) == fold_compatible(stored["ClientId"])


async def _insert(
    session: WriteSession,
    credential: Record,
    client: _Client,
    family: str,
    now: datetime,
    expires: datetime,
) -> str:
    token = secrets.token_urlsafe(_TOKEN_BYTES)
    values = {
        "UserId": credential["UserId"],
        "TokenHash": hash_token(token),
        "ClientId": client.id,
        "ClientOptional": client.is_optional,
        "Family": family,
        "Version": credential["Version"],
        "ExpireDate": expires,
    }
    await session.insert(RefreshToken, [new_record(RefreshToken, values, now)])
    return token


async def _delete_expired(session: WriteSession, user_id: int, now: datetime) -> None:
    past = Filter(RefreshToken.meta().columns["ExpireDate"], Comparison.AT_MOST, now)
    await delete_matching(session, RefreshToken, (*where(RefreshToken, UserId=user_id), past), _DELETE_BATCH_SIZE)
