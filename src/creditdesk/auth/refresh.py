"""Refresh tokens: opaque, kept as hashes, one live per client, rotated at each use.

A token that comes back after its use was stolen, or its thief was first: the whole family ends.
Runs inside a unit and commits nothing.
"""

from __future__ import annotations

import secrets
from datetime import datetime, timedelta
from hashlib import sha256
from uuid import uuid4

from creditdesk.auth.credentials import credential_of
from creditdesk.auth.rows import new_row, only
from creditdesk.entities.security.credential import Credential
from creditdesk.entities.security.refresh_token import RefreshToken
from creditdesk.entities.sys.user import User
from creditdesk.schema.entity import Record
from creditdesk.schema.kinds import fold
from creditdesk.schema.listing import Filter, Test
from creditdesk.schema.store import Reading, Unit

_TOKEN_BYTES = 32


async def give_refresh(
    unit: Unit, credential: Record, client_id: str, now: datetime, seconds: int
) -> str:
    """A new token for a client after a sign-in; earlier ones of that client end.

    The credential must be locked, so that two sign-ins of one client do not both stay alive.
    """
    rows = await _of_user(unit, credential["UserId"])
    past = [row["Id"] for row in rows if row["ExpireDate"] <= now]
    if past:
        await unit.delete(RefreshToken, past)
    same = [r for r in rows if r["ExpireDate"] > now and fold(r["ClientId"]) == fold(client_id)]
    await _revoke(unit, same, now)
    return await _insert(unit, credential, client_id, str(uuid4()), now, seconds)


async def rotate_refresh(
    unit: Unit, token: str, client_id: str | None, now: datetime, seconds: int
) -> tuple[int, int, str] | None:
    """Uses a token up: its user's id, the credential's version and the next token.

    None when it is not valid for this client; a replay has then revoked its family, which the
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
        await _revoke(unit, await unit.find(RefreshToken, [_is("Family", kept["Family"])]), now)
        return None
    if not await _may_use(unit, kept, credential, client_id, now):
        return None
    await unit.update(RefreshToken, [(kept["Id"], {"UsedOn": now, "UpdatedOn": now})])
    following = await _insert(unit, credential, kept["ClientId"], kept["Family"], now, seconds)
    return kept["UserId"], credential["Version"], following


async def _may_use(
    unit: Unit, kept: Record, credential: Record, client_id: str | None, now: datetime
) -> bool:
    if kept["RevokedOn"] is not None or kept["ExpireDate"] <= now:
        return False
    if kept["Version"] != credential["Version"]:
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


async def _revoke(unit: Unit, rows: list[Record], now: datetime) -> None:
    live = [row["Id"] for row in rows if row["RevokedOn"] is None]
    if live:
        await unit.update(RefreshToken, [(i, {"RevokedOn": now, "UpdatedOn": now}) for i in live])


async def _of_user(reading: Reading, user_id: int) -> list[Record]:
    return await reading.find(RefreshToken, [_is("UserId", user_id)])


def _is(name: str, value: object) -> Filter:
    return Filter(RefreshToken.shape().columns[name], Test.IS, value)


def _hash(token: str) -> str:
    return sha256(token.encode(errors="replace")).hexdigest()
