"""Sign-in with a password and, with a second factor, a one-time code.

Wrong passwords and unknown users get the same answer in the same time, and both are counted.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime

from creditdesk.auth.credentials import find_credential_by_login, normalize_login
from creditdesk.auth.encryption import SecretCipher
from creditdesk.auth.login_throttle import (
    clear_failures,
    login_counters,
    record_failure,
    retry_after_seconds,
)
from creditdesk.auth.passwords import Passwords
from creditdesk.auth.principal import load_user_snapshot
from creditdesk.auth.refresh import issue_refresh_token
from creditdesk.auth.token_responses import code_required, no_access, wrong_code, wrong_password
from creditdesk.auth.totp import accepted_step
from creditdesk.entities.security.credential import Credential
from creditdesk.schema.entity import Record
from creditdesk.schema.errors import RateLimited
from creditdesk.schema.records import update_stamp
from creditdesk.schema.repository import Store, WriteSession
from creditdesk.settings import AuthSettings


class SignIn:
    """Verifies passwords, as many at a time as there are password threads."""

    def __init__(self, store: Store, settings: AuthSettings, passwords: Passwords) -> None:
        self._store = store
        self._settings = settings
        self._passwords = passwords
        self._slots = asyncio.Semaphore(settings.argon2_threads)
        self._waiting = 0
        self._cipher = SecretCipher(settings.encryption_key)

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[None]:
        """Holds a slot for verifying a password. Raises RateLimited when too many wait.

        A failure is counted after its verification, so the slots bound how far a limit is exceeded.
        """
        if self._waiting >= self._settings.max_pending_sign_ins:
            raise RateLimited(5)
        self._waiting += 1
        try:
            async with self._slots:
                yield
        finally:
            self._waiting -= 1

    async def verify_password(self, email: str, password: str, now: datetime, address: str | None) -> Record:
        """The credential of the user with this e-mail and password; call it with a slot held.

        Raises RateLimited after too many failures, TokenError for a wrong e-mail or password.
        """
        login = normalize_login(email)
        counters = login_counters(login, address, self._settings)
        async with self._store.read_session() as reading:
            retry_after = await retry_after_seconds(reading, counters, now)
            credential = await find_credential_by_login(reading, login)
        if retry_after:
            raise RateLimited(retry_after)
        stored_hash = credential["PasswordHash"] if credential else None
        if not await self._passwords.verify(stored_hash, password) or credential is None:
            async with self._store.write_session() as session:
                await record_failure(session, counters, now)
            raise wrong_password()
        return credential

    async def sign_in(
        self,
        email: str,
        password: str,
        code: str | None,
        client_id: str,
        now: datetime,
        address: str | None,
    ) -> tuple[int, int, str]:
        """Returns the user's id, its credential's version and a refresh token for the client.

        An accepted one-time code is not accepted again. Raises TokenError or RateLimited.
        """
        async with self.slot():
            verified = await self.verify_password(email, password, now, address)
            if verified["TotpSecret"] and not (code or "").strip():
                raise code_required()
            async with self._store.write_session() as session:
                locked = (await session.lock(Credential, [verified["Id"]])).get(verified["Id"])
                # The password may have changed during its verification.
                if locked is None or locked["PasswordHash"] != verified["PasswordHash"]:
                    raise wrong_password()
                standing = await load_user_snapshot(session, locked["UserId"])
                if standing is None or standing.principal is None:
                    raise no_access()
                counters = login_counters(normalize_login(email), address, self._settings)
                accepted = await self._consume_code(session, locked, code or "", now)
                if accepted:
                    seconds = self._settings.refresh_seconds
                    refresh_token = await issue_refresh_token(session, locked, client_id, now, seconds)
                    await clear_failures(session, counters)
                else:
                    await record_failure(session, counters, now)
            if not accepted:
                raise wrong_code()
            return locked["UserId"], locked["Version"], refresh_token

    async def _consume_code(self, session: WriteSession, locked: Record, code: str, now: datetime) -> bool:
        """Whether no code is needed or this one is right; its step is then used up."""
        if not locked["TotpSecret"]:
            return True
        step = accepted_step(self._cipher.decrypt(locked["TotpSecret"]), code, now, locked["LastStep"])
        if step is None:
            return False
        await session.update(Credential, [(locked["Id"], {"LastStep": step, **update_stamp(now, None)})])
        return True
