"""Access tokens: signed JWTs that name a user and its session.

Verified tokens are cached. The authenticator checks that the session is open.
"""

from __future__ import annotations

import secrets
from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from creditdesk.auth.encryption import SecretCipher
from creditdesk.auth.signed_tokens import TokenSigner, parse_id
from creditdesk.entities.security.signing_key import SigningKey
from creditdesk.schema.errors import Conflict
from creditdesk.schema.query import where
from creditdesk.schema.records import new_record
from creditdesk.schema.repository import Store, find_first
from creditdesk.settings import AuthSettings

MAX_CACHED_TOKENS: Final = 10_000
_KEY_NAME: Final = "access tokens"


@dataclass(frozen=True, slots=True)
class Claims:
    """The claims of a token: its user and session, and its expiry in Unix seconds."""

    user_id: int
    session_id: int
    expires_at: int


class AccessTokens:
    """Issues and verifies tokens with one key."""

    def __init__(self, secret: str, settings: AuthSettings) -> None:
        self._signer = TokenSigner(secret, "access token")
        self._seconds = settings.access_seconds
        self._verified: OrderedDict[str, Claims] = OrderedDict()

    def issue(self, user_id: int, session_id: int, now: datetime, seconds: int | None = None) -> str:
        """A token of a session; it lasts as long as the settings say, unless `seconds` are given."""
        issued = int(now.timestamp())
        claims = {
            "sub": str(user_id),
            "sid": session_id,
            "iat": issued,
            "exp": issued + (self._seconds if seconds is None else seconds),
            "jti": secrets.token_hex(8),
        }
        return self._signer.sign(claims)

    def parse(self, token: str, now: datetime) -> Claims | None:
        """The claims of a token; None if its signature is wrong or it has expired."""
        claims = self._verified.get(token)
        if claims is None:
            claims = self._verify(token)
            if claims is None:
                return None
            self._verified[token] = claims
            if len(self._verified) > MAX_CACHED_TOKENS:
                self._verified.popitem(last=False)
        return claims if now.timestamp() < claims.expires_at else None

    def cached(self, token: str, now: datetime) -> Claims | None:
        """The claims of a cached token; None for any other."""
        claims = self._verified.get(token)
        return claims if claims is not None and now.timestamp() < claims.expires_at else None

    def _verify(self, token: str) -> Claims | None:
        return self._signer.read(
            token,
            ("sub", "sid", "exp"),
            lambda payload: Claims(parse_id(payload["sub"]), parse_id(payload["sid"]), int(payload["exp"])),
        )


async def signing_secret(store: Store, settings: AuthSettings, now: datetime) -> str:
    """The secret in the settings, else the one in the database, which is created if there is none."""
    if settings.signing_key:
        return settings.signing_key
    cipher = SecretCipher(settings.encryption_key)
    stored = await _stored_secret(store)
    if stored is None:
        try:
            async with store.write_session() as session:
                stored = cipher.encrypt(secrets.token_urlsafe(48))
                values = {"Name": _KEY_NAME, "Secret": stored}
                await session.insert(SigningKey, [new_record(SigningKey, values, now)])
        except Conflict:
            # Another worker inserted the unique name first.
            if (stored := await _stored_secret(store)) is None:
                raise
    return cipher.decrypt(stored)


async def _stored_secret(store: Store) -> str | None:
    async with store.read_session() as session:
        found = await find_first(session, SigningKey, where(SigningKey, Name=_KEY_NAME))
    return str(found["Secret"]) if found else None
