"""The promise of a unit of work: one transaction over records, whichever engine keeps it.

Everyone but the composition root holds this promise and no engine. Methods take and give inner
values (see kinds); none of them commits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from creditdesk.schema.entity import Entity, Record
from creditdesk.schema.query import Filter, ListQuery, Order, Page


@dataclass(frozen=True, slots=True)
class CounterMismatch:
    """The records of one stretch of a column, from `first` on: how many are kept as their number,
    and how many there are. CreatedOn begins with an instant, Id with a number. A `location` is an
    id, 0 where records have none, and None where those of all are counted together.
    """

    column: str
    start: datetime | int
    location: int | None
    stored: int
    actual: int


@dataclass(frozen=True, slots=True)
class FindQuery:
    """Which records of an entity are looked for, and the values to read of each, all if none is
    named.
    """

    entity: type[Entity]
    filters: Sequence[Filter] = ()
    columns: Sequence[str] = ()


class Finder(Protocol):
    """Whoever answers questions about the records."""

    async def find(
        self, entity: type[Entity], filters: Sequence[Filter] = (), *, columns: Sequence[str] = ()
    ) -> list[Record]:
        """Records without collections, by Id; with `names` only those values."""

    async def find_many(self, queries: Sequence[FindQuery]) -> list[list[Record]]:
        """What `find` gives for each question, all in one exchange with the engine."""


class ReadSession(Finder, Protocol):
    """A consistent look at the records; it cannot write."""

    async def page(self, query: ListQuery) -> Page:
        """One page, columns in `shape().listed` order, with the exact number of all that match."""

    async def get(
        self, entity: type[Entity], record_id: int, filters: Sequence[Filter] = ()
    ) -> Record | None:
        """The whole record, lent values and collections included, or None."""

    async def get_many(
        self, entity: type[Entity], ids: Sequence[int], filters: Sequence[Filter] = ()
    ) -> dict[int, Record]:
        """Whole records by id, lent values and collections included; missing ones left out."""

    async def find(
        self,
        entity: type[Entity],
        filters: Sequence[Filter] = (),
        order: Order | None = None,
        limit: int | None = None,
        *,
        after_id: int | None = None,
        columns: Sequence[str] = (),
    ) -> list[Record]:
        """Records without collections, by Id unless `order` says otherwise.

        With `names` only those values are read: own, lent and collections, or what filters reach.
        """

    async def stale(
        self, entity: type[Entity], after_id: int, limit: int
    ) -> list[tuple[int, tuple[str, ...]]]:
        """The first records after an id, at most so many, with copies of lent values that differ
        from what they copy: each with the names of those columns.
        """

    async def counter_mismatches(self, entity: type[Entity]) -> list[CounterMismatch]:
        """The kept numbers of a tallied entity's records that are not what counting them gives."""

    async def count(self, entity: type[Entity], filters: Sequence[Filter] = ()) -> int:
        """How many records match."""


@dataclass(frozen=True, slots=True)
class Insert:
    """Whole records to add, without collections: each with its Id, or all to get fresh ones."""

    entity: type[Entity]
    records: Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Update:
    """Stored values to set by Id; every change names the same ones."""

    entity: type[Entity]
    changes: Sequence[tuple[int, Mapping[str, Any]]]


class WriteSession(ReadSession, Protocol):
    """One writing transaction. It ends committed, or as if it had never been."""

    async def lock(
        self,
        entity: type[Entity],
        ids: Sequence[int],
        columns: Sequence[str] = (),
        *,
        skip_locked: Sequence[int] = (),
    ) -> dict[int, Record]:
        """The records' own stored values, locked in id order until the unit ends.

        It waits for another unit that has locked one, but leaves out those of `if_free` that are
        locked. With `names`, of which Id must be one, only those values are read.
        """

    async def next_ids(self, counts: Mapping[type[Entity], int]) -> dict[type[Entity], list[int]]:
        """So many fresh ids for each entity, never given twice, in rising order."""

    async def insert(self, entity: type[Entity], records: Sequence[Mapping[str, Any]]) -> list[int]:
        """Adds records (Id given or fresh; collections included) and gives their ids."""

    async def update(
        self, entity: type[Entity], changes: Sequence[tuple[int, Mapping[str, Any]]]
    ) -> None:
        """Sets the named values (collections are replaced) of each record."""

    async def write(
        self, writes: Sequence[Insert | Update], returning: type[Entity] | None = None
    ) -> dict[int, Record]:
        """Carries out writes on different tables together, in one exchange with the engine.

        Gives the whole records that were inserted of `showing`, by id; what they lend from tables
        that the other writes change is as it was before.
        """

    async def delete(self, entity: type[Entity], ids: Sequence[int]) -> None:
        """Removes records; refusals.Blocked when others refer to them."""


class Store(Protocol):
    """Where units of work come from."""

    def read_session(self, *, snapshot: bool = True) -> AbstractAsyncContextManager[ReadSession]:
        """A read-only session that sees the database as it was at its first statement.

        Without `snapshot` each statement sees what is committed when it runs; that saves opening and
        ending a transaction where a request reads once.
        """

    def write_session(self) -> AbstractAsyncContextManager[WriteSession]:
        """A unit that commits when its block ends and undoes all when the block raises."""

    def bulk_load(
        self, entities: Sequence[type[Entity]]
    ) -> AbstractAsyncContextManager[WriteSession]:
        """A writing unit for very many new records of these entities in a database that holds few.

        Until it ends nobody else reaches their tables, records are found quickly by Id alone, and
        what is not unique or refers to nothing is refused only as it ends.
        """

    async def close(self) -> None:
        """Lets go of every connection."""
