"""Authentication: Bearer and Basic credentials of requests, and the token endpoint's grants."""

from __future__ import annotations

import base64
import binascii
import hmac
import secrets
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from creditdesk.auth.audit_trail import AuditAction, AuditEvent, record_event, record_user_event
from creditdesk.auth.member_links import MEMBER_LINK_GRANT, LinkSigner, session_of_frame, sign_in_by_link
from creditdesk.auth.origin import NO_ORIGIN, RequestOrigin
from creditdesk.auth.passwords import Passwords
from creditdesk.auth.principal import UserSnapshot, load_user_snapshot
from creditdesk.auth.refresh import IssuedToken, find_session_of_token, rotate_refresh_token
from creditdesk.auth.sessions import EndReason, SignInMethod, end_sessions, find_session, open_session
from creditdesk.auth.sign_in import SignIn
from creditdesk.auth.snapshot_cache import SnapshotCache
from creditdesk.auth.token_responses import (
    TokenError,
    TokenResponse,
    refused_user,
    unsupported_grant_type,
    wrong_refresh_token,
)
from creditdesk.auth.tokens import AccessTokens, signing_secret
from creditdesk.schema.errors import Unauthenticated
from creditdesk.schema.repository import Store
from creditdesk.schema.service import Principal
from creditdesk.settings import AuthSettings

MAX_CACHED_PASSWORDS: Final = 10_000
MAX_CLIENT_ID_LENGTH: Final = 320
FRAME_TOKEN_SECONDS: Final = 60
"""The lifetime of the access token of one view of a frame link."""
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
        self.sign_in_service = SignIn(store, settings, passwords or Passwords(settings))
        self._access: AccessTokens | None = None
        self._links: LinkSigner | None = None
        self._snapshots = SnapshotCache(store)
        self._basic: OrderedDict[bytes, _VerifiedBasic] = OrderedDict()
        self._basic_key = secrets.token_bytes(32)

    async def authenticate(self, authorization: str | None, now: datetime, address: str | None = None) -> Principal:
        """The principal of an Authorization header. Raises Unauthenticated, or RateLimited for Basic."""
        snapshot = self._from_cache(authorization or "", now) or await self._look_up(authorization or "", now, address)
        if snapshot is None:
            raise Unauthenticated(_SIGN_IN_MESSAGE)
        if snapshot.principal is None:
            raise Unauthenticated(snapshot.message)
        return snapshot.principal

    def _from_cache(self, authorization: str, now: datetime) -> UserSnapshot | None:
        """The user of a Bearer token, where token and session are cached."""
        if self._access is None or not authorization.startswith("Bearer "):
            return None
        claims = self._access.cached(authorization[7:], now)
        return self._snapshots.cached(claims.user_id, claims.session_id) if claims else None

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
        origin: RequestOrigin = NO_ORIGIN,
    ) -> TokenResponse:
        """Executes a request to the token endpoint. Raises TokenError or RateLimited."""
        match form.get("grant_type"):
            case "password":
                return await self.sign_in(form, client_id, now, origin)
            case "refresh_token":
                return await self.refresh_tokens(form, client_id, now, origin)
            case grant if grant == MEMBER_LINK_GRANT:
                return await self.sign_in_by_link(form, client_id, now, origin)
            case _:
                raise unsupported_grant_type()

    async def sign_in(
        self,
        form: Mapping[str, str],
        client_id: str | None,
        now: datetime,
        origin: RequestOrigin = NO_ORIGIN,
    ) -> TokenResponse:
        """Opens a session for `username`, `password` and, with a second factor, `totp`."""
        client = _client_of(form, client_id) or form.get("username", "").strip()
        issued = await self.sign_in_service.sign_in(
            form.get("username", ""), form.get("password", ""), form.get("totp"),
            client, now, replace(origin, refresh_token=form.get("refresh_token")),
        )  # fmt: skip
        return await self._token_response(issued, now)

    async def sign_in_by_link(
        self, form: Mapping[str, str], client_id: str | None, now: datetime, origin: RequestOrigin = NO_ORIGIN
    ) -> TokenResponse:
        """Opens the session of the sign-in link in `link`, which is valid once."""
        client = _client_of(form, client_id) or MEMBER_LINK_GRANT
        signer = await self.link_signer(now)
        async with self._store.write_session() as session:
            issued = await sign_in_by_link(session, form.get("link", ""), signer, client, now, self._settings, origin)
        return await self._token_response(issued, now)

    async def open_frame(self, link: str, now: datetime) -> str:
        """An access token for one view of a frame link. Raises Unauthenticated."""
        signer = await self.link_signer(now)
        async with self._store.read_session() as session:
            user_id, session_id = await session_of_frame(session, link, signer, now)
        return (await self._access_tokens(now)).issue(user_id, session_id, now, FRAME_TOKEN_SECONDS)

    async def link_signer(self, now: datetime) -> LinkSigner:
        """The signer of member links."""
        if self._links is None:
            self._links = LinkSigner(await signing_secret(self._store, self._settings, now), self._settings)
        return self._links

    async def refresh_tokens(
        self, form: Mapping[str, str], client_id: str | None, now: datetime, origin: RequestOrigin = NO_ORIGIN
    ) -> TokenResponse:
        """Exchanges a refresh token for new tokens; a replayed one ends its session."""
        async with self._store.write_session() as session:
            # Raise outside the session: what a replay revokes must be committed.
            issued = await rotate_refresh_token(
                session, form.get("refresh_token", ""), _client_of(form, client_id), now, self._settings, origin
            )
            snapshot = await load_user_snapshot(session, issued.user_id) if issued else None
        if issued is None or snapshot is None:
            raise wrong_refresh_token()
        if snapshot.principal is None:
            raise refused_user(snapshot)
        return await self._token_response(issued, now)

    async def session_of_token(self, authorization: str, now: datetime) -> int | None:
        """The session of a valid Bearer token; None for anything else."""
        scheme, _, token = authorization.partition(" ")
        snapshot = await self._authenticate_bearer(token.strip(), now) if scheme.lower() == "bearer" else None
        return snapshot.principal.session_id if snapshot and snapshot.principal else None

    async def revoke(self, token: str, now: datetime, origin: RequestOrigin = NO_ORIGIN) -> None:
        """Ends the session of an access or refresh token; does nothing for any other text."""
        claims = (await self._access_tokens(now)).parse(token, now)
        async with self._store.write_session() as session:
            if claims is not None:
                opened = await find_session(session, claims.session_id)
            else:
                opened = await find_session_of_token(session, token)
            for ended in await end_sessions(session, [opened] if opened else [], EndReason.SIGNED_OUT, now):
                details = {"SessionId": ended["Id"]}
                await record_user_event(session, AuditAction.SIGN_OUT, ended["UserId"], now, origin, details)

    async def issue_api_token(
        self, user_id: int, name: str, now: datetime, expires: datetime, event: AuditEvent
    ) -> tuple[int, str]:
        """Opens a session for a program; returns its id and its only token, which lasts until `expires`.

        The event is recorded with the session. Ending the session voids the token.
        """
        tokens = await self._access_tokens(now)
        async with self._store.write_session() as session:
            opened = await open_session(session, user_id, name, SignInMethod.API_TOKEN, now, expires)
            details = {**event.details, "SessionId": opened["Id"]}
            await record_event(session, replace(event, details=details), now)
        return opened["Id"], tokens.issue(user_id, opened["Id"], now, int((expires - now).total_seconds()))

    async def _token_response(self, issued: IssuedToken, now: datetime) -> TokenResponse:
        tokens = await self._access_tokens(now)
        access_token = tokens.issue(issued.user_id, issued.session_id, now)
        return TokenResponse(access_token, "bearer", self._settings.access_seconds, issued.refresh_token)

    async def _access_tokens(self, now: datetime) -> AccessTokens:
        if self._access is None:
            secret = await signing_secret(self._store, self._settings, now)
            self._access = AccessTokens(secret, self._settings)
        return self._access

    async def _authenticate_bearer(self, token: str, now: datetime) -> UserSnapshot | None:
        claims = (await self._access_tokens(now)).parse(token, now)
        return await self._snapshots.get(claims.user_id, claims.session_id) if claims else None

    async def _authenticate_basic(self, credentials: str, now: datetime, address: str | None) -> UserSnapshot | None:
        header_digest = hmac.digest(self._basic_key, credentials.encode(errors="replace"), "sha256")
        if cached := await self._cached_basic(header_digest, now):
            return cached
        login_and_password = _parse_basic(credentials)
        if login_and_password is None:
            return None
        # A header in many concurrent requests is verified once and cached for the others.
        async with self.sign_in_service.slot():
            if cached := await self._cached_basic(header_digest, now):
                return cached
            try:
                proof = await self.sign_in_service.verify_password(
                    *login_and_password, now, RequestOrigin(address), was_verified=header_digest in self._basic
                )
            except TokenError:
                return None
        credential = proof.credential
        if credential["TotpSecret"]:
            raise Unauthenticated("This user has a second factor: request a token")
        expires_at = now.timestamp() + self._settings.basic_seconds
        self._basic[header_digest] = _VerifiedBasic(credential["UserId"], credential["Version"], expires_at)
        _evict_oldest(self._basic)
        return await self._user_of_version(credential["UserId"], credential["Version"])

    async def _cached_basic(self, header_digest: bytes, now: datetime) -> UserSnapshot | None:
        cached = self._basic.get(header_digest)
        if cached is None:
            return None
        snapshot = await self._user_of_version(cached.user_id, cached.version)
        if snapshot is None:
            self._basic.pop(header_digest, None)
        return snapshot if now.timestamp() < cached.expires_at else None

    async def _user_of_version(self, user_id: int, version: int) -> UserSnapshot | None:
        """The user, if this is still the version of its credential."""
        snapshot = await self._snapshots.get(user_id)
        return snapshot if snapshot is not None and snapshot.version == version else None


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
    while len(cache) > MAX_CACHED_PASSWORDS:
        cache.popitem(last=False)
