"""Limits on the requests of one caller, counted for the whole service; off by default.

The counters are rows of the database. A worker takes several requests of a window at once (a
lease) and counts those in memory, so that most requests cost no statement. Leases shrink as the
limit comes near; together the workers never admit more than the limit, and the last few requests
of a window may be refused early while another worker holds an unused lease. A window starts with
the first request in it.
"""

from __future__ import annotations

from asyncio import Lock
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import ceil
from typing import Final

from creditdesk.entities.security.rate_limit_window import RateLimitWindow
from creditdesk.schema.entity import Record
from creditdesk.schema.errors import Conflict, RateLimited
from creditdesk.schema.query import where
from creditdesk.schema.records import new_record
from creditdesk.schema.repository import Store, WriteSession
from creditdesk.schema.service import Principal
from creditdesk.settings import RateLimitSettings

MAX_LEASES: Final = 20_000
LEASE_DIVISOR: Final = 16
"""A lease is the remaining limit divided by this, rounded up."""
_READ_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})


@dataclass(frozen=True, slots=True)
class _Limit:
    """A number of requests in a number of seconds, of writes only or of all methods."""

    name: str
    requests: int
    seconds: int
    writes_only: bool


@dataclass(slots=True)
class _Lease:
    """Requests of one window that this worker may still admit; `is_last` if the window has no more to lease."""

    ends_on: datetime
    left: int
    is_last: bool


class RateLimiter:
    """Admits requests until a limit is reached, then rejects them with the time to wait."""

    def __init__(self, settings: RateLimitSettings, store: Store) -> None:
        limits = (
            _Limit("writes_per_minute", settings.writes_per_minute, 60, True),
            _Limit("writes_per_day", settings.writes_per_day, 86_400, True),
            _Limit("calls_per_minute", settings.calls_per_minute, 60, False),
            _Limit("calls_per_hour", settings.calls_per_hour, 3_600, False),
            _Limit("calls_per_day", settings.calls_per_day, 86_400, False),
        )
        self._limits = tuple(limit for limit in limits if limit.requests > 0)
        self._store = store
        self._leases: dict[tuple[int, str], _Lease] = {}
        self._renewing = Lock()
        self.is_active = bool(self._limits)

    async def check(self, principal: Principal, method: str, now: datetime) -> None:
        """Counts one request. Raises RateLimited, without counting, if a limit is reached."""
        is_read = method in _READ_METHODS
        limits = [limit for limit in self._limits if not (is_read and limit.writes_only)]
        user_id = principal.user_id
        if self._used_up(user_id, limits, now):
            # One renewal at a time: requests that waited use its lease.
            async with self._renewing:
                while used_up := self._used_up(user_id, limits, now):
                    await self._renew(user_id, used_up, now)
        leases = [self._leases[user_id, limit.name] for limit in limits]
        waits = [(lease.ends_on - now).total_seconds() for lease in leases if not lease.left]
        if waits:
            raise RateLimited(max(1, ceil(max(waits))))
        for lease in leases:
            lease.left -= 1

    def _used_up(self, user_id: int, limits: Sequence[_Limit], now: datetime) -> list[_Limit]:
        """The limits whose lease has ended, or is used up while the window has more to lease."""
        found: list[_Limit] = []
        for limit in limits:
            lease = self._leases.get((user_id, limit.name))
            if lease is None or lease.ends_on <= now or not (lease.left or lease.is_last):
                found.append(limit)
        return found

    async def _renew(self, user_id: int, limits: Sequence[_Limit], now: datetime) -> None:
        if len(self._leases) >= MAX_LEASES:
            self._evict(now)
        try:
            leases = await self._lease(user_id, limits, now)
        except Conflict:
            # Another worker added the same windows first.
            leases = await self._lease(user_id, limits, now)
        for limit, lease in zip(limits, leases, strict=True):
            self._leases[user_id, limit.name] = lease

    async def _lease(self, user_id: int, limits: Sequence[_Limit], now: datetime) -> list[_Lease]:
        """Takes a lease of each limit, in one transaction."""
        async with self._store.write_session() as session:
            windows = await _lock_windows(session, user_id)
            return [await _take_lease(session, user_id, limit, windows.get(limit.name), now) for limit in limits]

    def _evict(self, now: datetime) -> None:
        """Drops leases that have ended and, if that is not enough, the oldest half.

        The unused requests of a dropped lease are lost to the caller until the window ends.
        """
        open_ = {key: lease for key, lease in self._leases.items() if lease.ends_on > now}
        if len(open_) >= MAX_LEASES:
            open_ = dict(list(open_.items())[MAX_LEASES // 2 :])
        self._leases = open_


async def _lock_windows(session: WriteSession, user_id: int) -> dict[str, Record]:
    """The caller's windows by the name of their limit, locked."""
    found = await session.find(RateLimitWindow, where(RateLimitWindow, UserId=user_id), columns=["Id"])
    locked = await session.lock(RateLimitWindow, [row["Id"] for row in found])
    return {window["LimitName"]: window for window in locked.values()}


async def _take_lease(
    session: WriteSession, user_id: int, limit: _Limit, window: Record | None, now: datetime
) -> _Lease:
    """Takes a part of the window's remaining requests; starts a new window if it has ended."""
    if window is not None and window["EndsOn"] > now:
        ends_on, used = window["EndsOn"], window["Used"]
    else:
        ends_on, used = now + timedelta(seconds=limit.seconds), 0
    granted = max(0, ceil((limit.requests - used) / LEASE_DIVISOR))
    values: Record = {"EndsOn": ends_on, "Used": used + granted}
    if window is None:
        values |= {"UserId": user_id, "LimitName": limit.name}
        await session.insert(RateLimitWindow, [new_record(RateLimitWindow, values, now)])
    else:
        await session.update(RateLimitWindow, [(window["Id"], values)])
    return _Lease(ends_on, granted, used + granted >= limit.requests)
