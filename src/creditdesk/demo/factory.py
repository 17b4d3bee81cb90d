"""Creates records reproducibly from a seed: Ids count from 1, everything random is seeded."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import count
from random import Random
from typing import Any, Final, TypeVar

from creditdesk.schema.entity import Entity, Record
from creditdesk.schema.records import new_record, uuid7

DEMO_START: Final = datetime(2025, 5, 1, tzinfo=UTC)
DEMO_DAYS: Final = 548
FAR_FUTURE: Final = datetime(2032, 1, 1, tzinfo=UTC)
"""After any day on which the demo is used."""

DEMO_ADMIN_EMAIL: Final = "admin@demo.creditdesk.example"
T = TypeVar("T")
RecordsByEntity = dict[type[Entity], list[Record]]


class RecordFactory:
    """Creates complete records and collects them by entity until they are taken."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)  # noqa: S311 - a reproducible demo, no secrets
        self._pending: RecordsByEntity = {}
        self._last_ids: dict[type[Entity], int] = {}
        self._last_time = DEMO_START
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

    def random_time(self, first_day: float = 0, last_day: float = DEMO_DAYS) -> datetime:
        """A random quarter of an hour between two days of the demo, counted from its start."""
        quarters = self.random.randrange(int(first_day * 96), int(last_day * 96))
        return DEMO_START + timedelta(minutes=15 * quarters)
