"""How often one caller may call. Counts in memory, each worker for itself; off by default.

A window starts with a caller's first call in it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from math import ceil
from typing import Final

from creditdesk.schema.errors import RateLimited
from creditdesk.schema.service import Principal
from creditdesk.settings import RateLimitSettings

MAX_WINDOWS: Final = 20_000
_READING_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})


@dataclass(frozen=True, slots=True)
class _Limit:
    """So many calls in so many seconds, of writes alone or of all verbs."""

    calls: int
    seconds: int
    writes_only: bool


@dataclass(slots=True)
class _Window:
    """What one caller has used of one limit."""

    ends: float
    used: int = 0


class RateLimiter:
    """Admits calls until a limit is reached, then says how long to wait."""

    def __init__(self, settings: RateLimitSettings) -> None:
        limits = (
            _Limit(settings.writes_per_minute, 60, True),
            _Limit(settings.writes_per_day, 86_400, True),
            _Limit(settings.calls_per_minute, 60, False),
            _Limit(settings.calls_per_hour, 3_600, False),
            _Limit(settings.calls_per_day, 86_400, False),
        )
        self._limits = tuple(limit for limit in limits if limit.calls > 0)
        self._windows: dict[tuple[int, _Limit], _Window] = {}
        self.is_active = bool(self._limits)

    async def check(self, principal: Principal, method: str, now: datetime) -> None:
        """Counts one call of a caller. Raises Throttled, counting nothing, over a limit."""
        if not self._limits:
            return
        moment = now.timestamp()
        reads = method in _READING_METHODS
        touched = [
            self._window(principal.user_id, limit, moment)
            for limit in self._limits
            if not (reads and limit.writes_only)
        ]
        full = [window.ends - moment for limit, window in touched if window.used >= limit.calls]
        if full:
            raise RateLimited(max(1, ceil(max(full))))
        for _, window in touched:
            window.used += 1

    def _window(self, user_id: int, limit: _Limit, moment: float) -> tuple[_Limit, _Window]:
        window = self._windows.get((user_id, limit))
        if window is None or window.ends <= moment:
            if len(self._windows) >= MAX_WINDOWS:
                self._evict(moment)
            window = self._windows[user_id, limit] = _Window(moment + limit.seconds)
        return limit, window

    def _evict(self, moment: float) -> None:
        """Makes room: windows that are over, and if that is not enough the oldest half."""
        open_ = {k: w for k, w in self._windows.items() if w.ends > moment}
        if len(open_) >= MAX_WINDOWS:
            open_ = dict(list(open_.items())[MAX_WINDOWS // 2 :])
        self._windows = open_
