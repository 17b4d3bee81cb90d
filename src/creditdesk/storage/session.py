"""Read and write sessions: the part that both engines share.

An engine adds `fetch` and the statements that write rows.
"""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from creditdesk.schema.entity import Column, Entity, Record, declared_entities
from creditdesk.schema.errors import StateConflict
from creditdesk.schema.fields import Collection, Reference
from creditdesk.schema.query import Comparison, Filter, ListQuery, Order, Page
from creditdesk.schema.repository import (
    CACHE_LEASE_MILLISECONDS,
    CounterMismatch,
    FindQuery,
    Insert,
    Update,
)
from creditdesk.storage.codecs import from_microseconds
from creditdesk.storage.counted_queries import is_seekable
from creditdesk.storage.cross_checks import CrossCheckReads
from creditdesk.storage.dialects import Dialect, Execute
from creditdesk.storage.fragments import BoundStatement, RowDecoder
from creditdesk.storage.grouped_sums import GroupedSumReads
from creditdesk.storage.naming import link_table, location_column, table_name
from creditdesk.storage.queries import Statements
from creditdesk.storage.row_counters import (
    ALL_LOCATIONS,
    CREATED_ON_BUCKETS,
    MIN_MICROSECONDS,
    CountedTable,
)
from creditdesk.storage.row_encoding import EncodedRows, TypedColumn, encode_inserts, encode_updates

DEEP_PAGE_OFFSET: Final = 2_000
"""From this offset on, a page is found by the row counters, or read from the nearer end."""

INLINE_ROWS: Final = 250
"""Larger pages are decoded on a thread, so that they do not block the event loop."""

MAX_OFFSET: Final = 2**62
"""Past every row, with room to add to it in 64 bits."""

REFERENCED: Final = "This record cannot be changed: other records refer to it."
LOST_RACE: Final = "Another change came first; nothing was done. Please try again."
"""Messages for violated foreign keys, and for other conflicts with writers."""

NO_ROOM: Final = "The database has no room on its disk; nothing was changed. Reading goes on."
NO_ROOM_SECONDS: Final = 30
"""When a client may repeat a write that failed for lack of disk space, in seconds."""


class BaseReadSession(CrossCheckReads, GroupedSumReads):
    """Implements `ReadSession` over one engine's `fetch`."""

    def __init__(self, statements: Statements) -> None:
        self.statements = statements
        self.dialect: Dialect = statements.dialect

    async def is_writable(self) -> bool:
        [(answer,)] = await self.fetch("SELECT 1", ())
        return bool(answer)

    async def cache_revision(self) -> int:
        rows = await self.fetch("SELECT revision FROM cache_revision", ())
        return int(rows[0][0]) if rows else 0

    async def page(self, query: ListQuery) -> Page:
        offset = min((query.page - 1) * query.size, MAX_OFFSET)
        if offset < DEEP_PAGE_OFFSET:
            found = await fetch_first_rows(self.statements, self.fetch, query, offset)
            return await self._read_page(*found) if found else Page([()] * len(query.entity.meta().list_columns), 0)
        if is_seekable(query.entity, query.filters, query.order):
            return await self._fetch_page(query, offset, query.size, use_counters=True)
        return await self._deep_page(query, offset)

    async def _fetch_page(self, query: ListQuery, offset: int, size: int, *, use_counters: bool = False) -> Page:
        statement = self.statements.page(query, offset, size, use_counters=use_counters)
        return await self._read_page(statement, await self.fetch(statement.text, statement.values))

    async def _read_page(self, statement: BoundStatement, rows: Sequence[Sequence[Any]]) -> Page:
        if len(rows) > INLINE_ROWS:
            return await asyncio.to_thread(self._decode_page, rows, statement.decoder)
        return self._decode_page(rows, statement.decoder)

    def _decode_page(self, rows: Sequence[Sequence[Any]], decoder: RowDecoder) -> Page:
        records = self.dialect.unpack_rows(rows, 1)
        # The total of a page without rows comes in a row of nulls.
        empty = records[0][decoder.names.index("Id")] is None
        return Page(decoder.decode_columns(() if empty else records), rows[0][0])

    async def _deep_page(self, query: ListQuery, offset: int) -> Page:
        """A page far from the start, read from whichever end is nearer.

        Reading from the end needs the total first. Where that has changed by then, which happens only
        outside a snapshot, the page is read again, and at last from the start.
        """
        total = await self.count(query.entity, query.filters)
        order = query.order
        backwards = replace(query, order=Order(order.column, not order.descending))
        for _ in range(3):
            if offset >= total:
                return Page([()] * len(query.entity.meta().list_columns), total)
            size = min(query.size, total - offset)
            from_end = total - offset - size
            if from_end >= offset:
                break
            page = await self._fetch_page(backwards, from_end, size)
            if page.total == total:
                return Page([column[::-1] for column in page.columns], total)
            total = page.total
        return await self._fetch_page(query, offset, query.size)

    async def count(self, entity: type[Entity], filters: Sequence[Filter] = ()) -> int:
        statement = self.statements.count(entity, filters)
        return int((await self.fetch(statement.text, statement.values))[0][0])

    async def get(self, entity: type[Entity], record_id: int, filters: Sequence[Filter] = ()) -> Record | None:
        records = await self._records(self.statements.get(entity, record_id, filters))
        return records[0] if records else None

    async def get_many(
        self, entity: type[Entity], ids: Sequence[int], filters: Sequence[Filter] = ()
    ) -> dict[int, Record]:
        wanted = Filter(entity.meta().columns["Id"], Comparison.ONE_OF, tuple(set(ids)))
        statement = self.statements.find(entity, (wanted, *filters), whole=True)
        return {record["Id"]: record for record in await self._records(statement)}

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
        statement = self.statements.find(entity, filters, order, limit=limit, after_id=after_id, columns=tuple(columns))
        return await self._records(statement)

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
        return await self._records(self.statements.latest(entity, (*group, number), filters, keep, tuple(columns)))

    async def _records(self, statement: BoundStatement) -> list[Record]:
        return statement.decoder.decode_records(await self.fetch(statement.text, statement.values))

    async def find_many(self, queries: Sequence[FindQuery]) -> list[list[Record]]:
        return [await self.find(q.entity, q.filters, columns=q.columns) for q in queries]

    async def stale(self, entity: type[Entity], after_id: int, limit: int) -> list[tuple[int, tuple[str, ...]]]:
        columns = entity.meta().denormalized_columns
        if not columns:
            return []
        statement = self.statements.stale(entity, after_id, limit)
        rows = await self.fetch(statement.text, statement.values)
        return [(row[0], tuple(c.name for c, differs in zip(columns, row[1:], strict=True) if differs)) for row in rows]

    async def counter_mismatches(self, entity: type[Entity]) -> list[CounterMismatch]:
        counted = CountedTable(table_name(entity), location_column(entity))
        rows = await self.fetch(self.dialect.counters.mismatches(counted), ())
        return [
            CounterMismatch(
                "CreatedOn" if bits in CREATED_ON_BUCKETS.bucket_bits else "Id",
                _bucket_start(bits, bucket),
                None if location == ALL_LOCATIONS else max(location, 0),
                stored,
                actual,
            )
            for bits, location, bucket, stored, actual in rows
        ]


class BaseWriteSession(BaseReadSession):
    """Implements `WriteSession` over one engine's bulk writes."""

    changes_cached_fields: bool = False

    def __init__(self, statements: Statements) -> None:
        super().__init__(statements)
        self.commit_actions: list[Callable[[], None]] = []

    def after_commit(self, action: Callable[[], None]) -> None:
        self.commit_actions.append(action)

    async def raise_cache_revision(self) -> None:
        """Increments the revision if `cached_fields` have changed; must be the last statement before the commit.

        Its row stays locked until the commit, so revisions commit in order.
        """
        if self.changes_cached_fields:
            await self.fetch(
                "INSERT INTO cache_revision (id, revision) VALUES (1, 1) "
                "ON CONFLICT (id) DO UPDATE SET revision = cache_revision.revision + 1",
                (),
            )

    async def finish_commit(self) -> None:
        """Runs the actions after the commit, then waits until no process uses former `cached_fields`."""
        for action in self.commit_actions:
            action()
        if self.changes_cached_fields:
            await asyncio.sleep(CACHE_LEASE_MILLISECONDS / 1000)

    def note_changes(self, entity: type[Entity], values: Iterable[Mapping[str, Any]]) -> None:
        """Records whether `cached_fields` are among the values that are set."""
        if entity.cached_fields and not self.changes_cached_fields:
            self.changes_cached_fields = any(not entity.cached_fields.isdisjoint(each) for each in values)

    @abstractmethod
    async def insert_rows(self, rows: EncodedRows) -> None:
        """Inserts rows into their table."""

    @abstractmethod
    async def update_rows(self, rows: EncodedRows) -> None:
        """Updates rows of their table by the ids in the first column."""

    @abstractmethod
    async def delete_rows(self, table: str, column: str, ids: Sequence[int]) -> None:
        """Deletes the rows whose column holds one of the ids."""

    @abstractmethod
    async def next_ids(self, counts: Mapping[type[Entity], int]) -> dict[type[Entity], list[int]]:
        """New ids for each entity."""

    @abstractmethod
    async def write(
        self, writes: Sequence[Insert | Update], returning: type[Entity] | None = None
    ) -> dict[int, Record]:
        """Writes to different tables, in one exchange with the database."""

    @abstractmethod
    async def advance_ids(self, entity: type[Entity], highest: int) -> None:
        """Makes new ids start after this one, which a caller has assigned."""

    async def lock(
        self,
        entity: type[Entity],
        ids: Sequence[int],
        columns: Sequence[str] = (),
        *,
        skip_locked: Sequence[int] = (),
    ) -> dict[int, Record]:
        waited = sorted(set(ids))
        skippable = sorted(set(skip_locked).difference(waited))
        if not waited and not skippable:
            return {}
        statement = self.statements.lock(entity, waited, skippable, tuple(columns))
        return {record["Id"]: record for record in await self._records(statement)}

    async def insert(self, entity: type[Entity], records: Sequence[Mapping[str, Any]]) -> list[int]:
        if not records:
            return []
        # A new record is in no cache; its links change what is cached of others.
        collections = {column.name for column in entity.meta().collection_columns}
        self.note_changes(entity, [{name: 1 for name in collections if record.get(name)} for record in records])
        missing = sum(1 for record in records if not record.get("Id"))
        fresh = iter((await self.next_ids({entity: missing}))[entity] if missing else ())
        ids = [record.get("Id") or next(fresh) for record in records]
        if missing < len(records):
            await self.advance_ids(entity, max(ids))
        await self.insert_rows(encode_inserts(self.statements, entity, ids, records))
        for column in entity.meta().collection_columns:
            await self._insert_links(entity, column, zip(ids, records, strict=True))
        return ids

    async def update(self, entity: type[Entity], changes: Sequence[tuple[int, Mapping[str, Any]]]) -> None:
        self.note_changes(entity, [change for _, change in changes])
        groups: dict[tuple[str, ...], list[tuple[int, Mapping[str, Any]]]] = {}
        for record_id, change in changes:
            groups.setdefault(tuple(change), []).append((record_id, change))
        for names, members in groups.items():
            await self._update_group(entity, names, members)

    async def _update_group(
        self,
        entity: type[Entity],
        names: tuple[str, ...],
        members: list[tuple[int, Mapping[str, Any]]],
    ) -> None:
        rows = encode_updates(self.statements, entity, members)
        if len(rows.columns) > 1:
            await self.update_rows(rows)
        for column in entity.meta().collection_columns:
            if column.name not in names:
                continue
            table, owner, _ = link_table(entity, column.leaf)
            await self.delete_rows(table, owner, [record_id for record_id, _ in members])
            await self._insert_links(entity, column, members)

    async def delete(self, entity: type[Entity], ids: Sequence[int]) -> None:
        for other, column in _referencing_columns(entity):
            wanted = Filter(column, Comparison.ONE_OF, tuple(ids))
            count = await self.count(other, (wanted,))
            if count:
                raise StateConflict(
                    f"This record cannot be deleted: {count} {other.plural or other.__name__} refer to it."
                )
        self.note_changes(entity, [dict.fromkeys(entity.cached_fields)])
        await self.delete_rows(table_name(entity), "id", ids)

    async def _insert_links(
        self,
        entity: type[Entity],
        column: Column,
        records: Iterable[tuple[int, Mapping[str, Any]]],
    ) -> None:
        """Inserts the links of a collection for records by their ids."""
        links = [(owner, item) for owner, values in records for item in values.get(column.name) or ()]
        if links:
            table, owner_column, item_column = link_table(entity, column.leaf)
            columns = [TypedColumn(owner_column, "BIGINT"), TypedColumn(item_column, "BIGINT")]
            await self.insert_rows(EncodedRows(table, columns, [*map(list, zip(*links, strict=True))]))


async def fetch_first_rows(
    statements: Statements, fetch: Execute, query: ListQuery, offset: int
) -> tuple[BoundStatement, Sequence[Sequence[Any]]] | None:
    """The statement of a page near the start, and its rows; None if a probe finds that no record matches.

    Searches the rows of the narrowest filter first.
    """
    search = statements.narrow_search(query)
    by = search.by
    if search.probe:
        probe = search.probe.statement.bind(query.filters)
        [counts] = await fetch(probe.text, probe.values)
        if not min(counts):
            return None
        by = search.probe.narrowest(counts)
    if by is not None:
        statement = statements.page(query, offset, query.size, by=by)
        rows = await fetch(statement.text, statement.values)
        if rows[0][0] is not None:
            return statement, rows
    statement = statements.page(query, offset, query.size)
    return statement, await fetch(statement.text, statement.values)


def _bucket_start(bits: int, bucket: int) -> datetime | int:
    """The first key of a bucket: an Id, or an instant, at the earliest the start of the calendar."""
    first = bucket << max(bits, 0)
    if bits not in CREATED_ON_BUCKETS.bucket_bits:
        return first
    try:
        return from_microseconds(max(first, MIN_MICROSECONDS))
    except OverflowError:
        return first


def given_ids(write: Insert) -> list[int] | None:
    """The ids of the records to insert; None if the database assigns them."""
    if not write.records[0].get("Id"):
        return None
    return [record["Id"] for record in write.records]


def _referencing_columns(entity: type[Entity]) -> list[tuple[type[Entity], Column]]:
    """The references and collections that may hold a record of this entity."""
    found: list[tuple[type[Entity], Column]] = []
    name = entity.__name__
    for other in declared_entities():
        for column in other.meta().columns.values():
            field = column.field
            refers = isinstance(field, Reference) and column.is_own and field.is_local and field.to == name
            holds = isinstance(field, Collection) and field.is_local and not field.inverse_of and field.of == name
            if refers or holds:
                found.append((other, column))
    return found
