"""Argon2id password hashes, computed and verified in threads of their own.

Rejects a new password that zxcvbn estimates at less than a million guesses: it knows common passwords, names, dates
and keyboard patterns.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from typing import Final, TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error, InvalidHashError
from zxcvbn import zxcvbn

from creditdesk.schema.errors import invalid_field
from creditdesk.settings import AuthSettings

_T = TypeVar("_T")

MAX_PASSWORD_LENGTH: Final = 1024
MAX_ESTIMATED_LENGTH: Final = 72
"""Longer passwords are estimated by their start: the time of the estimate grows faster than the length."""
MIN_STRENGTH: Final = 2
"""Of zxcvbn's 0 to 4: at least a million guesses."""


class Passwords:
    """Hashes and verifies passwords at the cost in the settings."""

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
        """The hash that an unknown user's password is verified against, to take the same time."""
        return self._hasher.hash("nobody's password")

    async def hash(self, password: str, property_name: str = "Password", email: str = "") -> str:
        """The hash to store.

        Raises ValidationError for `property_name` where the length is wrong or the password is easy
        to guess; `email` is the user's.
        """
        if not self._min_length <= len(password) <= MAX_PASSWORD_LENGTH:
            message = f"must be {self._min_length} to {MAX_PASSWORD_LENGTH} characters"
            raise invalid_field(property_name, message)
        if await self._in_thread(_strength, password, email) < MIN_STRENGTH:
            raise invalid_field(property_name, "is easy to guess; choose a longer or less common one")
        return await self._in_thread(self._hasher.hash, password)

    async def verify(self, stored_hash: str | None, password: str) -> bool:
        """Whether the password matches; takes as long without a hash."""
        return await self._in_thread(self._check, stored_hash, password)

    def _check(self, stored_hash: str | None, password: str) -> bool:
        try:
            if len(password) > MAX_PASSWORD_LENGTH:
                password, stored_hash = "", None
            matches = self._hasher.verify(stored_hash or self._dummy_hash, password)
        except (Argon2Error, InvalidHashError):
            return False
        return matches and stored_hash is not None

    async def _in_thread(self, work: Callable[..., _T], *args: object) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work, *args)


def _strength(password: str, email: str) -> int:
    """Zxcvbn's score of a password of a user with this e-mail."""
    personal = [part for part in (email, *email.split("@")) if part]
    score: int = zxcvbn(password[:MAX_ESTIMATED_LENGTH], personal)["score"]
    return score
