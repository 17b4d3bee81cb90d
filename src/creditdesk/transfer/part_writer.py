"""Imports some rows of a file in the caller's session, as an import of the whole file would."""

from __future__ import annotations

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Final

from creditdesk.ledger.journal.mapping import MAPPINGS
from creditdesk.ledger.journal.opening import open_imported_journals
from creditdesk.ledger.loaders.funding import load_grant_origins
from creditdesk.schema.entity import Entity
from creditdesk.schema.progress import NullReporter
from creditdesk.schema.repository import WriteSession
from creditdesk.transfer.dependency_order import deferred_columns
from creditdesk.transfer.file_format import FileFormat
from creditdesk.transfer.file_rows import BadRow, FileRow
from creditdesk.transfer.import_report import ImportReport
from creditdesk.transfer.import_state import ImportCounts, ImportState
from creditdesk.transfer.link_writer import write_links
from creditdesk.transfer.record_writer import write_records
from creditdesk.transfer.row_parser import RowParser, parse_batches

MAX_PART_MESSAGES: Final = 500


class ImportMessages(NullReporter):
    """Counts the messages of an import, and keeps the first ones, each once and without the file's name."""

    def __init__(self, file_name: str) -> None:
        self._prefix = f"{file_name}: "
        self.shown: dict[str, None] = {}
        self.count = 0

    def note(self, message: str) -> None:
        self._keep(message)

    def problem(self, message: str) -> None:
        self._keep(message)

    def _keep(self, message: str) -> None:
        self.count += 1
        if len(self.shown) < MAX_PART_MESSAGES:
            self.shown[message.removeprefix(self._prefix)] = None


@dataclass(slots=True)
class PartResult:
    """The result of some rows; `added_ids` are the new records."""

    counts: ImportCounts = field(default_factory=ImportCounts)
    refused: int = 0
    adjusted: int = 0
    ignored: int = 0
    added_ids: list[int] = field(default_factory=list)
    messages: list[str] = field(default_factory=list)
    message_count: int = 0


async def write_part(
    session: WriteSession,
    entity: type[Entity],
    rows: Sequence[FileRow | BadRow],
    file_format: FileFormat,
    now: datetime,
    file_ids: AbstractSet[int] = frozenset(),
) -> PartResult:
    """Writes the rows with their links and journals. Raises Conflict where a row contradicts the database.

    file_ids: the records of the whole file; those that are not stored yet are left to `link_part`.
    """
    path = Path(f"{entity.plural}.csv")
    messages = ImportMessages(path.name)
    state = ImportState(ImportReport(messages), now, keep_dangling=False)
    state.file_name = path.name
    state.references.expected = {entity.__name__: file_ids}
    counts = state.counts[entity.__name__] = ImportCounts()
    parser = RowParser(entity, path, state.report, None, file_format)
    async for parsed in parse_batches(parser, rows, len(rows)):
        await write_records(state, session, entity, parsed)
    parser.report_unknown_columns()
    if entity in state.entities_with_links:
        await _write_links(state, session, entity, rows, file_format)
    for mapping in MAPPINGS.values():
        if ids := sorted(state.credit_ids.get(mapping.credit_entity, ())):
            await open_imported_journals(session, mapping, ids, now, load_grant_origins)
    report = state.report
    return PartResult(
        counts, report.refused, report.adjusted, report.ignored, state.inserted.get(entity.__name__, []),
        list(messages.shown), messages.count,
    )  # fmt: skip


async def link_part(
    session: WriteSession,
    entity: type[Entity],
    rows: Sequence[FileRow | BadRow],
    file_format: FileFormat,
    now: datetime,
) -> list[str]:
    """Sets the links of rows after the whole file is stored; returns messages about records that are still missing."""
    messages = ImportMessages(f"{entity.plural}.csv")
    state = ImportState(ImportReport(messages), now, keep_dangling=False)
    await _write_links(state, session, entity, rows, file_format)
    return list(messages.shown)


def row_ids(entity: type[Entity], rows: Sequence[FileRow | BadRow], file_format: FileFormat) -> set[int]:
    """The Ids that rows name as their own."""
    parser = RowParser(entity, Path(f"{entity.plural}.csv"), ImportReport(NullReporter()), (), file_format)
    return {parsed.id for row in rows if (parsed := parser.parse(row)) and parsed.id}


async def _write_links(
    state: ImportState,
    session: WriteSession,
    entity: type[Entity],
    rows: Sequence[FileRow | BadRow],
    file_format: FileFormat,
) -> None:
    # The first pass has reported everything about these rows.
    quiet = ImportReport(NullReporter())
    parser = RowParser(entity, Path(f"{entity.plural}.csv"), quiet, deferred_columns(entity), file_format)
    async for parsed in parse_batches(parser, rows, len(rows)):
        await write_links(state, session, entity, parsed)
