"""When a contract is active (rule 27): from its start until its end, except during its pause."""

from datetime import date, datetime
from zoneinfo import ZoneInfo

from msgspec import Struct

from creditdesk.ledger.rules.calendar import local_date


class Pause(Struct, frozen=True):
    """From `starts` up to, but excluding, `ends`; None if that is not known."""

    starts: datetime | None
    ends: datetime | None

    def covers(self, at: datetime) -> bool:
        """Whether the pause lasts at an instant."""
        return (self.starts is None or self.starts <= at) and (self.ends is None or at < self.ends)

    def covers_day(self, day: date, zone: ZoneInfo) -> bool:
        """Whether a local day begins in the pause."""
        return (self.starts is None or local_date(self.starts, zone) <= day) and (
            self.ends is None or day < local_date(self.ends, zone)
        )


class ContractTerm(Struct, frozen=True):
    """A contract's start, its end where one is set, and its pause, past or to come."""

    starts: datetime
    ends: datetime | None = None
    pause: Pause | None = None

    def has_ended(self, at: datetime) -> bool:
        """Whether the contract is over at an instant."""
        return self.ends is not None and self.ends <= at

    def is_paused(self, at: datetime) -> bool:
        """Whether the contract is in its pause at an instant."""
        return self.pause is not None and self.pause.covers(at)

    def is_active(self, at: datetime) -> bool:
        """Whether the contract has begun, has not ended and is not paused."""
        return self.starts <= at and not self.has_ended(at) and not self.is_paused(at)
