"""Throttling of failed sign-ins, counted in the database for all workers.

Unknown accounts count like known ones. Logins are stored as hashes, as users enter passwords in the
wrong field.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from math import ceil

from creditdesk.entities.security.sign_in_attempt import SignInAttempt
from creditdesk.schema.query import Comparison, Filter, Order
from creditdesk.schema.records import new_record
from creditdesk.schema.repository import ReadSession, WriteSession
from creditdesk.settings import AuthSettings

_DELETE_BATCH_SIZE = 500


@dataclass(frozen=True, slots=True)
class LoginCounters:
    """The counters of a sign-in: hashes, and the failures each allows within `window`."""

    account_key: str
    limits: tuple[tuple[str, int], ...]
    window: timedelta


def login_counters(login: str, address: str | None, settings: AuthSettings) -> LoginCounters:
    """The counters of a sign-in with this login from this address."""
    account_key = _hash("account", login)
    limits = [(account_key, settings.sign_in_failures_per_account)]
    if address:
        limits.append((_hash("address", address), settings.sign_in_failures_per_address))
    enabled = tuple((key, limit) for key, limit in limits if limit > 0)
    return LoginCounters(account_key, enabled, timedelta(seconds=settings.sign_in_window_seconds))


async def retry_after_seconds(session: ReadSession, counters: LoginCounters, now: datetime) -> int:
    """The seconds until this sign-in may be tried; 0 for now."""
    meta = SignInAttempt.meta().columns
    newest = Order(meta["CreatedOn"], descending=True)
    waits = [0]
    for key, limit in counters.limits:
        filters = [
            Filter(meta["Against"], Comparison.EQUALS, key),
            Filter(meta["CreatedOn"], Comparison.AT_LEAST, now - counters.window),
        ]
        failures = await session.find(SignInAttempt, filters, newest, limit)
        if len(failures) == limit:
            left = failures[-1]["CreatedOn"] + counters.window - now
            waits.append(max(1, ceil(left.total_seconds())))
    return max(waits)


async def record_failure(session: WriteSession, counters: LoginCounters, now: datetime) -> None:
    """Counts a failure, and deletes failures older than any window."""
    rows = [new_record(SignInAttempt, {"Against": against}, now) for against, _ in counters.limits]
    if rows:
        await session.insert(SignInAttempt, rows)
    created = SignInAttempt.meta().columns["CreatedOn"]
    expired = Filter(created, Comparison.AT_MOST, now - 2 * counters.window)
    await _delete(session, [expired])


async def clear_failures(session: WriteSession, counters: LoginCounters) -> None:
    """Resets the account's counter after a success, not the address's."""
    against = SignInAttempt.meta().columns["Against"]
    await _delete(session, [Filter(against, Comparison.EQUALS, counters.account_key)])


async def _delete(session: WriteSession, filters: Sequence[Filter]) -> None:
    rows = await session.find(SignInAttempt, filters, limit=_DELETE_BATCH_SIZE)
    if rows:
        await session.delete(SignInAttempt, [row["Id"] for row in rows])


def _hash(what: str, value: str) -> str:
    return sha256(f"{what}:{value}".encode()).hexdigest()
