"""Refresh tokens: opaque, kept as hashes, one live per client, rotated at each use.

A used token is kept until it expires, to know it again: if it comes back it was stolen, or its
thief was first, and the whole family is removed. A token that is not there is not valid.
Runs inside a unit and commits nothing.
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
from creditdesk.schema.records import new_record
from creditdesk.schema.repository import WriteSession

_TOKEN_BYTES = 32
_DELETE_BATCH_SIZE = 100


async def issue_refresh_token(
    session: WriteSession, credential: Record, client_id: str, now: datetime, seconds: int
) -> str:
    """A new token for a client after a sign-in; earlier ones of that client end.

    The credential must be locked, so that two sign-ins of one client do not both stay alive.
    """
    user_id = credential["UserId"]
    await _delete(session, [_equals("UserId", user_id), _equals("ClientId", client_id)])
    await _delete_expired(session, user_id, now)
    return await _insert(session, credential, client_id, str(uuid4()), now, seconds)


async def rotate_refresh_token(
    session: WriteSession, token: str, client_id: str | None, now: datetime, seconds: int
) -> tuple[int, int, str] | None:
    """Uses a token up: its user's id, the credential's version and the next token.

    None when it is not valid for this client; a replay has then removed its family, which the
    unit must commit. Without a client id the user's e-mail stands for it.
    """
    found = first_or_none(
        await session.find(RefreshToken, [_equals("TokenHash", _hash(token))], limit=1)
    )
    credential = await find_credential(session, found["UserId"]) if found else None
    if found is None or credential is None:
        return None
    # One order of locks everywhere, credential before token; both are read again once held.
    credential = (await session.lock(Credential, [credential["Id"]]))[credential["Id"]]
    stored = (await session.lock(RefreshToken, [found["Id"]])).get(found["Id"])
    if stored is None:
        return None
    if stored["UsedOn"] is not None:
        await _delete(session, [_equals("Family", stored["Family"])])
        return None
    if not await _is_usable(session, stored, credential, client_id, now):
        return None
    await session.update(RefreshToken, [(stored["Id"], {"UsedOn": now, "UpdatedOn": now})])
    await _delete_expired(session, stored["UserId"], now)
    next_token = await _insert(
        session, credential, stored["ClientId"], stored["Family"], now, seconds
    )
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


async def _delete(
    session: WriteSession, filters: Sequence[Filter], limit: int | None = None
) -> None:
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
