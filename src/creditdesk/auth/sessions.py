"""Sessions of users: opened by a sign-in, ended by log-out, a stolen token or a new password.

The tokens of an ended session are void at once, in every process: `EndedOn` is a cached field.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from hashlib import sha256
from typing import Final

from creditdesk.auth.origin import NO_ORIGIN, RequestOrigin
from creditdesk.entities.security.refresh_token import RefreshToken
from creditdesk.entities.security.user_session import UserSession
from creditdesk.schema.entity import Record
from creditdesk.schema.query import Comparison, Filter, where
from creditdesk.schema.records import new_record, update_stamp
from creditdesk.schema.repository import ReadSession, WriteSession, delete_matching, find_first

MAX_USER_AGENT_LENGTH: Final = 200
MIN_DEVICE_SECRET_LENGTH: Final = 16


class SignInMethod(StrEnum):
    """How the user of a session proved who it is."""

    PASSWORD = "password"  # noqa: S105 - the name of a method
    COMMAND = "command line"
    LINK = "sign-in link"
    FRAME = "frame link"
    API_TOKEN = "API token"  # noqa: S105 - the name of a method
    EARLIER_VERSION = "earlier version"


class EndReason(StrEnum):
    """Why a session ended before it expired."""

    SIGNED_OUT = "signed out"
    REPLAYED = "refresh token used twice"
    CREDENTIAL = "password or second factor changed"
    DEACTIVATED = "user deactivated"
    BY_OTHER = "ended by another user"
    BY_COMMAND = "ended by a command"


async def open_session(  # noqa: PLR0913 - one property of a session each
    session: WriteSession,
    user_id: int,
    client_id: str,
    method: SignInMethod,
    now: datetime,
    expires: datetime,
    origin: RequestOrigin = NO_ORIGIN,
    *,
    family: str = "",
    customer_id: int | None = None,
) -> Record:
    """Inserts a session and returns it; `family` is the UniqueId it gets, else a new one.

    With `customer_id` it is limited to the records of this customer.
    """
    values = {
        "UserId": user_id,
        "CoworkerId": customer_id,
        "ClientId": client_id,
        "Method": method.value,
        "Address": origin.address,
        "UserAgent": (origin.user_agent or "")[:MAX_USER_AGENT_LENGTH] or None,
        "DeviceHash": _device_hash(origin),
        "LastUsedOn": now,
        "ExpireDate": expires,
        "UniqueId": family,
    }
    opened = new_record(UserSession, values, now)
    [opened["Id"]] = await session.insert(UserSession, [opened])
    return opened


async def find_session(session: ReadSession, session_id: int) -> Record | None:
    """The session with this Id, ended or not."""
    return await find_first(session, UserSession, where(UserSession, Id=session_id))


async def find_session_of_family(session: ReadSession, family: str) -> Record | None:
    """The session of a family of refresh tokens."""
    return await find_first(session, UserSession, where(UserSession, UniqueId=family))


async def known_client(session: ReadSession, user_id: int, origin: RequestOrigin, now: datetime) -> str | None:
    """A name of the client if the user has signed in with it before, else None."""
    if device := _device_hash(origin):
        sessions = await session.find(UserSession, where(UserSession, UserId=user_id, DeviceHash=device))
        if any(each["EndReason"] != EndReason.REPLAYED for each in sessions):
            return f"device {device}"
    if origin.refresh_token:
        digest = hash_token(origin.refresh_token)
        token = await find_first(session, RefreshToken, where(RefreshToken, TokenHash=digest))
        if token and token["UserId"] == user_id and token["UsedOn"] is None and token["ExpireDate"] > now:
            return f"session {token['Family']}"
    return None


def hash_token(token: str) -> str:
    """The hash of an opaque token, which is all that the database stores of it."""
    return sha256(token.encode(errors="replace")).hexdigest()


def _device_hash(origin: RequestOrigin) -> str | None:
    """The hash of a device secret; None if it is too short."""
    secret = origin.device_secret or ""
    return hash_token(f"device:{secret}") if len(secret) >= MIN_DEVICE_SECRET_LENGTH else None


async def end_sessions(
    session: WriteSession, sessions: Sequence[Record], reason: EndReason, now: datetime
) -> list[Record]:
    """Ends the open ones of these sessions and deletes their refresh tokens; returns the sessions that it ended."""
    ended = [each for each in sessions if each["EndedOn"] is None]
    if ended:
        change = {"EndedOn": now, "EndReason": reason.value, **update_stamp(now, None)}
        await session.update(UserSession, [(each["Id"], change) for each in ended])
        families = {each["UniqueId"] for each in ended}
        await delete_matching(session, RefreshToken, where(RefreshToken, Family=families))
    return ended


async def sessions_of(session: ReadSession, user_id: int) -> list[Record]:
    """Every session of a user, ended ones included, by Id."""
    return await session.find(UserSession, where(UserSession, UserId=user_id))


async def open_sessions(session: ReadSession, user_id: int) -> list[Record]:
    """The user's sessions that have not been ended."""
    ended = Filter(UserSession.meta().columns["EndedOn"], Comparison.NULL)
    return await session.find(UserSession, (*where(UserSession, UserId=user_id), ended))


async def end_sessions_of(
    session: WriteSession, user_id: int, reason: EndReason, now: datetime, *, keep: int | None = None
) -> list[Record]:
    """Ends every session of a user but the one to `keep`; returns the sessions it ended."""
    opened = [each for each in await open_sessions(session, user_id) if each["Id"] != keep]
    return await end_sessions(session, opened, reason, now)


async def delete_sessions_of(session: WriteSession, user_id: int) -> None:
    """Deletes every session of a user that is about to be deleted."""
    await delete_matching(session, UserSession, where(UserSession, UserId=user_id))
