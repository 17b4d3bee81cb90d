"""When jobs are due."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True, slots=True)
class Schedule:
    """A job is due every `period`, counted from midnight UTC plus `offset`."""

    period: timedelta
    offset: timedelta = timedelta()

    def latest_due(self, now: datetime) -> datetime:
        """The last due time by `now`."""
        origin = now.replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=1) + self.offset
        return origin + (now - origin) // self.period * self.period

    def is_due(self, last_started: datetime | None, now: datetime) -> bool:
        """Whether it should run at `now`; a missed run is made up for once."""
        return last_started is None or last_started < self.latest_due(now)
