"""Imports a folder of files; importing the same files again changes nothing.

Two passes over the files: the first writes records with references to records imported before
them, the second the remaining references and the collections. Balances are imported as they are;
nothing is spent again. Afterwards the ledger opens a journal for each imported credit.

Each batch is a transaction, so memory stays flat and an interrupted import is simply repeated. A
large import into an empty database runs as two bulk loads, records and journals, each of which is
atomic; files that a bulk load cannot take are imported in batches after all.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, aclosing, nullcontext, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from creditdesk.entities.ledger.account_state import AccountState
from creditdesk.entities.ledger.journal_line import JournalLine
from creditdesk.ledger.journal.mapping import MAPPINGS
from creditdesk.ledger.journal.opening import open_imported_journals
from creditdesk.schema.batches import prefetch
from creditdesk.schema.entity import Entity
from creditdesk.schema.errors import Conflict
from creditdesk.schema.progress import (
    DeduplicatingReporter,
    NullReporter,
    ProgressReporter,
    RecordingReporter,
)
from creditdesk.schema.repository import Store, WriteSession
from creditdesk.transfer.dependency_order import deferred_columns, load_order
from creditdesk.transfer.file_discovery import FilesByEntity, find_files, should_bulk_load
from creditdesk.transfer.files import MalformedFile, estimate_row_count, read_rows
from creditdesk.transfer.import_state import BulkLoadUnsupported, ImportCounts, ImportState
from creditdesk.transfer.link_writer import write_links
from creditdesk.transfer.record_writer import write_records
from creditdesk.transfer.row_parser import ParsedRow, RowParser, parse_batches

IMPORT_BATCH_SIZE: Final = 1000

OpenSession = Callable[[], AbstractAsyncContextManager[WriteSession]]
BatchWriter = Callable[
    [ImportState, WriteSession, type[Entity], Sequence[ParsedRow]], Awaitable[None]
]


@dataclass(frozen=True, slots=True)
class Importer:
    """Imports files into a store; `keep_dangling` creates placeholders for missing records."""

    store: Store
    report: ProgressReporter
    now: datetime
    keep_dangling: bool = False

    async def run(self, path: Path) -> dict[str, ImportCounts]:
        """Imports a folder or a file; returns the counts by entity name.

        Files that are not named after an entity are noted and skipped.
        """
        files = find_files(path, self.report)
        report = self.report
        if await should_bulk_load(self.store, files):
            recording = RecordingReporter(report)
            loaded = await self._bulk_load_records(files, recording)
            if loaded is not None:
                async with self.store.bulk_load((JournalLine, AccountState)) as session:
                    await self._open_journals(lambda: nullcontext(session))
                return loaded.counts
            report = DeduplicatingReporter(report, recording)
        state = ImportState(report, self.now, self.keep_dangling)
        await self._import_files(state, files, self.store.write_session)
        await self._open_journals(self.store.write_session)
        return state.counts

    async def _bulk_load_records(
        self, files: FilesByEntity, report: ProgressReporter
    ) -> ImportState | None:
        """Loads all records in one transaction; None when that is impossible and nothing is kept."""
        state = ImportState(report, self.now, self.keep_dangling, is_bulk_load=True)
        try:
            async with self.store.bulk_load(_ordered(files)) as session:
                await self._import_files(state, files, lambda: nullcontext(session))
        except BulkLoadUnsupported:
            report.note("A record has no Id, so the files are imported in batches")
        except Conflict:
            report.note("Two records have one UniqueId, so the files are imported in batches")
        else:
            return state
        return None

    async def _import_files(
        self, state: ImportState, files: FilesByEntity, open_session: OpenSession
    ) -> None:
        order = _ordered(files)
        for entity in order:
            state.counts[entity.__name__] = ImportCounts()
            for file in files[entity.__name__]:
                state.report.step(file.name, estimate_row_count(file))
                parser = RowParser(entity, file, state.report)
                try:
                    await _import_file(state, entity, parser, open_session, write_records)
                except MalformedFile as error:
                    state.report.problem(f"{error}; the rest of the file is skipped")
        for entity in order:
            for file in files[entity.__name__] if entity in state.entities_with_links else ():
                state.report.step(f"{file.name}, links", estimate_row_count(file))
                # The first pass has reported everything about these rows.
                parser = RowParser(entity, file, NullReporter(), deferred_columns(entity))
                with suppress(MalformedFile):
                    await _import_file(state, entity, parser, open_session, write_links)

    async def _open_journals(self, open_session: OpenSession) -> None:
        """Opens the missing journals, also those of an earlier import that was interrupted."""
        for mapping in MAPPINGS.values():
            credit_entity = mapping.credit_entity
            async with open_session() as session:
                total = await session.count(credit_entity)
            self.report.step(f"journal of {credit_entity.plural}", total)
            last = 0
            while True:
                async with open_session() as session:
                    found = await session.find(
                        credit_entity, limit=IMPORT_BATCH_SIZE, after_id=last, columns=("Id",)
                    )
                    if not found:
                        break
                    ids = [credit["Id"] for credit in found]
                    await open_imported_journals(session, mapping, ids, self.now)
                last = ids[-1]
                self.report.advance(len(ids))


def _ordered(files: FilesByEntity) -> list[type[Entity]]:
    return [entity for entity in load_order() if entity.__name__ in files]


async def _import_file(
    state: ImportState,
    entity: type[Entity],
    parser: RowParser,
    open_session: OpenSession,
    write: BatchWriter,
) -> None:
    """Writes the rows of one file in batches. Raises MalformedFile after the last readable row."""
    parsed = parse_batches(parser, read_rows(parser.path), IMPORT_BATCH_SIZE)
    # The next batch is parsed while the database stores this one.
    async with aclosing(prefetch(parsed)) as batches:
        async for batch in batches:
            await _write_batch(state, entity, batch, open_session, write)
            state.report.advance(len(batch))


async def _write_batch(
    state: ImportState,
    entity: type[Entity],
    rows: Sequence[ParsedRow],
    open_session: OpenSession,
    write: BatchWriter,
) -> None:
    """Writes a batch; on a conflict row by row, so that only the conflicting rows are skipped."""
    try:
        async with open_session() as session:
            await write(state, session, entity, rows)
    except Conflict:
        if state.is_bulk_load:
            raise
        # The rollback may have removed placeholders.
        state.references.clear()
        if len(rows) == 1:
            state.report_skipped(entity, rows[0], "has the UniqueId of another record")
            return
        for row in rows:
            await _write_batch(state, entity, [row], open_session, write)
