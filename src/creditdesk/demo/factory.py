"""Records from a seed: ids counted from 1, UniqueIds and chances from one source of chance."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any, Final, TypeVar

from creditdesk.schema.entity import Entity, Record

START: Final = datetime(2025, 5, 1, tzinfo=UTC)
DAYS: Final = 548
FAR: Final = datetime(2032, 1, 1, tzinfo=UTC)
"""Beyond any day on which the demo is looked at."""

ACTOR: Final = "admin@demo.creditdesk.example"
_NOT_FIXED: Final = ~((0xF << 76) | (0x3 << 62))
_VERSION_4: Final = (0x4 << 76) | (0x2 << 62)
T = TypeVar("T")
Gathered = dict[type[Entity], list[Record]]


class Maker:
    """Makes whole records and gathers them, entity by entity, until they are taken."""

    def __init__(self, seed: int) -> None:
        self.chance = Random(seed)  # noqa: S311 - the same seed gives the same house
        self._gathered: Gathered = {}
        self._last: dict[type[Entity], int] = {}
        self._blank: dict[type[Entity], Record] = {}

    def make(self, entity: type[Entity], at: datetime, **values: Any) -> Record:
        """One new record, created at `at`; what is not given and has no default is left out."""
        blank = self._blank.get(entity)
        if blank is None:
            shape = entity.shape()
            blank = {c.name: c.kind.empty for c in shape.stored if c.kind.empty is not None}
            self._blank[entity] = blank
        number = self._last[entity] = self._last.get(entity, 0) + 1
        record = {
            **blank,
            **values,
            "Id": number,
            "UniqueId": self.unique_id(),
            "CreatedOn": at,
            "UpdatedOn": at,
            "UpdatedBy": ACTOR,
        }
        self._gathered.setdefault(entity, []).append(record)
        return record

    def gather(self, entity: type[Entity], records: Sequence[Record]) -> None:
        """Takes records made elsewhere, with this maker's UniqueIds."""
        self._gathered.setdefault(entity, []).extend(records)

    @property
    def rows_gathered(self) -> int:
        return sum(map(len, self._gathered.values()))

    def take(self) -> Gathered:
        """What was gathered since the last time, entity by entity."""
        taken, self._gathered = self._gathered, {}
        return taken

    def unique_id(self) -> str:
        """A version 4 UUID, spelled out here because a million of them are wanted."""
        bits = self.chance.getrandbits(128) & _NOT_FIXED | _VERSION_4
        h = f"{bits:032x}"
        return f"{h[:8]}-{h[8:12]}-{h[12:16]}-{h[16:20]}-{h[20:]}"

    def one_of(self, things: Sequence[T]) -> T:
        return things[int(self.chance.random() * len(things))]

    def instant(self, first_day: float = 0, last_day: float = DAYS) -> datetime:
        """Some quarter of an hour between two days of the past."""
        quarters = self.chance.randrange(int(first_day * 96), int(last_day * 96))
        return START + timedelta(minutes=15 * quarters)
