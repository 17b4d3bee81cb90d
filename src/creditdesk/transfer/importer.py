"""Imports a folder of files; importing the same files again changes nothing.

Two passes over the files: the first writes records with references to records imported before them, the second the
remaining references and the collections. Balances are imported, and nothing is spent again. Afterwards the ledger
opens a journal for each imported credit.

Each batch is a transaction, so memory use is constant, and an interrupted import is simply repeated. A large import
into an empty database runs as two atomic bulk loads, of records and of journals; files that a bulk load cannot import
are imported in batches.
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
from creditdesk.entities.spaces.booking import Booking
from creditdesk.entities.sys.business import Business
from creditdesk.ledger.journal.mapping import MAPPINGS
from creditdesk.ledger.journal.opening import open_imported_journals
from creditdesk.ledger.loaders.funding import load_grant_origins
from creditdesk.ledger.operations.booking_numbers import number_bookings, restart_sequences
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
from creditdesk.transfer.file_format import STANDARD_FORMAT, FileFormat
from creditdesk.transfer.file_rows import MalformedFile
from creditdesk.transfer.files import estimate_row_count, read_rows
from creditdesk.transfer.import_report import ImportReport
from creditdesk.transfer.import_state import BulkLoadUnsupported, ImportCounts, ImportState
from creditdesk.transfer.link_writer import write_links
from creditdesk.transfer.record_writer import write_records
from creditdesk.transfer.row_parser import ParsedRow, RowParser, parse_batches
from creditdesk.transfer.user_guard import UserGuard

IMPORT_BATCH_SIZE: Final = 1000

OpenSession = Callable[[], AbstractAsyncContextManager[WriteSession]]
BatchWriter = Callable[[ImportState, WriteSession, type[Entity], Sequence[ParsedRow]], Awaitable[None]]


class _RolledBack(Exception):
    """Ends the transaction of a dry run."""


@dataclass(frozen=True, slots=True)
class Importer:
    """Imports files into a store.

    keep_dangling: creates placeholders for missing records. admins: e-mails of users that may be imported as
    administrators. overwritten_users: e-mails of existing users that files may change.
    dry_run: imports in one transaction with a savepoint for each batch, and rolls it back: files refer to each other.
    """

    store: Store
    report: ProgressReporter
    now: datetime
    keep_dangling: bool = False
    admins: tuple[str, ...] = ()
    overwritten_users: tuple[str, ...] = ()
    file_format: FileFormat = STANDARD_FORMAT
    dry_run: bool = False

    async def run(self, path: Path) -> ImportState:
        """Imports a folder or a file; the state returned counts records, and rows by consequence.

        Files that are not named after an entity are noted and ignored.
        """
        report = self.report
        found = ImportReport(report)
        files = find_files(path, found)
        if self.dry_run:
            state = self._new_state(report)
            state.report.add(found)
            with suppress(_RolledBack):
                async with self.store.write_session() as session:
                    await self._import_files(state, files, session.savepoint)
                    await self._finish(state, files, session.savepoint)
                    raise _RolledBack
            return state
        if await should_bulk_load(self.store, files):
            recording = RecordingReporter(report)
            loaded = await self._bulk_load_records(files, recording)
            if loaded is not None:
                async with self.store.bulk_load((JournalLine, AccountState)) as session:
                    await self._open_journals(loaded, lambda: nullcontext(session))
                await self._number_bookings(files, self.store.write_session)
                loaded.report.add(found)
                return loaded
            report = DeduplicatingReporter(report, recording)
        state = self._new_state(report)
        state.report.add(found)
        await self._import_files(state, files, self.store.write_session)
        await self._finish(state, files, self.store.write_session)
        return state

    async def _finish(self, state: ImportState, files: FilesByEntity, open_session: OpenSession) -> None:
        await self._open_journals(state, open_session)
        await self._number_bookings(files, open_session)

    def _new_state(self, report: ProgressReporter, *, is_bulk_load: bool = False) -> ImportState:
        users = UserGuard(self.admins, self.overwritten_users)
        return ImportState(ImportReport(report), self.now, self.keep_dangling, is_bulk_load, users=users)

    async def _bulk_load_records(self, files: FilesByEntity, report: ProgressReporter) -> ImportState | None:
        """Loads all records in one transaction. Returns None, without a change, if that is impossible."""
        state = self._new_state(report, is_bulk_load=True)
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

    async def _import_files(self, state: ImportState, files: FilesByEntity, open_session: OpenSession) -> None:
        order = _ordered(files)
        for entity in order:
            state.counts[entity.__name__] = ImportCounts()
            for file in files[entity.__name__]:
                state.report.reporter.step(file.name, estimate_row_count(file))
                parser = RowParser(entity, file, state.report, None, self.file_format)
                try:
                    await _import_file(state, entity, parser, open_session, write_records)
                except MalformedFile as error:
                    state.report.refuse(f"{error}; the rest of the file is refused")
                parser.report_unknown_columns()
        for entity in order:
            for file in files[entity.__name__] if entity in state.entities_with_links else ():
                state.report.reporter.step(f"{file.name}, links", estimate_row_count(file))
                # The first pass has reported everything about these rows.
                parser = RowParser(
                    entity,
                    file,
                    ImportReport(NullReporter()),
                    deferred_columns(entity),
                    self.file_format,
                )
                with suppress(MalformedFile):
                    await _import_file(state, entity, parser, open_session, write_links)

    async def _number_bookings(self, files: FilesByEntity, open_session: OpenSession) -> None:
        if Booking.__name__ in files:
            await number_imported_bookings(open_session, self.now)

    async def _open_journals(self, state: ImportState, open_session: OpenSession) -> None:
        """Opens the missing journals of the credits that the files name, and of placeholders.

        So a repeated import finishes one that was interrupted. A credit that no file names is not
        granted by an import (rule 38).
        """
        for mapping in MAPPINGS.values():
            entity = mapping.credit_entity
            named = state.credit_ids.get(entity, set()) | state.references.placeholders.get(entity, set())
            ordered = sorted(named)
            self.report.step(f"journal of {entity.plural}", len(ordered))
            for start in range(0, len(ordered), IMPORT_BATCH_SIZE):
                ids = ordered[start : start + IMPORT_BATCH_SIZE]
                async with open_session() as session:
                    await open_imported_journals(session, mapping, ids, self.now, load_grant_origins)
                self.report.advance(len(ids))


async def number_imported_bookings(open_session: OpenSession, now: datetime) -> None:
    """Numbers imported bookings that have no number, with the next numbers of their locations."""
    async with open_session() as session:
        businesses = await session.find(Business, columns=("Id",))
        await restart_sequences(session, [business["Id"] for business in businesses])
    last: int | None = 0
    while last is not None:
        async with open_session() as session:
            last = await number_bookings(session, last, IMPORT_BATCH_SIZE, now)


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
    state.file_name = parser.path.name
    parsed = parse_batches(parser, read_rows(parser.path, parser.format.encoding), IMPORT_BATCH_SIZE)
    # The next batch is parsed while the database stores this one.
    async with aclosing(prefetch(parsed)) as batches:
        async for batch in batches:
            await _write_batch(state, entity, batch, open_session, write)
            state.report.reporter.advance(len(batch))


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
            state.refuse(rows[0], "has a value of another record")
            return
        for row in rows:
            await _write_batch(state, entity, [row], open_session, write)
