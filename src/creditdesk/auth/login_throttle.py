"""Growing waits after failed sign-ins, counted in the database for all workers.

Guesses by others lock nobody out. Wrong passwords count for the pair of login and address, or for the client if
it is known, by a device secret of an earlier sign-in or by a valid refresh token. The first failures of a pair
cause no wait; from an address with many failures, only the first one does not. Wrong one-time codes count for the
user from any address, because guessing them requires the password.

Unknown accounts count like known ones. Logins are stored as hashes, because users enter passwords in the wrong
field.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from math import ceil
from typing import Final

from creditdesk.entities.security.sign_in_attempt import SignInAttempt
from creditdesk.schema.query import Comparison, Filter, Order, where
from creditdesk.schema.records import new_record
from creditdesk.schema.repository import ReadSession, WriteSession, delete_matching
from creditdesk.settings import AuthSettings

WINDOW: Final = timedelta(days=1)
"""How long a failure counts."""
FREE_FAILURES_AT_BUSY_ADDRESS: Final = 1
BUSY_ADDRESS_FAILURES: Final = 50
"""The failures of one address, over all logins, after which its pairs have only one failure without a wait."""
_LONGEST_EXPONENT: Final = 30
_DELETE_BATCH_SIZE: Final = 500


@dataclass(frozen=True, slots=True)
class LoginCounters:
    """The counters of failures of a sign-in, as hashes: of the client or pair, and of the address."""

    client: str
    address: str | None


def login_counters(login: str, address: str | None, known_client: str | None = None) -> LoginCounters:
    """The counters of a sign-in with this login, from this address or known client."""
    client = _hash("client", f"{login}\n{known_client}") if known_client else _hash("pair", f"{login}\n{address}")
    return LoginCounters(client, _hash("address", address) if address and not known_client else None)


def code_counters(user_id: int, known_client: str | None) -> LoginCounters:
    """The counters of wrong one-time codes of a user."""
    return LoginCounters(_hash("code", f"{user_id}\n{known_client or ''}"), None)


def link_counters(login: str, address: str | None) -> LoginCounters:
    """The counters of requests for links by e-mail; each request counts like a failed sign-in."""
    return LoginCounters(
        _hash("link", f"{login}\n{address}"), _hash("link address", address) if address is not None else None
    )


async def retry_after_seconds(
    session: ReadSession, counters: LoginCounters, settings: AuthSettings, now: datetime
) -> int:
    """The seconds until this sign-in may be tried; 0 if it may be tried now."""
    free = settings.sign_in_free_failures
    if not free:
        return 0
    if counters.address:
        failures = await _failures(session, counters.address, now, BUSY_ADDRESS_FAILURES)
        if len(failures) == BUSY_ADDRESS_FAILURES:
            free = FREE_FAILURES_AT_BUSY_ADDRESS
    failures = await _failures(session, counters.client, now, free + _LONGEST_EXPONENT)
    if len(failures) < free:
        return 0
    wait = min(2 ** (len(failures) - free), settings.sign_in_max_wait_seconds)
    left = failures[0] + timedelta(seconds=wait) - now
    return max(0, ceil(left.total_seconds()))


async def record_failure(session: WriteSession, counters: LoginCounters, now: datetime) -> None:
    """Counts a failure, and deletes failures that no longer count."""
    keys = [key for key in (counters.client, counters.address) if key]
    await session.insert(SignInAttempt, [new_record(SignInAttempt, {"Against": key}, now) for key in keys])
    past = Filter(SignInAttempt.meta().columns["CreatedOn"], Comparison.AT_MOST, now - WINDOW)
    await delete_matching(session, SignInAttempt, (past,), _DELETE_BATCH_SIZE)


async def clear_failures(session: WriteSession, counters: LoginCounters) -> None:
    """Resets the client's or pair's counter after a success, not the address's."""
    await delete_matching(session, SignInAttempt, where(SignInAttempt, Against=counters.client), _DELETE_BATCH_SIZE)


async def _failures(session: ReadSession, key: str, now: datetime, limit: int) -> list[datetime]:
    """When the latest failures were, newest first."""
    created = SignInAttempt.meta().columns["CreatedOn"]
    filters = (*where(SignInAttempt, Against=key), Filter(created, Comparison.AT_LEAST, now - WINDOW))
    found = await session.find(SignInAttempt, filters, Order(created, descending=True), limit)
    return [each["CreatedOn"] for each in found]


def _hash(what: str, value: str) -> str:
    return sha256(f"{what}:{value}".encode()).hexdigest()
