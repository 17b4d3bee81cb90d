"""The protocols of the store and its sessions: one transaction over records, on any engine.

Values are internal values (see `fields`). No method commits; the session does when its block ends.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Protocol, TypeVar

from creditdesk.schema.cross_checks import CrossChecks
from creditdesk.schema.entity import Entity, Record
from creditdesk.schema.grouped_sums import GroupedSums
from creditdesk.schema.query import Filter, ListQuery, Order, Page

T = TypeVar("T")

CACHE_LEASE_MILLISECONDS: Final = 50
"""How long a process may use cached `cached_fields` after it read the cache revision.

A write session that changes such a field ends this much later than its commit, so that no process uses the
former values when the caller learns of the change.
"""


@dataclass(frozen=True, slots=True)
class CounterMismatch:
    """A row counter that differs from the number of rows.

    The counter covers a range of `column` (CreatedOn or Id) that begins at `start`. `location` is an
    id, 0 for rows without one, or None for the counter of all locations.
    """

    column: str
    start: datetime | int
    location: int | None
    stored: int
    actual: int


@dataclass(frozen=True, slots=True)
class FindQuery:
    """Which records to find, and the columns to read of each; all columns where none is named."""

    entity: type[Entity]
    filters: Sequence[Filter] = ()
    columns: Sequence[str] = ()


class Finder(Protocol):
    """Finds records."""

    async def find(
        self, entity: type[Entity], filters: Sequence[Filter] = (), *, columns: Sequence[str] = ()
    ) -> list[Record]:
        """Records without collections, ordered by Id; only `columns` where given."""

    async def find_many(self, queries: Sequence[FindQuery]) -> list[list[Record]]:
        """The result of `find` for each query, in one round trip."""


class ReadSession(Finder, CrossChecks, GroupedSums, Protocol):
    """A session that only reads."""

    async def is_writable(self) -> bool:
        """Whether the database accepts writes; a replica does not."""

    async def cache_revision(self) -> int:
        """A number that rises with every committed change of a `cached_fields` column."""

    async def page(self, query: ListQuery) -> Page:
        """One page, by `meta().list_columns`, with the exact total."""

    async def get(self, entity: type[Entity], record_id: int, filters: Sequence[Filter] = ()) -> Record | None:
        """The whole record with embedded values and collections, or None."""

    async def get_many(
        self, entity: type[Entity], ids: Sequence[int], filters: Sequence[Filter] = ()
    ) -> dict[int, Record]:
        """Whole records by id, with embedded values and collections; missing ids are left out."""

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
        """Records without collections, ordered by Id or `order`, from `after_id` on.

        columns: own, embedded or filter-only columns and collections; only these are read.
        """

    async def find_latest(
        self,
        entity: type[Entity],
        group: Sequence[str],
        number: str,
        filters: Sequence[Filter],
        *,
        keep: Sequence[Filter] = (),
        columns: Sequence[str],
    ) -> list[Record]:
        """The record with the highest `number` of each group of records that match, in no order.

        group: own columns that are equal within a group; with `number` they are unique. keep: filters on the records
        found; an index on the group finds these without reading other records.
        """

    async def stale(self, entity: type[Entity], after_id: int, limit: int) -> list[tuple[int, tuple[str, ...]]]:
        """Records after `after_id` whose denormalized values differ from their source.

        Returns at most `limit` pairs of Id and the names of the columns that differ.
        """

    async def counter_mismatches(self, entity: type[Entity]) -> list[CounterMismatch]:
        """The row counters of a counted entity that differ from its rows."""

    async def count(self, entity: type[Entity], filters: Sequence[Filter] = ()) -> int:
        """The number of records that match."""


async def find_first(
    session: ReadSession,
    entity: type[Entity],
    filters: Sequence[Filter] = (),
    order: Order | None = None,
    *,
    columns: Sequence[str] = (),
) -> Record | None:
    """The first record that matches, by Id or `order`; None without any."""
    found = await session.find(entity, filters, order, 1, columns=columns)
    return found[0] if found else None


@dataclass(frozen=True, slots=True)
class Insert:
    """Whole records to insert, without collections. Either all have an Id or none does."""

    entity: type[Entity]
    records: Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Update:
    """Stored values to set by Id; every change sets the same columns."""

    entity: type[Entity]
    changes: Sequence[tuple[int, Mapping[str, Any]]]


class WriteSession(ReadSession, Protocol):
    """A read-write transaction."""

    def after_commit(self, action: Callable[[], None]) -> None:
        """Calls `action` once the transaction is committed, and not at all when it is rolled back."""

    def savepoint(self) -> AbstractAsyncContextManager[WriteSession]:
        """Yields this session; an error rolls back what the block wrote, and the transaction goes on."""

    async def lock(
        self,
        entity: type[Entity],
        ids: Sequence[int],
        columns: Sequence[str] = (),
        *,
        skip_locked: Sequence[int] = (),
    ) -> dict[int, Record]:
        """Locks records in id order until the session ends; returns their stored values by id.

        Waits for other sessions that hold a lock, but leaves out ids of `skip_locked` that are
        locked. columns: what to read, Id among them; all stored columns where none is named.
        """

    async def next_ids(self, counts: Mapping[type[Entity], int]) -> dict[type[Entity], list[int]]:
        """The given number of new ids for each entity, ascending; no id is returned twice."""

    async def insert(self, entity: type[Entity], records: Sequence[Mapping[str, Any]]) -> list[int]:
        """Inserts records with their collections; returns their ids, new ones where Id is absent."""

    async def update(self, entity: type[Entity], changes: Sequence[tuple[int, Mapping[str, Any]]]) -> None:
        """Sets values by Id; a collection is replaced."""

    async def write(
        self, writes: Sequence[Insert | Update], returning: type[Entity] | None = None
    ) -> dict[int, Record]:
        """Executes writes on different tables in one round trip.

        Returns the whole records inserted into `returning`, by id. Their embedded values are those from before the
        other writes.
        """

    async def delete(self, entity: type[Entity], ids: Sequence[int]) -> None:
        """Deletes records. Raises StateConflict where others refer to one of them."""


async def delete_matching(
    session: WriteSession, entity: type[Entity], filters: Sequence[Filter] = (), limit: int | None = None
) -> int:
    """Deletes the records that match, at most `limit`; returns how many."""
    found = await session.find(entity, filters, limit=limit, columns=("Id",))
    if found:
        await session.delete(entity, [record["Id"] for record in found])
    return len(found)


class Store(Protocol):
    """Opens sessions on one database."""

    def read_session(self, *, snapshot: bool = True) -> AbstractAsyncContextManager[ReadSession]:
        """A read-only session that sees the database as it was at its first statement.

        Without `snapshot` each statement sees what is committed when it runs, which saves a transaction for requests
        that read once.
        """

    async def read_detached(self, work: Callable[[ReadSession], Awaitable[T]]) -> T:
        """The result of `work` over a snapshot, on a thread with an event loop and a connection of its own.

        For reads of many rows, which would block the event loop for other requests. `work` must await nothing but its
        session.
        """

    def write_session(self) -> AbstractAsyncContextManager[WriteSession]:
        """A transaction that commits when its block ends and rolls back on exception.

        Ends `CACHE_LEASE_MILLISECONDS` after the commit where `cached_fields` have changed.
        """

    def bulk_load(self, entities: Sequence[type[Entity]]) -> AbstractAsyncContextManager[WriteSession]:
        """A write session for a large number of new records of `entities`.

        Until it ends, it locks their tables, only Id is indexed, and unique and reference
        constraints are not checked; they are checked as it ends.
        """

    async def close(self) -> None:
        """Closes every connection."""
