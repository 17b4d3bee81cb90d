"""Passwords become Argon2id hashes and are checked against them, off the event loop.

Knows nothing of users or of where hashes are kept.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error, InvalidHashError

from creditdesk.schema.errors import invalid_field
from creditdesk.settings import AuthSettings

T = TypeVar("T")

MAX_PASSWORD_LENGTH = 1024


class Passwords:
    """Hashing and checking at the cost the settings name, in a few threads of its own."""

    def __init__(self, settings: AuthSettings) -> None:
        self._hasher = PasswordHasher(
            time_cost=settings.argon2_time_cost,
            memory_cost=settings.argon2_memory_kib,
            parallelism=settings.argon2_parallelism,
        )
        self._min_length = settings.password_min_length
        self._threads = ThreadPoolExecutor(settings.argon2_threads, "creditdesk-password")

    @cached_property
    def _dummy_hash(self) -> str:
        """The hash an unknown user is checked against, so that time does not tell it apart."""
        return self._hasher.hash("nobody's password")

    async def hash(self, password: str, property_name: str = "Password") -> str:
        """The hash to keep; refusals.Invalid under `property_name` for a bad length."""
        if not self._min_length <= len(password) <= MAX_PASSWORD_LENGTH:
            message = f"must be {self._min_length} to {MAX_PASSWORD_LENGTH} characters"
            raise invalid_field(property_name, message)
        return await self._in_thread(self._hasher.hash, password)

    async def verify(self, stored_hash: str | None, password: str) -> bool:
        """Whether the password is the one; takes as long for no hash at all."""
        return await self._in_thread(self._check, stored_hash, password)

    def _check(self, stored_hash: str | None, password: str) -> bool:
        try:
            if len(password) > MAX_PASSWORD_LENGTH:
                password, stored_hash = "", None
            matches = self._hasher.verify(stored_hash or self._dummy_hash, password)
        except (Argon2Error, InvalidHashError):
            return False
        return matches and stored_hash is not None

    async def _in_thread(self, work: Callable[..., T], *args: object) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work, *args)
