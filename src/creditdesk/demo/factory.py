"""Creates records reproducibly from a seed: Ids count from 1, everything random is seeded."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from itertools import count
from random import Random
from typing import Any, Final, TypeVar

from creditdesk.schema.entity import Entity, Record
from creditdesk.schema.records import new_record, uuid7

DEFAULT_UNTIL: Final = date(2026, 10, 31)
DEMO_DAYS: Final = 548
_DAYS_TO_FAR_FUTURE: Final = 2436

DEMO_ADMIN_EMAIL: Final = "admin@demo.creditdesk.example"
T = TypeVar("T")
RecordsByEntity = dict[type[Entity], list[Record]]


class RecordFactory:
    """Creates complete records and collects them by entity until they are taken.

    Records are dated in the 18 months before `until`. `far_future` is later than any use of the demo.
    """

    def __init__(self, seed: int, until: date = DEFAULT_UNTIL) -> None:
        self.ends: Final = datetime.combine(until, time(), UTC)
        self.start: Final = self.ends - timedelta(days=DEMO_DAYS)
        self.far_future: Final = self.start + timedelta(days=_DAYS_TO_FAR_FUTURE)
        self.random = Random(seed)  # noqa: S311 - a reproducible demo, no secrets
        self._pending: RecordsByEntity = {}
        self._last_ids: dict[type[Entity], int] = {}
        self._last_time = self.start
        self.line_ids = count(1)
        """The Ids of journal lines."""

    def create(self, entity: type[Entity], at: datetime, **values: Any) -> Record:
        """One new record, created at `at`; an absent column gets its default."""
        self._last_time = at
        number = self._last_ids[entity] = self._last_ids.get(entity, 0) + 1
        given = {**values, "Id": number, "UniqueId": self.unique_id()}
        record = new_record(entity, given, at, DEMO_ADMIN_EMAIL)
        self._pending.setdefault(entity, []).append(record)
        return record

    def add(self, entity: type[Entity], records: Sequence[Record]) -> None:
        """Collects records created elsewhere with UniqueIds of this factory."""
        self._pending.setdefault(entity, []).extend(records)

    @property
    def pending_rows(self) -> int:
        return sum(map(len, self._pending.values()))

    def take_pending(self) -> RecordsByEntity:
        """Returns and clears the records collected so far."""
        taken, self._pending = self._pending, {}
        return taken

    def unique_id(self) -> str:
        """A UUIDv7 at the time of the last record, random by the seed."""
        return uuid7(self._last_time, self.random.randbytes(16))

    def choice(self, options: Sequence[T]) -> T:
        return options[int(self.random.random() * len(options))]

    def random_time(self, first_day: int) -> datetime:
        """A random quarter of an hour of the demo, from a day on that is counted from its start."""
        quarters = self.random.randrange(first_day * 96, DEMO_DAYS * 96)
        return self.start + timedelta(minutes=15 * quarters)
