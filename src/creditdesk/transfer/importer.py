"""Records in from a folder of files; the same files a second time change nothing.

Two readings: the first brings in records with the references whose targets come before them, the
second sets the references that point ahead, and the collections. Balances come as they are and
nothing is spent again; the journal of what came in is opened by the ledger.

Each batch is a transaction of its own, so memory stays flat and a broken run is simply repeated. Into
a database without records much comes faster as two loads, records and then journal, each of which is
there whole or not at all. What a load cannot take comes batch by batch after all.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from creditdesk.entities.ledger.account_state import AccountState
from creditdesk.entities.ledger.journal_line import JournalLine
from creditdesk.entities.security.role import Role
from creditdesk.entities.security.user_role import UserRole
from creditdesk.ledger.journal.mapping import (
    MAPPINGS,
    MAPPINGS_BY_HISTORY,
    CreditTypeMapping,
    where,
)
from creditdesk.ledger.journal.opening import append_imported_uses, open_imported_journals
from creditdesk.schema.entity import Entity
from creditdesk.schema.errors import Conflict
from creditdesk.schema.progress import (
    DeduplicatingReporter,
    NullReporter,
    ProgressReporter,
    RecordingReporter,
)
from creditdesk.schema.query import Comparison, Filter
from creditdesk.schema.repository import Store, WriteSession
from creditdesk.transfer.balances import BALANCE_FIELDS, is_valid_balance, journal_managed_fields
from creditdesk.transfer.dependency_order import (
    bidirectional_collections,
    collection_columns,
    deferred_references,
    load_order,
)
from creditdesk.transfer.file_discovery import FilesByEntity, find_files, should_bulk_load
from creditdesk.transfer.files import estimate_row_count, read_rows
from creditdesk.transfer.references import ReferenceChecker
from creditdesk.transfer.role_assignments import RoleIdMapping
from creditdesk.transfer.row_parser import ParsedRow, RowParser, parse_batch

IMPORT_BATCH_SIZE: Final = 1000


class BulkLoadUnsupported(Exception):
    """A record without an Id is looked for by its UniqueId, which a load cannot do."""


BatchHandler = Callable[[WriteSession, type[Entity], Sequence[ParsedRow]], Awaitable[None]]


@dataclass(slots=True)
class ImportCounts:
    """How many records of one entity were new, changed, or already so."""

    added: int = 0
    changed: int = 0
    unchanged: int = 0


@dataclass(slots=True)
class Importer:
    """One run over a folder or a single file."""

    store: Store
    report: ProgressReporter
    now: datetime
    keep_dangling: bool = False
    counts: dict[str, ImportCounts] = field(default_factory=dict)
    role_ids: RoleIdMapping = field(default_factory=RoleIdMapping)
    reference_checker: ReferenceChecker = field(init=False)
    _bulk_session: WriteSession | None = None
    _blank_records: dict[type[Entity], dict[str, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.reference_checker = ReferenceChecker(self.report, self.now, self.keep_dangling)

    async def run(self, path: Path) -> dict[str, ImportCounts]:
        """Brings in every file that is named after an entity; says so of those that are not."""
        files = find_files(path, self.report)
        order = [entity for entity in load_order() if entity.__name__ in files]
        if await should_bulk_load(self.store, files) and await self._bulk_load_records(
            order, files
        ):
            async with self._bulk_load((JournalLine, AccountState)):
                await self._open_journals()
        else:
            await self._import_files(order, files)
            await self._open_journals()
        return self.counts

    async def _bulk_load_records(self, order: Sequence[type[Entity]], files: FilesByEntity) -> bool:
        """Whether the records came as one load; if not, it is as if it had not been tried."""
        report = self.report
        heard = self.report = self.reference_checker.report = RecordingReporter(report)
        try:
            async with self._bulk_load(order):
                await self._import_files(order, files)
        except BulkLoadUnsupported:
            report.note("A record has no Id, so all are brought in anew, batch by batch")
        except Conflict:
            report.note("A UniqueId stands twice, so all are brought in anew, batch by batch")
        else:
            self.report = report
            return True
        self.report, self.role_ids = DeduplicatingReporter(report, heard), RoleIdMapping()
        self.reference_checker = ReferenceChecker(self.report, self.now, self.keep_dangling)
        return False

    @asynccontextmanager
    async def _bulk_load(self, entities: Sequence[type[Entity]]) -> AsyncIterator[None]:
        """All batches until the block ends are of one load."""
        async with self.store.bulk_load(entities) as unit:
            self._bulk_session = unit
            try:
                yield
            finally:
                self._bulk_session = None

    @asynccontextmanager
    async def _write_session(self) -> AsyncIterator[WriteSession]:
        """A unit of the batch's own, or the load."""
        if self._bulk_session is not None:
            yield self._bulk_session
        else:
            async with self.store.write_session() as unit:
                yield unit

    async def _import_files(self, order: Sequence[type[Entity]], files: FilesByEntity) -> None:
        for entity in order:
            self.counts[entity.__name__] = ImportCounts()
            for file in files[entity.__name__]:
                await self._process_file(entity, file, self._import_batch)
        for entity in order:
            if _deferred_columns(entity):
                for file in files[entity.__name__]:
                    await self._process_file(entity, file, self._link_batch)

    async def _open_journals(self) -> None:
        """Opens what has no journal yet, also after an earlier run that broke off."""
        for side in MAPPINGS.values():
            async with self._write_session() as unit:
                total = await unit.count(side.credit_entity)
            self.report.step(f"journal of {side.credit_entity.plural}", total)
            await self._open_journals_of(side)

    async def _open_journals_of(self, side: CreditTypeMapping) -> None:
        last = 0
        while True:
            async with self._write_session() as unit:
                found = await unit.find(
                    side.credit_entity, limit=IMPORT_BATCH_SIZE, after_id=last, columns=("Id",)
                )
                if not found:
                    return
                last = found[-1]["Id"]
                await open_imported_journals(
                    unit, side, [credit["Id"] for credit in found], self.now
                )
            self.report.advance(len(found))

    async def _process_file(self, entity: type[Entity], file: Path, handler: BatchHandler) -> None:
        first = handler == self._import_batch
        label = file.name if first else f"{file.name}, links"
        self.report.step(label, estimate_row_count(file))
        late = {
            *deferred_references(entity),
            *(column.name for column in collection_columns(entity)),
        }
        reader = (
            RowParser(entity, file, self.report)
            if first
            else RowParser(entity, file, NullReporter(), late)
        )
        rows = read_rows(file)
        following = asyncio.create_task(parse_batch(reader, rows, IMPORT_BATCH_SIZE))
        try:
            while True:
                broken, said = await following
                if said and not broken:
                    # Read while this one is stored: an engine elsewhere works at the same time.
                    following = asyncio.create_task(parse_batch(reader, rows, IMPORT_BATCH_SIZE))
                if said:
                    await self._write_batch(entity, said, handler)
                    self.report.advance(len(said))
                if broken and first:
                    self.report.problem(f"{broken}; what follows in this file is left out")
                if broken or len(said) == 0:
                    return
        finally:
            following.cancel()
            with suppress(asyncio.CancelledError):
                await following

    async def _write_batch(
        self, entity: type[Entity], rows: list[ParsedRow], handler: BatchHandler
    ) -> None:
        try:
            async with self._write_session() as unit:
                await handler(unit, entity, rows)
        except Conflict:
            if self._bulk_session is not None:
                raise
            # Nothing of the batch is there; its rows one by one show which of them it was.
            self.reference_checker.clear()
            if len(rows) == 1:
                self._report_skipped(entity, rows[0], "another record has its UniqueId")
                return
            for one in rows:
                await self._write_batch(entity, [one], handler)

    async def _import_batch(
        self, session: WriteSession, entity: type[Entity], said: Sequence[ParsedRow]
    ) -> None:
        if entity is Role:
            await self.role_ids.load(session, said)
            said = self.role_ids.map_rows(said)
        said = self._without_duplicates(entity, said)
        ids = await self._record_ids(session, entity, said)
        stored = await session.lock(entity, [i for i in ids.values() if i])
        later = _deferred_columns(entity)
        rows: dict[str, dict[str, Any]] = {}
        for one in said:
            values = one.values.copy()
            for name in later & values.keys():
                del values[name]
            record_id = ids[one.unique_id]
            before = stored.get(record_id) if record_id else None
            if before is not None:
                if entity.append_only or entity is Role:
                    values = {}
                elif entity in BALANCE_FIELDS:
                    values = {
                        k: v for k, v in values.items() if k not in journal_managed_fields(entity)
                    }
                values = {k: v for k, v in values.items() if before[k] != v}
            rows[one.unique_id] = values
        await self.reference_checker.resolve(session, entity, [rows[one.unique_id] for one in said])
        impossible = 0
        new: list[dict[str, Any]] = []
        changes: list[tuple[int, dict[str, Any]]] = []
        for one in said:
            values, record_id = rows[one.unique_id], ids[one.unique_id]
            if not record_id or record_id not in stored:
                record = self._complete_record(entity, record_id, one.unique_id, values)
                if is_valid_balance(entity, record, self.report):
                    new.append(record)
                else:
                    impossible += 1
                continue
            values = {k: v for k, v in values.items() if stored[record_id][k] != v}
            if values:
                changes.append((record_id, values))
        if new:
            ids_given = await session.insert(entity, new)
            if side := MAPPINGS_BY_HISTORY.get(entity):
                uses = [row | {"Id": i} for i, row in zip(ids_given, new, strict=True)]
                for sentence in await append_imported_uses(session, side, uses):
                    self.report.problem(sentence)
        if changes:
            await session.update(entity, changes)
        tally = self.counts[entity.__name__]
        tally.added += len(new)
        tally.changed += len(changes)
        tally.unchanged += len(said) - len(new) - len(changes) - impossible

    def _complete_record(
        self, entity: type[Entity], record_id: int | None, unique_id: str, values: dict[str, Any]
    ) -> dict[str, Any]:
        """The record with every column it stores; what the row left out is empty."""
        blank = self._blank_records.get(entity)
        if blank is None:
            blank = {
                column.name: column.field.default_value for column in entity.meta().stored_columns
            }
            self._blank_records[entity] = blank
        record = blank | values
        record["UniqueId"] = unique_id
        record["CreatedOn"] = record["CreatedOn"] or self.now
        record["UpdatedOn"] = record["UpdatedOn"] or record["CreatedOn"]
        if record_id:
            record["Id"] = record_id
        else:
            del record["Id"]
        if entity in BALANCE_FIELDS:
            remaining, total = BALANCE_FIELDS[entity]
            if remaining not in values:
                record[remaining] = record[total]
        return record

    async def _record_ids(
        self, session: WriteSession, entity: type[Entity], rows: Sequence[ParsedRow]
    ) -> dict[str, int | None]:
        """The Id of each row by its UniqueId; a row without an Id is looked up, or new."""
        ids = {one.unique_id: one.id for one in reversed(rows)}
        unique = entity.meta().columns["UniqueId"]
        for one in rows:
            if one.id is None:
                if self._bulk_session is not None:
                    raise BulkLoadUnsupported
                found = await session.find(
                    entity,
                    [Filter(unique, Comparison.EQUALS, one.unique_id)],
                    limit=1,
                    columns=("Id",),
                )
                ids[one.unique_id] = found[0]["Id"] if found else None
        return ids

    def _without_duplicates(
        self, entity: type[Entity], rows: Sequence[ParsedRow]
    ) -> list[ParsedRow]:
        """The rows of a batch that can stand side by side: no Id and no UniqueId twice."""
        kept: dict[str, ParsedRow] = {}
        by_id: dict[int, ParsedRow] = {}
        for one in rows:
            earlier = kept.get(one.unique_id) or (by_id.get(one.id) if one.id else None)
            if earlier is None:
                kept[one.unique_id] = one
                if one.id:
                    by_id[one.id] = one
            elif (earlier.id, earlier.values) != (one.id, one.values):
                self._report_skipped(entity, one, f"row {earlier.number} has its Id or UniqueId")
        return list(kept.values())

    def _report_skipped(self, entity: type[Entity], row: ParsedRow, reason: str) -> None:
        self.report.problem(f"{entity.plural}: row {row.number}: {reason}; the row is left out")

    async def _link_batch(
        self, session: WriteSession, entity: type[Entity], said: Sequence[ParsedRow]
    ) -> None:
        if entity is Role:
            said = self.role_ids.map_rows(said)
        ids = await self._record_ids(session, entity, said)
        late, linked = deferred_references(entity), [c.name for c in collection_columns(entity)]
        wanted: list[tuple[int, dict[str, Any]]] = []
        for one in said:
            record_id = ids[one.unique_id]
            # Lists show every collection empty, so an empty one says nothing.
            values = {k: v for k, v in one.values.items() if (k in late) or (k in linked and v)}
            if entity is UserRole and "Roles" in values:
                values["Roles"] = self.role_ids.map_ids(values["Roles"])
            if values and record_id:
                wanted.append((record_id, values))
        await self.reference_checker.resolve(session, entity, [values for _, values in wanted])
        there = where(entity, Id=sorted({record_id for record_id, _ in wanted}))
        found = (
            await session.find(entity, there, columns=("Id", *_deferred_columns(entity)))
            if wanted
            else ()
        )
        stored = {record["Id"]: record for record in found}
        both = bidirectional_collections(entity)
        changes: list[tuple[int, dict[str, Any]]] = []
        for record_id, values in wanted:
            before = stored.get(record_id)
            if before is None:
                continue
            for name in both & values.keys():
                # Either side of the link may have more to say, so neither takes anything away.
                values[name] = tuple(sorted({*before[name], *values[name]}))
            values = {k: v for k, v in values.items() if before[k] != v}
            if values:
                changes.append((record_id, values))
        if changes:
            await session.update(entity, changes)


def _deferred_columns(entity: type[Entity]) -> frozenset[str]:
    """What the second reading sets: references that point ahead, and collections."""
    return deferred_references(entity) | {column.name for column in collection_columns(entity)}
