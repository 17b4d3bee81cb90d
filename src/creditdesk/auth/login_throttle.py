"""Failed sign-ins, counted in the database so that all workers share the count.

Known and unknown accounts count alike. Only a hash is kept of what was tried, since people type
passwords into the wrong box.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from math import ceil

from creditdesk.auth.records import new_row
from creditdesk.auth.settings import AuthSettings
from creditdesk.entities.security.sign_in_attempt import SignInAttempt
from creditdesk.schema.query import Filter, Order, Test
from creditdesk.schema.repository import Reading, Unit

_REMOVED_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Counted:
    """What a sign-in is counted against: hashes, and how many failures each may have."""

    account: str
    limits: tuple[tuple[str, int], ...]
    window: timedelta


def counted(login: str, address: str | None, settings: AuthSettings) -> Counted:
    """What a sign-in under this login from this address is counted against."""
    account = _hash("account", login)
    limits = [(account, settings.sign_in_failures_account)]
    if address:
        limits.append((_hash("address", address), settings.sign_in_failures_address))
    chosen = tuple((against, limit) for against, limit in limits if limit > 0)
    return Counted(account, chosen, timedelta(seconds=settings.sign_in_window_seconds))


async def seconds_to_wait(reading: Reading, who: Counted, now: datetime) -> int:
    """How long this sign-in must wait; 0 when it may be tried."""
    shape = SignInAttempt.shape().columns
    newest = Order(shape["CreatedOn"], descending=True)
    waits = [0]
    for against, limit in who.limits:
        filters = [
            Filter(shape["Against"], Test.IS, against),
            Filter(shape["CreatedOn"], Test.AT_LEAST, now - who.window),
        ]
        failures = await reading.find(SignInAttempt, filters, newest, limit)
        if len(failures) == limit:
            left = failures[-1]["CreatedOn"] + who.window - now
            waits.append(max(1, ceil(left.total_seconds())))
    return max(waits)


async def count_failure(unit: Unit, who: Counted, now: datetime) -> None:
    """Notes one failure, and removes those that no window reaches any more."""
    rows = [new_row(SignInAttempt, now, Against=against) for against, _ in who.limits]
    if rows:
        await unit.insert(SignInAttempt, rows)
    created = SignInAttempt.shape().columns["CreatedOn"]
    past = Filter(created, Test.AT_MOST, now - 2 * who.window)
    await _remove(unit, [past])


async def forget_failures(unit: Unit, who: Counted) -> None:
    """Clears an account's count after a success; an address keeps its own."""
    against = SignInAttempt.shape().columns["Against"]
    await _remove(unit, [Filter(against, Test.IS, who.account)])


async def _remove(unit: Unit, filters: Sequence[Filter]) -> None:
    rows = await unit.find(SignInAttempt, filters, limit=_REMOVED_AT_ONCE)
    if rows:
        await unit.delete(SignInAttempt, [row["Id"] for row in rows])


def _hash(what: str, value: str) -> str:
    return sha256(f"{what}:{value}".encode()).hexdigest()
