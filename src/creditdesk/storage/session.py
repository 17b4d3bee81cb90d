"""One transaction over records: what reading and writing have in common on both engines.

An engine gives `fetch`, `run` and the bulk writes; the rest is the same for all.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from creditdesk.schema.entity import Column, Entity, Record, declared
from creditdesk.schema.errors import Blocked
from creditdesk.schema.fields import Collection, Reference
from creditdesk.schema.query import Filter, Listing, Order, Page, Test
from creditdesk.schema.repository import Insert, Miscount, Question, Update
from creditdesk.storage.codecs import from_microseconds
from creditdesk.storage.counted_queries import seekable
from creditdesk.storage.denormalization import untrue
from creditdesk.storage.dialects import Dialect
from creditdesk.storage.naming import link_table, location_name, table_name
from creditdesk.storage.queries import Statements
from creditdesk.storage.row_counters import CREATION, EVERYWHERE, FIRST_MICROSECOND, Counted
from creditdesk.storage.row_encoding import Filled, TableValue, inserted, updated

DEEP_ROWS: Final = 2_000
"""From this offset on, a page is sought by the tally, or else walked to from the nearer end."""

LARGEST_OFFSET: Final = 2**62
"""Lies past every row, and leaves room to add to it."""


class RecordReading(ABC):
    """The reading half of the promise, over one engine's `fetch`."""

    def __init__(self, statements: Statements) -> None:
        self.statements = statements
        self.dialect: Dialect = statements.dialect

    @abstractmethod
    async def fetch(self, text: str, values: Sequence[Any]) -> Sequence[Sequence[Any]]:
        """The rows a statement answers."""

    async def page(self, listing: Listing) -> Page:
        offset = min((listing.page - 1) * listing.size, LARGEST_OFFSET)
        if offset < DEEP_ROWS:
            return await self._rows(listing, offset, listing.size)
        if seekable(listing.entity, listing.filters, listing.order):
            return await self._rows(listing, offset, listing.size, seeking=True)
        return await self._deep_page(listing, offset)

    async def _rows(
        self, listing: Listing, offset: int, size: int, *, seeking: bool = False
    ) -> Page:
        text, values, reads = self.statements.page(listing, offset, size, seeking=seeking)
        rows = await self.fetch(text, values)
        found = self.dialect.unpack(rows, 1)
        # Where the page has no row, the total comes with an empty one.
        place = self.statements.once(
            ("place", listing.entity), lambda: _position(listing.entity, "Id")
        )
        empty = found[0][place] is None
        return Page(reads.columns(() if empty else found), rows[0][0])

    async def _deep_page(self, listing: Listing, offset: int) -> Page:
        """A page far from the start, walked to from whichever end is nearer.

        The walk from the end needs the total first; should it have changed meanwhile, the page
        is asked for again, and at last from the start.
        """
        total = await self.count(listing.entity, listing.filters)
        order = listing.order
        backwards = replace(listing, order=Order(order.column, not order.descending))
        for _ in range(3):
            if offset >= total:
                return Page([()] * len(listing.entity.shape().listed), total)
            size = min(listing.size, total - offset)
            from_end = total - offset - size
            if from_end >= offset:
                break
            page = await self._rows(backwards, from_end, size)
            if page.total == total:
                return Page([column[::-1] for column in page.columns], total)
            total = page.total
        return await self._rows(listing, offset, listing.size)

    async def count(self, entity: type[Entity], filters: Sequence[Filter] = ()) -> int:
        text, values = self.statements.count(entity, filters)
        return int((await self.fetch(text, values))[0][0])

    async def get(
        self, entity: type[Entity], record_id: int, filters: Sequence[Filter] = ()
    ) -> Record | None:
        text, values, reads = self.statements.one(entity, filters)
        rows = await self.fetch(text, (record_id, *values))
        return dict(zip(entity.shape().columns, reads.row(rows[0]), strict=True)) if rows else None

    async def many(
        self, entity: type[Entity], ids: Sequence[int], filters: Sequence[Filter] = ()
    ) -> dict[int, Record]:
        wanted = Filter(entity.shape().columns["Id"], Test.ONE_OF, tuple(set(ids)))
        text, values, reads = self.statements.find(
            entity, (wanted, *filters), None, limited=False, after=False, whole=True
        )
        names = tuple(entity.shape().columns)
        records = [
            dict(zip(names, reads.row(row), strict=True)) for row in await self.fetch(text, values)
        ]
        return {record["Id"]: record for record in records}

    async def find(
        self,
        entity: type[Entity],
        filters: Sequence[Filter] = (),
        order: Order | None = None,
        limit: int | None = None,
        *,
        after_id: int | None = None,
        names: Sequence[str] = (),
    ) -> list[Record]:
        text, values, reads = self.statements.find(
            entity,
            filters,
            order,
            limited=limit is not None,
            after=after_id is not None,
            names=tuple(names),
        )
        values += [v for v in (after_id, limit) if v is not None]
        names = names or tuple(c.name for c in entity.shape().listed)
        return [
            dict(zip(names, reads.row(row), strict=True)) for row in await self.fetch(text, values)
        ]

    async def find_all(self, questions: Sequence[Question]) -> list[list[Record]]:
        return [await self.find(q.entity, q.filters, names=q.names) for q in questions]

    async def untrue(
        self, entity: type[Entity], after_id: int, limit: int
    ) -> list[tuple[int, tuple[str, ...]]]:
        copied = entity.shape().copied
        if not copied:
            return []
        text = self.statements.once(("untrue", entity), lambda: untrue(entity, self.dialect))
        rows = await self.fetch(text, (after_id, limit))
        return [
            (row[0], tuple(c.name for c, differs in zip(copied, row[1:], strict=True) if differs))
            for row in rows
        ]

    async def miscounted(self, entity: type[Entity]) -> list[Miscount]:
        counted = Counted(table_name(entity), location_name(entity))
        rows = await self.fetch(self.dialect.tally.miscounted(counted), ())
        return [
            Miscount(
                "CreatedOn" if bits in CREATION.widths else "Id",
                _beginning(bucket << bits) if bits in CREATION.widths else bucket << bits,
                None if location == EVERYWHERE else max(location, 0),
                kept,
                found,
            )
            for bits, location, bucket, kept, found in rows
        ]


class RecordUnit(RecordReading):
    """The writing half of the promise, over one engine's bulk writes."""

    @abstractmethod
    async def run_many(self, table: str, filled: Filled) -> None:
        """Inserts rows into a table."""

    @abstractmethod
    async def update_many(self, table: str, filled: Filled) -> None:
        """Updates rows of a table by the ids that come first."""

    @abstractmethod
    async def delete_where(self, table: str, column: str, ids: Sequence[int]) -> None:
        """Deletes rows whose column is one of the ids."""

    @abstractmethod
    async def next_ids(self, counts: Mapping[type[Entity], int]) -> dict[type[Entity], list[int]]:
        """Fresh ids for each entity."""

    @abstractmethod
    async def write(
        self, writes: Sequence[Insert | Update], showing: type[Entity] | None = None
    ) -> dict[int, Record]:
        """Writes on different tables, in one exchange with the engine."""

    @abstractmethod
    async def taken_ids(self, entity: type[Entity], highest: int) -> None:
        """Ids up to this one came from outside; fresh ones start after it."""

    async def lock(
        self,
        entity: type[Entity],
        ids: Sequence[int],
        names: Sequence[str] = (),
        *,
        if_free: Sequence[int] = (),
    ) -> dict[int, Record]:
        wanted = [sorted(set(ids))]
        if free := set(if_free).difference(ids):
            wanted.append(sorted(free))
        if not any(wanted):
            return {}
        text, reads = self.statements.lock(entity, tuple(names), if_free=bool(free))
        names = names or [column.name for column in entity.shape().stored]
        rows = await self.fetch(text, [self.dialect.ids(each) for each in wanted])
        found = [dict(zip(names, reads.row(row), strict=True)) for row in rows]
        return {record["Id"]: record for record in found}

    async def insert(self, entity: type[Entity], records: Sequence[Mapping[str, Any]]) -> list[int]:
        if not records:
            return []
        missing = sum(1 for record in records if not record.get("Id"))
        fresh = iter((await self.next_ids({entity: missing}))[entity] if missing else ())
        ids = [record.get("Id") or next(fresh) for record in records]
        if missing < len(records):
            await self.taken_ids(entity, max(ids))
        await self.run_many(table_name(entity), inserted(self.statements, entity, ids, records))
        for column in entity.shape().collections:
            links = [
                (record_id, item)
                for record_id, record in zip(ids, records, strict=True)
                for item in record.get(column.name) or ()
            ]
            await self._insert_links(entity, column, links)
        return ids

    async def update(
        self, entity: type[Entity], changes: Sequence[tuple[int, Mapping[str, Any]]]
    ) -> None:
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
        shape = entity.shape()
        filled = updated(self.statements, entity, members)
        if len(filled.columns) > 1:
            await self.update_many(table_name(entity), filled)
        for column in shape.collections:
            if column.name not in names:
                continue
            table, owner, _ = link_table(entity, column.leaf)
            await self.delete_where(table, owner, [record_id for record_id, _ in members])
            links = [
                (record_id, item)
                for record_id, change in members
                for item in change[column.name] or ()
            ]
            await self._insert_links(entity, column, links)

    async def delete(self, entity: type[Entity], ids: Sequence[int]) -> None:
        for other, column in _referrers(entity):
            wanted = Filter(column, Test.ONE_OF, tuple(ids))
            found = await self.count(other, (wanted,))
            if found:
                raise Blocked(
                    f"This record cannot be deleted: {found} "
                    f"{other.plural or other.__name__} refer to it."
                )
        await self.delete_where(table_name(entity), "id", ids)

    async def _insert_links(
        self, entity: type[Entity], column: Column, links: list[tuple[int, int]]
    ) -> None:
        if links:
            table, owner, item = link_table(entity, column.leaf)
            owners, items = zip(*links, strict=True)
            columns = [TableValue(owner, "BIGINT"), TableValue(item, "BIGINT")]
            await self.run_many(table, Filled(columns, [list(owners), list(items)]))


def _beginning(microseconds: int) -> datetime:
    """The instant a bucket begins with; the first of the calendar where it begins before."""
    return from_microseconds(max(microseconds, FIRST_MICROSECOND))


def ids_of(write: Insert) -> list[int] | None:
    """The ids that its records have; None where they are to get fresh ones."""
    if not write.records[0].get("Id"):
        return None
    return [record["Id"] for record in write.records]


def _position(entity: type[Entity], name: str) -> int:
    listed = entity.shape().listed
    return next(i for i, column in enumerate(listed) if column.name == name)


def _referrers(entity: type[Entity]) -> list[tuple[type[Entity], Column]]:
    """Who may refer to a record of this entity: references, and collections that hold it."""
    found: list[tuple[type[Entity], Column]] = []
    name = entity.__name__
    for other in declared():
        for column in other.shape().columns.values():
            kind = column.kind
            refers = isinstance(kind, Reference) and column.own and kind.kept and kind.to == name
            holds = (
                isinstance(kind, Collection) and kind.kept and not kind.mirrors and kind.of == name
            )
            if refers or holds:
                found.append((other, column))
    return found
