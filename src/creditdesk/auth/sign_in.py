"""A password, and a one-time code where there is one, become a proven user and a refresh token.

Wrong passwords and unknown users answer alike, in words and in time, and both are counted.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime

from creditdesk.auth.credentials import credential_for, login_of
from creditdesk.auth.login_throttle import (
    count_failure,
    counted,
    forget_failures,
    seconds_to_wait,
)
from creditdesk.auth.passwords import Passwords
from creditdesk.auth.principal import standing_of
from creditdesk.auth.refresh import give_refresh
from creditdesk.auth.settings import AuthSettings
from creditdesk.auth.token_responses import code_needed, no_access, wrong_code, wrong_password
from creditdesk.auth.totp import accepted_step
from creditdesk.entities.security.credential import Credential
from creditdesk.schema.entity import Record
from creditdesk.schema.errors import Throttled
from creditdesk.schema.repository import Store, Unit


class SignIn:
    """Proves users over one store, as many at a time as passwords have threads."""

    def __init__(self, store: Store, settings: AuthSettings, passwords: Passwords) -> None:
        self._store = store
        self._settings = settings
        self._passwords = passwords
        self._gate = asyncio.Semaphore(settings.argon2_threads)
        self._waiting = 0

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """A turn to check a password; Throttled when too many wait for one.

        Failures are counted after the check, so no more than the holders of a turn can overshoot.
        """
        if self._waiting >= self._settings.waiting_sign_ins:
            raise Throttled(5)
        self._waiting += 1
        try:
            async with self._gate:
                yield
        finally:
            self._waiting -= 1

    async def prove(self, email: str, password: str, now: datetime, address: str | None) -> Record:
        """The credential of the user with this e-mail and password, asked for within a turn.

        Raises Throttled after too many failures, GrantRefused for a wrong pair.
        """
        login = login_of(email)
        who = counted(login, address, self._settings)
        async with self._store.reading() as reading:
            wait_seconds = await seconds_to_wait(reading, who, now)
            credential = await credential_for(reading, login)
        if wait_seconds:
            raise Throttled(wait_seconds)
        kept_hash = credential["PasswordHash"] if credential else None
        if not await self._passwords.verify(kept_hash, password) or credential is None:
            async with self._store.writing() as unit:
                await count_failure(unit, who, now)
            raise wrong_password()
        return credential

    async def exchange(
        self,
        email: str,
        password: str,
        code: str | None,
        client_id: str,
        now: datetime,
        address: str | None,
    ) -> tuple[int, int, str]:
        """The user's id, its credential's version and a refresh token for the client.

        Raises GrantRefused or Throttled; an accepted one-time code is used up.
        """
        async with self.turn():
            proven = await self.prove(email, password, now, address)
            if proven["TotpSecret"] and not (code or "").strip():
                raise code_needed()
            async with self._store.writing() as unit:
                locked = (await unit.lock(Credential, [proven["Id"]])).get(proven["Id"])
                # The password may have changed while it was being checked.
                if locked is None or locked["PasswordHash"] != proven["PasswordHash"]:
                    raise wrong_password()
                standing = await standing_of(unit, locked["UserId"])
                if standing is None or standing.caller is None:
                    raise no_access()
                who = counted(login_of(email), address, self._settings)
                right = await self._use_code(unit, locked, code or "", now)
                if right:
                    seconds = self._settings.refresh_seconds
                    refresh_token = await give_refresh(unit, locked, client_id, now, seconds)
                    await forget_failures(unit, who)
                else:
                    await count_failure(unit, who, now)
            if not right:
                raise wrong_code()
            return locked["UserId"], locked["Version"], refresh_token

    async def _use_code(self, unit: Unit, locked: Record, code: str, now: datetime) -> bool:
        """Whether no code is needed, or this one is right; its step is then not taken again."""
        if not locked["TotpSecret"]:
            return True
        step = accepted_step(locked["TotpSecret"], code, now, locked["LastStep"])
        if step is None:
            return False
        await unit.update(Credential, [(locked["Id"], {"LastStep": step, "UpdatedOn": now})])
        return True
