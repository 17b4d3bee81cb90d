"""Sign-in with a password and, with a second factor, a one-time code.

Wrong passwords and unknown users get the same answer in the same time, and both are counted.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from creditdesk.auth.audit_trail import AuditAction, record_user_event
from creditdesk.auth.credentials import (
    find_credential,
    find_credential_by_login,
    normalize_login,
    save_credential,
)
from creditdesk.auth.encryption import SecretCipher
from creditdesk.auth.login_throttle import (
    LoginCounters,
    clear_failures,
    code_counters,
    login_counters,
    record_failure,
    retry_after_seconds,
)
from creditdesk.auth.origin import RequestOrigin
from creditdesk.auth.passwords import Passwords
from creditdesk.auth.principal import load_user_snapshot
from creditdesk.auth.refresh import IssuedToken, issue_refresh_token
from creditdesk.auth.sessions import SignInMethod, find_session, known_client
from creditdesk.auth.token_responses import (
    code_required,
    refused_user,
    wrong_code,
    wrong_password,
)
from creditdesk.auth.totp import accepted_step
from creditdesk.entities.security.credential import Credential
from creditdesk.entities.sys.user import User
from creditdesk.schema.conflicts import retry_conflict
from creditdesk.schema.entity import Record
from creditdesk.schema.errors import PermissionDenied, RateLimited, invalid_field
from creditdesk.schema.records import update_stamp
from creditdesk.schema.repository import ReadSession, Store, WriteSession
from creditdesk.settings import AuthSettings
from creditdesk.telemetry.metrics import RETRIES, SIGN_INS


@dataclass(frozen=True, slots=True)
class VerifiedPassword:
    """The credential whose password was right, and the failure counters of this client."""

    credential: Record
    counters: LoginCounters
    code_counters: LoginCounters


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

    async def verify_password(
        self, email: str, password: str, now: datetime, origin: RequestOrigin, *, was_verified: bool = False
    ) -> VerifiedPassword:
        """The user with this e-mail and password; call it with a slot held.

        Raises RateLimited after failures, unless these credentials `was_verified` before, and TokenError
        for a wrong e-mail or password.
        """
        login = normalize_login(email)
        async with self._store.read_session() as reading:
            credential = await find_credential_by_login(reading, login)
            client = await known_client(reading, credential["UserId"], origin, now) if credential else None
            counters = login_counters(login, origin.address, client)
            retry_after = await retry_after_seconds(reading, counters, self._settings, now)
        if retry_after and not was_verified:
            SIGN_INS.count("throttled")
            raise RateLimited(retry_after)
        stored_hash = credential["PasswordHash"] if credential else None
        if not await self._passwords.verify(stored_hash, password) or credential is None:
            async with self._store.write_session() as session:
                await record_failure(session, counters, now)
                user_id = credential["UserId"] if credential else None
                await _record_failed_sign_in(
                    session, user_id, now, origin, "wrong password" if user_id else "unknown user"
                )
            raise wrong_password()
        return VerifiedPassword(credential, counters, code_counters(credential["UserId"], client))

    async def sign_in(
        self,
        email: str,
        password: str,
        code: str | None,
        client_id: str,
        now: datetime,
        origin: RequestOrigin,
    ) -> IssuedToken:
        """Opens a session for the client and issues its refresh token.

        An accepted one-time code is not accepted again. Raises TokenError or RateLimited.
        """
        # Concurrent first records of the audit trail conflict.
        return await retry_conflict(
            partial(self._open_session, email, password, code, client_id, now, origin),
            partial(RETRIES.count, "conflict"),
        )

    async def _open_session(
        self, email: str, password: str, code: str | None, client_id: str, now: datetime, origin: RequestOrigin
    ) -> IssuedToken:
        async with self.slot(), self._verified(email, password, code, now, origin) as (session, locked):
            snapshot = await load_user_snapshot(session, locked["UserId"])
            if snapshot is None or snapshot.principal is None:
                raise refused_user(snapshot)
            issued = await issue_refresh_token(
                session, locked, client_id, now, self._settings, SignInMethod.PASSWORD, origin
            )
            details = {"SessionId": issued.session_id, "ClientId": client_id}
            await record_user_event(session, AuditAction.SIGN_IN, locked["UserId"], now, origin, details)
            session.after_commit(partial(SIGN_INS.count, "accepted"))
            return issued

    async def change_password(
        self,
        email: str,
        password: str,
        code: str | None,
        new_password: str,
        now: datetime,
        origin: RequestOrigin,
        *,
        keep_session: int | None = None,
    ) -> None:
        """Sets the user's new password, which satisfies MustResetPassword, and ends its other sessions.

        Raises TokenError or RateLimited like a sign-in, ValidationError for an unusable password.
        """
        async with self.slot():
            if new_password == password:
                raise invalid_field("NewPassword", "must differ from the present one")
            password_hash = await self._passwords.hash(new_password, "NewPassword", email)
            async with self._verified(email, password, code, now, origin) as (session, locked):
                user = await session.get(User, locked["UserId"])
                if user is None or not user["Active"]:
                    raise wrong_password()
                await save_credential(
                    session, user["Id"], user["Email"], now, password_hash=password_hash, keep_session=keep_session
                )
                change = {"MustResetPassword": False, **update_stamp(now, user["Email"])}
                await session.update(User, [(user["Id"], change)])
                await record_user_event(session, AuditAction.PASSWORD_CHANGED, user["Id"], now, origin)

    async def set_first_password(
        self, user_id: int, session_id: int | None, new_password: str, now: datetime, origin: RequestOrigin
    ) -> None:
        """Sets the password of a member that has none, in the session of its sign-in link.

        Raises PermissionDenied for any other user or session, ValidationError for an unusable password.
        """
        async with self._store.read_session() as reading:
            user = await require_first_password(reading, user_id, session_id)
        async with self.slot():
            password_hash = await self._passwords.hash(new_password, "NewPassword", user["Email"])
        async with self._store.write_session() as session:
            credential = await find_credential(session, user_id)
            # Serialises concurrent first passwords: the second one finds the first.
            await session.lock(Credential, [credential["Id"]] if credential else [])
            user = await require_first_password(session, user_id, session_id)
            await save_credential(
                session, user_id, user["Email"], now, password_hash=password_hash, keep_session=session_id
            )
            change = {"MustResetPassword": False, **update_stamp(now, user["Email"])}
            await session.update(User, [(user_id, change)])
            await record_user_event(session, AuditAction.PASSWORD_CHANGED, user_id, now, origin, {"First": True})

    @asynccontextmanager
    async def _verified(
        self, email: str, password: str, code: str | None, now: datetime, origin: RequestOrigin
    ) -> AsyncIterator[tuple[WriteSession, Record]]:
        """A transaction with the locked credential of a user who has proved who it is."""
        proof = await self.verify_password(email, password, now, origin)
        verified = proof.credential
        if verified["TotpSecret"] and not (code or "").strip():
            raise code_required()
        async with self._store.write_session() as session:
            locked = (await session.lock(Credential, [verified["Id"]])).get(verified["Id"])
            # The password may have changed during its verification.
            if locked is None or locked["PasswordHash"] != verified["PasswordHash"]:
                raise wrong_password()
            if locked["TotpSecret"]:
                # Counted while the credential is locked, so that concurrent guesses wait for each other.
                retry_after = await retry_after_seconds(session, proof.code_counters, self._settings, now)
                if retry_after:
                    raise RateLimited(retry_after)
            accepted = await self._consume_code(session, locked, code or "", now)
            if accepted:
                await clear_failures(session, proof.counters)
                await clear_failures(session, proof.code_counters)
                yield session, locked
            else:
                await record_failure(session, proof.code_counters, now)
                await _record_failed_sign_in(session, locked["UserId"], now, origin, "wrong one-time code")
        if not accepted:
            raise wrong_code()

    async def _consume_code(self, session: WriteSession, locked: Record, code: str, now: datetime) -> bool:
        """Whether no code is needed or this one is right; its step is then used up."""
        if not locked["TotpSecret"]:
            return True
        step = accepted_step(self._cipher.decrypt(locked["TotpSecret"]), code, now, locked["LastStep"])
        if step is None:
            return False
        await session.update(Credential, [(locked["Id"], {"LastStep": step, **update_stamp(now, None)})])
        return True


async def may_set_first_password(session: ReadSession, user_id: int, session_id: int | None) -> bool:
    """Whether the user is a member without a password, in the session of its sign-in link.

    A user of the operator may not: the link may have been created by a user with fewer rights.
    """
    user = await session.get(User, user_id)
    if user is None or user["APIAccess"] or session_id is None:
        return False
    opened, credential = await find_session(session, session_id), await find_credential(session, user_id)
    return (
        opened is not None
        and opened["Method"] == SignInMethod.LINK
        and (credential is None or credential["PasswordHash"] is None)
    )


async def require_first_password(session: ReadSession, user_id: int, session_id: int | None) -> Record:
    """The user, who may set its first password. Raises PermissionDenied."""
    user = await session.get(User, user_id)
    if user is None or not await may_set_first_password(session, user_id, session_id):
        raise PermissionDenied(
            "Only a member without a password, signed in by a link, sets one without the present one"
        )
    return user


async def _record_failed_sign_in(
    session: WriteSession, user_id: int | None, now: datetime, origin: RequestOrigin, reason: str
) -> None:
    await record_user_event(session, AuditAction.SIGN_IN_REFUSED, user_id, now, origin, {"Reason": reason})
    session.after_commit(partial(SIGN_INS.count, reason))
