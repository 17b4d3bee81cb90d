"""Authentication: Bearer and Basic credentials of requests, and the token endpoint's grants.

Users are cached for `revocation_seconds`, so every worker applies another's change within that
time.
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

from creditdesk.auth.passwords import Passwords
from creditdesk.auth.principal import UserSnapshot, load_user_snapshot
from creditdesk.auth.refresh import rotate_refresh_token
from creditdesk.auth.sign_in import SignIn
from creditdesk.auth.token_responses import (
    TokenError,
    TokenResponse,
    no_access,
    unsupported_grant_type,
    wrong_refresh_token,
)
from creditdesk.auth.tokens import AccessTokens, signing_secret
from creditdesk.schema.errors import Unauthenticated
from creditdesk.schema.repository import Store
from creditdesk.schema.service import Principal
from creditdesk.settings import AuthSettings

MAX_CACHED_USERS: Final = 10_000
MAX_CLIENT_ID_LENGTH: Final = 320
_SIGN_IN_MESSAGE: Final = "Sign in with a valid token, or with e-mail and password"


@dataclass(frozen=True, slots=True)
class _VerifiedBasic:
    """A verified Basic header: its user, the credential version, and when it must be verified again."""

    user_id: int
    version: int
    expires_at: float


class Authenticator:
    """Authenticates requests and issues tokens, over one store."""

    def __init__(self, store: Store, settings: AuthSettings, passwords: Passwords | None = None) -> None:
        self._store = store
        self._settings = settings
        self._sign_in = SignIn(store, settings, passwords or Passwords(settings))
        self._access: AccessTokens | None = None
        self._users: OrderedDict[int, tuple[float, UserSnapshot | None]] = OrderedDict()
        self._basic: OrderedDict[bytes, _VerifiedBasic] = OrderedDict()
        self._basic_key = secrets.token_bytes(32)

    async def authenticate(self, authorization: str | None, now: datetime, address: str | None = None) -> Principal:
        """The principal of an Authorization header. Raises Unauthenticated, or RateLimited for Basic."""
        standing = self._from_cache(authorization or "", now) or await self._look_up(authorization or "", now, address)
        if standing is None:
            raise Unauthenticated(_SIGN_IN_MESSAGE)
        if standing.principal is None:
            raise Unauthenticated("This user has no API access")
        return standing.principal

    def _from_cache(self, authorization: str, now: datetime) -> UserSnapshot | None:
        """The user of a Bearer token, where token and user are cached."""
        if self._access is None or not authorization.startswith("Bearer "):
            return None
        claims = self._access.cached(authorization[7:], now)
        return self._cached_user(claims.user_id, claims.version, now) if claims else None

    async def _look_up(self, authorization: str, now: datetime, address: str | None) -> UserSnapshot | None:
        scheme, _, credentials = authorization.strip().partition(" ")
        match scheme.lower():
            case "bearer":
                return await self._authenticate_bearer(credentials.strip(), now)
            case "basic":
                return await self._authenticate_basic(credentials.strip(), now, address)
            case _:
                return None

    async def issue_tokens(
        self,
        form: Mapping[str, str],
        client_id: str | None,
        now: datetime,
        address: str | None = None,
    ) -> TokenResponse:
        """Executes a request to the token endpoint. Raises TokenError or RateLimited."""
        match form.get("grant_type"):
            case "password":
                return await self.sign_in(form, client_id, now, address)
            case "refresh_token":
                return await self.refresh_tokens(form, client_id, now)
            case _:
                raise unsupported_grant_type()

    async def sign_in(
        self,
        form: Mapping[str, str],
        client_id: str | None,
        now: datetime,
        address: str | None = None,
    ) -> TokenResponse:
        """Issues tokens for `username`, `password` and, with a second factor, `totp`."""
        client = _client_of(form, client_id) or form.get("username", "").strip()
        user_id, version, refresh_token = await self._sign_in.sign_in(
            form.get("username", ""), form.get("password", ""), form.get("totp"),
            client, now, address,
        )  # fmt: skip
        return await self._token_response(user_id, version, refresh_token, now)

    async def refresh_tokens(self, form: Mapping[str, str], client_id: str | None, now: datetime) -> TokenResponse:
        """Exchanges a refresh token for new tokens; a replayed one revokes its whole family."""
        async with self._store.write_session() as session:
            # Raise outside the session: what a replay revokes must be committed.
            rotated = await rotate_refresh_token(
                session,
                form.get("refresh_token", ""),
                _client_of(form, client_id),
                now,
                self._settings.refresh_seconds,
            )
            standing = await load_user_snapshot(session, rotated[0]) if rotated else None
        if rotated is None or standing is None:
            raise wrong_refresh_token()
        if standing.principal is None:
            raise no_access()
        return await self._token_response(*rotated, now)

    def clear_cache(self) -> None:
        """Forgets all users, so that a change by this worker applies at once."""
        self._users.clear()

    async def _token_response(self, user_id: int, version: int, refresh_token: str, now: datetime) -> TokenResponse:
        tokens = await self._access_tokens(now)
        access_token = tokens.issue(user_id, version, now)
        return TokenResponse(access_token, "bearer", self._settings.access_seconds, refresh_token)

    async def _access_tokens(self, now: datetime) -> AccessTokens:
        if self._access is None:
            secret = await signing_secret(self._store, self._settings, now)
            self._access = AccessTokens(secret, self._settings)
        return self._access

    async def _authenticate_bearer(self, token: str, now: datetime) -> UserSnapshot | None:
        claims = (await self._access_tokens(now)).parse(token, now)
        return await self._current_user(claims.user_id, claims.version, now) if claims else None

    async def _authenticate_basic(self, credentials: str, now: datetime, address: str | None) -> UserSnapshot | None:
        header_digest = hmac.digest(self._basic_key, credentials.encode(errors="replace"), "sha256")
        if cached := await self._cached_basic(header_digest, now):
            return cached
        login_and_password = _parse_basic(credentials)
        if login_and_password is None:
            return None
        # A header that arrives many times at once is verified once and cached for the others.
        async with self._sign_in.slot():
            if cached := await self._cached_basic(header_digest, now):
                return cached
            try:
                credential = await self._sign_in.verify_password(*login_and_password, now, address)
            except TokenError:
                return None
        if credential["TotpSecret"]:
            raise Unauthenticated("This user has a second factor: request a token")
        expires_at = now.timestamp() + self._settings.basic_seconds
        self._basic[header_digest] = _VerifiedBasic(credential["UserId"], credential["Version"], expires_at)
        _evict_oldest(self._basic)
        return await self._current_user(credential["UserId"], credential["Version"], now)

    async def _cached_basic(self, header_digest: bytes, now: datetime) -> UserSnapshot | None:
        cached = self._basic.get(header_digest)
        if cached is None:
            return None
        if now.timestamp() < cached.expires_at:
            standing = await self._current_user(cached.user_id, cached.version, now)
            if standing is not None:
                return standing
        self._basic.pop(header_digest, None)
        return None

    async def _current_user(self, user_id: int, version: int, now: datetime) -> UserSnapshot | None:
        """The user, if this is still the version of its credential; read again when not fresh."""
        read_at, standing = self._users.get(user_id, (0.0, None))
        if not self._is_fresh(read_at, now) or standing is None or standing.version < version:
            # A newer version than the cached one: another worker has issued the token.
            async with self._store.read_session() as session:
                standing = await load_user_snapshot(session, user_id)
            self._users[user_id] = (now.timestamp(), standing)
            _evict_oldest(self._users)
        return standing if standing is not None and standing.version == version else None

    def _cached_user(self, user_id: int, version: int, now: datetime) -> UserSnapshot | None:
        """The same from the cache alone."""
        read_at, standing = self._users.get(user_id, (0.0, None))
        if standing is None or standing.version != version or not self._is_fresh(read_at, now):
            return None
        return standing

    def _is_fresh(self, read_at: float, now: datetime) -> bool:
        return 0 <= now.timestamp() - read_at < self._settings.revocation_seconds


def _client_of(form: Mapping[str, str], client_id: str | None) -> str | None:
    """The client id of the header, else of the form. Raises TokenError for an unusable one."""
    client = (client_id or form.get("client_id") or "").strip()
    if len(client) > MAX_CLIENT_ID_LENGTH or not client.isprintable():
        raise TokenError("invalid_request", "The client_id is not usable")
    return client or None


def _parse_basic(credentials: str) -> tuple[str, str] | None:
    """E-mail and password of a Basic header, or None for a malformed one."""
    try:
        text = base64.b64decode(credentials, validate=True).decode()
    except (binascii.Error, ValueError):
        return None
    email, colon, password = text.partition(":")
    return (email, password) if colon else None


def _evict_oldest(cache: OrderedDict[Any, Any]) -> None:
    while len(cache) > MAX_CACHED_USERS:
        cache.popitem(last=False)
