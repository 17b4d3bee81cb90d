"""Credentials in, a caller or a grant out: Bearer and Basic on every call, and the token grants.

What is known of a user is read again at most every `revocation_seconds`, so a change made by one
worker is honoured by all within that time. Knows nothing of routes, bodies or answers.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import secrets
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from creditdesk.auth.credentials import revoke_tokens
from creditdesk.auth.passwords import Passwords
from creditdesk.auth.principal import Standing, standing_of
from creditdesk.auth.refresh import rotate_refresh
from creditdesk.auth.settings import AuthSettings
from creditdesk.auth.sign_in import SignIn
from creditdesk.auth.token_responses import (
    Grant,
    GrantRefused,
    no_access,
    unknown_grant,
    wrong_refresh,
)
from creditdesk.auth.tokens import AccessTokens, signing_secret
from creditdesk.schema.errors import NotSignedIn
from creditdesk.schema.repository import Store
from creditdesk.schema.service import Caller

LARGEST_CACHE: Final = 10_000
LONGEST_CLIENT_ID: Final = 320
_SENTENCE: Final = "Sign in with a valid token, or with e-mail and password"


@dataclass(frozen=True, slots=True)
class _Known:
    """A Basic header that was verified: whose, of which version, and until when it is believed."""

    user_id: int
    version: int
    until: float


class Authenticator:
    """Who calls, and what a token request gets, over one store."""

    def __init__(
        self, store: Store, settings: AuthSettings, passwords: Passwords | None = None
    ) -> None:
        self._store = store
        self._settings = settings
        self._sign_in = SignIn(store, settings, passwords or Passwords(settings))
        self._access: AccessTokens | None = None
        self._standings: OrderedDict[int, tuple[float, Standing | None]] = OrderedDict()
        self._basic: OrderedDict[bytes, _Known] = OrderedDict()
        self._basic_key = secrets.token_bytes(32)

    async def caller(
        self, authorization: str | None, now: datetime, address: str | None = None
    ) -> Caller:
        """Who calls, by the Authorization header. Raises NotSignedIn, or Throttled for Basic."""
        standing = self._at_hand(authorization or "", now) or await self._looked_up(
            authorization or "", now, address
        )
        if standing is None:
            raise NotSignedIn(_SENTENCE)
        if standing.caller is None:
            raise NotSignedIn("This user has no API access")
        return standing.caller

    def _at_hand(self, authorization: str, now: datetime) -> Standing | None:
        """The standing of a token's user, where all of it was read a moment ago."""
        if self._access is None or not authorization.startswith("Bearer "):
            return None
        claims = self._access.known(authorization[7:], now)
        return self._fresh(claims.user_id, claims.version, now) if claims else None

    async def _looked_up(
        self, authorization: str, now: datetime, address: str | None
    ) -> Standing | None:
        scheme, _, given = authorization.strip().partition(" ")
        match scheme.lower():
            case "bearer":
                return await self._by_token(given.strip(), now)
            case "basic":
                return await self._by_password(given.strip(), now, address)
            case _:
                return None

    async def grant(
        self,
        form: Mapping[str, str],
        client_id: str | None,
        now: datetime,
        address: str | None = None,
    ) -> Grant:
        """What a token request gets. Raises GrantRefused or Throttled."""
        match form.get("grant_type"):
            case "password":
                return await self.sign_in(form, client_id, now, address)
            case "refresh_token":
                return await self.refresh(form, client_id, now)
            case _:
                raise unknown_grant()

    async def sign_in(
        self,
        form: Mapping[str, str],
        client_id: str | None,
        now: datetime,
        address: str | None = None,
    ) -> Grant:
        """Tokens for `username`, `password` and, where a second factor is on, `totp`."""
        client = _client(form, client_id) or form.get("username", "").strip()
        user_id, version, refresh_token = await self._sign_in.exchange(
            form.get("username", ""), form.get("password", ""), form.get("totp"),
            client, now, address,
        )  # fmt: skip
        return await self._granted(user_id, version, refresh_token, now)

    async def refresh(self, form: Mapping[str, str], client_id: str | None, now: datetime) -> Grant:
        """New tokens for a refresh token, which is used up; a replay ends its whole family."""
        async with self._store.writing() as unit:
            # Refused outside the unit, since what a replay revokes must be committed.
            rotated = await rotate_refresh(
                unit,
                form.get("refresh_token", ""),
                _client(form, client_id),
                now,
                self._settings.refresh_seconds,
            )
            standing = await standing_of(unit, rotated[0]) if rotated else None
        if rotated is None or standing is None:
            raise wrong_refresh()
        if standing.caller is None:
            raise no_access()
        return await self._granted(*rotated, now)

    async def revoke(self, user_id: int, now: datetime) -> None:
        """Ends every token of a user: at once here, within `revocation_seconds` elsewhere."""
        async with self._store.writing() as unit:
            await revoke_tokens(unit, user_id, now)
        self._standings.pop(user_id, None)

    def forget(self) -> None:
        """Has every user read again at its next call, after a change this worker made itself."""
        self._standings.clear()

    async def _granted(
        self, user_id: int, version: int, refresh_token: str, now: datetime
    ) -> Grant:
        tokens = await self._access_tokens(now)
        access_token = tokens.give(user_id, version, now)
        return Grant(access_token, "bearer", self._settings.access_seconds, refresh_token)

    async def _access_tokens(self, now: datetime) -> AccessTokens:
        if self._access is None:
            secret = await signing_secret(self._store, self._settings, now)
            self._access = AccessTokens(secret, self._settings)
        return self._access

    async def _by_token(self, token: str, now: datetime) -> Standing | None:
        claims = (await self._access_tokens(now)).read(token, now)
        return await self._current(claims.user_id, claims.version, now) if claims else None

    async def _by_password(self, given: str, now: datetime, address: str | None) -> Standing | None:
        mark = hmac.digest(self._basic_key, given.encode(errors="replace"), "sha256")
        if known := await self._remembered(mark, now):
            return known
        pair = _pair(given)
        if pair is None:
            return None
        # One check of a password at a time is behind this turn: the same header that came many
        # times at once is verified once and remembered for the others.
        async with self._sign_in.turn():
            if known := await self._remembered(mark, now):
                return known
            try:
                credential = await self._sign_in.prove(*pair, now, address)
            except GrantRefused:
                return None
        if credential["TotpSecret"]:
            raise NotSignedIn("This user has a second factor: ask for a token")
        until = now.timestamp() + self._settings.basic_seconds
        self._basic[mark] = _Known(credential["UserId"], credential["Version"], until)
        _trim(self._basic)
        return await self._current(credential["UserId"], credential["Version"], now)

    async def _remembered(self, mark: bytes, now: datetime) -> Standing | None:
        known = self._basic.get(mark)
        if known is None:
            return None
        if now.timestamp() < known.until:
            standing = await self._current(known.user_id, known.version, now)
            if standing is not None:
                return standing
        self._basic.pop(mark, None)
        return None

    async def _current(self, user_id: int, version: int, now: datetime) -> Standing | None:
        """A user's standing if that version of its credential still holds."""
        read_at, standing = self._standings.get(user_id, (0.0, None))
        if not self._is_fresh(read_at, now) or standing is None or standing.version < version:
            # Also a version we have not seen yet: another worker gave it since we looked.
            async with self._store.reading() as reading:
                standing = await standing_of(reading, user_id)
            self._standings[user_id] = (now.timestamp(), standing)
            _trim(self._standings)
        return standing if standing is not None and standing.version == version else None

    def _fresh(self, user_id: int, version: int, now: datetime) -> Standing | None:
        """The same where it need not be read again."""
        read_at, standing = self._standings.get(user_id, (0.0, None))
        if standing is None or standing.version != version or not self._is_fresh(read_at, now):
            return None
        return standing

    def _is_fresh(self, read_at: float, now: datetime) -> bool:
        return 0 <= now.timestamp() - read_at < self._settings.revocation_seconds


def _client(form: Mapping[str, str], client_id: str | None) -> str | None:
    """The client id of the header, else of the form; a long or strange one is refused."""
    client = (client_id or form.get("client_id") or "").strip()
    if len(client) > LONGEST_CLIENT_ID or not client.isprintable():
        raise GrantRefused("invalid_request", "The client_id is not usable")
    return client or None


def _pair(given: str) -> tuple[str, str] | None:
    """E-mail and password of a Basic header, or None when it is not one."""
    try:
        text = base64.b64decode(given, validate=True).decode()
    except (binascii.Error, ValueError):
        return None
    email, colon, password = text.partition(":")
    return (email, password) if colon else None


def _trim(cache: OrderedDict[Any, Any]) -> None:
    while len(cache) > LARGEST_CACHE:
        cache.popitem(last=False)
