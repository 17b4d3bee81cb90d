"""Refresh tokens: opaque, stored as hashes, one valid per client, rotated at each use.

A used token is kept until it expires: when it is used again, it or its successor was stolen, and the
whole family is deleted.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta
from hashlib import sha256
from uuid import uuid4

from creditdesk.auth.credentials import find_credential
from creditdesk.auth.records import first_or_none
from creditdesk.entities.security.credential import Credential
from creditdesk.entities.security.refresh_token import RefreshToken
from creditdesk.entities.sys.user import User
from creditdesk.schema.conversions import fold_case
from creditdesk.schema.entity import Record
from creditdesk.schema.query import Comparison, Filter
from creditdesk.schema.records import new_record, update_stamp
from creditdesk.schema.repository import WriteSession

_TOKEN_BYTES = 32
_DELETE_BATCH_SIZE = 100


async def issue_refresh_token(
    session: WriteSession, credential: Record, client_id: str, now: datetime, seconds: int
) -> str:
    """Issues a token for a client after a sign-in; deletes earlier ones of that client.

    The credential must be locked, so that two sign-ins of a client leave one valid token.
    """
    user_id = credential["UserId"]
    await _delete(session, [_equals("UserId", user_id), _equals("ClientId", client_id)])
    await _delete_expired(session, user_id, now)
    return await _insert(session, credential, client_id, str(uuid4()), now, seconds)


async def rotate_refresh_token(
    session: WriteSession, token: str, client_id: str | None, now: datetime, seconds: int
) -> tuple[int, int, str] | None:
    """Exchanges a token for the next one; returns the user's id, credential version and new token.

    Returns None for a token that is not valid for this client. A replay also deletes the family,
    which the caller must commit. The client id defaults to the user's e-mail.
    """
    found = first_or_none(await session.find(RefreshToken, [_equals("TokenHash", _hash(token))], limit=1))
    credential = await find_credential(session, found["UserId"]) if found else None
    if found is None or credential is None:
        return None
    # Always lock the credential before the token; both may have changed before they were locked.
    credential = (await session.lock(Credential, [credential["Id"]]))[credential["Id"]]
    stored = (await session.lock(RefreshToken, [found["Id"]])).get(found["Id"])
    if stored is None:
        return None
    if stored["UsedOn"] is not None:
        await _delete(session, [_equals("Family", stored["Family"])])
        return None
    if not await _is_usable(session, stored, credential, client_id, now):
        return None
    await session.update(RefreshToken, [(stored["Id"], {"UsedOn": now, **update_stamp(now, None)})])
    await _delete_expired(session, stored["UserId"], now)
    next_token = await _insert(session, credential, stored["ClientId"], stored["Family"], now, seconds)
    return stored["UserId"], credential["Version"], next_token


async def _is_usable(
    session: WriteSession, stored: Record, credential: Record, client_id: str | None, now: datetime
) -> bool:
    if stored["ExpireDate"] <= now or stored["Version"] != credential["Version"]:
        return False
    if client_id is None:
        user = await session.get(User, stored["UserId"])
        client_id = str(user["Email"]) if user else ""
    return fold_case(client_id.strip()) == fold_case(stored["ClientId"])


async def _insert(
    session: WriteSession,
    credential: Record,
    client_id: str,
    family: str,
    now: datetime,
    seconds: int,
) -> str:
    token = secrets.token_urlsafe(_TOKEN_BYTES)
    values = {
        "UserId": credential["UserId"],
        "TokenHash": _hash(token),
        "ClientId": client_id,
        "Family": family,
        "Version": credential["Version"],
        "ExpireDate": now + timedelta(seconds=seconds),
    }
    await session.insert(RefreshToken, [new_record(RefreshToken, values, now)])
    return token


async def _delete(session: WriteSession, filters: Sequence[Filter], limit: int | None = None) -> None:
    rows = await session.find(RefreshToken, filters, limit=limit)
    if rows:
        await session.delete(RefreshToken, [row["Id"] for row in rows])


async def _delete_expired(session: WriteSession, user_id: int, now: datetime) -> None:
    past = Filter(RefreshToken.meta().columns["ExpireDate"], Comparison.AT_MOST, now)
    await _delete(session, [_equals("UserId", user_id), past], _DELETE_BATCH_SIZE)


def _equals(name: str, value: object) -> Filter:
    return Filter(RefreshToken.meta().columns[name], Comparison.EQUALS, value)


def _hash(token: str) -> str:
    return sha256(token.encode(errors="replace")).hexdigest()
