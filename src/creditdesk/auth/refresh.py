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

from creditdesk.auth.credentials import credential_of
from creditdesk.auth.records import new_row, only
from creditdesk.entities.security.credential import Credential
from creditdesk.entities.security.refresh_token import RefreshToken
from creditdesk.entities.sys.user import User
from creditdesk.schema.entity import Record
from creditdesk.schema.fields import fold
from creditdesk.schema.query import Filter, Test
from creditdesk.schema.repository import Unit

_TOKEN_BYTES = 32
_REMOVED_AT_ONCE = 100


async def give_refresh(
    unit: Unit, credential: Record, client_id: str, now: datetime, seconds: int
) -> str:
    """A new token for a client after a sign-in; earlier ones of that client end.

    The credential must be locked, so that two sign-ins of one client do not both stay alive.
    """
    user_id = credential["UserId"]
    await _remove(unit, [_is("UserId", user_id), _is("ClientId", client_id)])
    await _remove_expired(unit, user_id, now)
    return await _insert(unit, credential, client_id, str(uuid4()), now, seconds)


async def rotate_refresh(
    unit: Unit, token: str, client_id: str | None, now: datetime, seconds: int
) -> tuple[int, int, str] | None:
    """Uses a token up: its user's id, the credential's version and the next token.

    None when it is not valid for this client; a replay has then removed its family, which the
    unit must commit. Without a client id the user's e-mail stands for it.
    """
    found = only(await unit.find(RefreshToken, [_is("TokenHash", _hash(token))], limit=1))
    credential = await credential_of(unit, found["UserId"]) if found else None
    if found is None or credential is None:
        return None
    # One order of locks everywhere, credential before token; both are read again once held.
    credential = (await unit.lock(Credential, [credential["Id"]]))[credential["Id"]]
    kept = (await unit.lock(RefreshToken, [found["Id"]])).get(found["Id"])
    if kept is None:
        return None
    if kept["UsedOn"] is not None:
        await _remove(unit, [_is("Family", kept["Family"])])
        return None
    if not await _may_use(unit, kept, credential, client_id, now):
        return None
    await unit.update(RefreshToken, [(kept["Id"], {"UsedOn": now, "UpdatedOn": now})])
    await _remove_expired(unit, kept["UserId"], now)
    following = await _insert(unit, credential, kept["ClientId"], kept["Family"], now, seconds)
    return kept["UserId"], credential["Version"], following


async def _may_use(
    unit: Unit, kept: Record, credential: Record, client_id: str | None, now: datetime
) -> bool:
    if kept["ExpireDate"] <= now or kept["Version"] != credential["Version"]:
        return False
    if client_id is None:
        user = await unit.get(User, kept["UserId"])
        client_id = str(user["Email"]) if user else ""
    return fold(client_id.strip()) == fold(kept["ClientId"])


async def _insert(
    unit: Unit, credential: Record, client_id: str, family: str, now: datetime, seconds: int
) -> str:
    token = secrets.token_urlsafe(_TOKEN_BYTES)
    row = new_row(
        RefreshToken, now, UserId=credential["UserId"], TokenHash=_hash(token), ClientId=client_id,
        Family=family, Version=credential["Version"], ExpireDate=now + timedelta(seconds=seconds),
    )  # fmt: skip
    await unit.insert(RefreshToken, [row])
    return token


async def _remove(unit: Unit, filters: Sequence[Filter], limit: int | None = None) -> None:
    rows = await unit.find(RefreshToken, filters, limit=limit)
    if rows:
        await unit.delete(RefreshToken, [row["Id"] for row in rows])


async def _remove_expired(unit: Unit, user_id: int, now: datetime) -> None:
    past = Filter(RefreshToken.shape().columns["ExpireDate"], Test.AT_MOST, now)
    await _remove(unit, [_is("UserId", user_id), past], _REMOVED_AT_ONCE)


def _is(name: str, value: object) -> Filter:
    return Filter(RefreshToken.shape().columns[name], Test.IS, value)


def _hash(token: str) -> str:
    return sha256(token.encode(errors="replace")).hexdigest()
