"""Every record out to a folder, one file an entity, ordered by Id, nothing lost and nothing added.

What was written comes in again as it was: exported, imported elsewhere and exported again, the
files are the same bytes. What lists leave out, such as collections, is asked for by name.
"""

from __future__ import annotations

import csv
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final, Literal

import msgspec

from creditdesk.schema.entity import COMPUTED_FIELDS, Column, Entity, Record
from creditdesk.schema.progress import ProgressReporter
from creditdesk.schema.repository import ReadSession, Store
from creditdesk.transfer.cell_values import JSON_ENCODERS, JSON_NATIVE_FIELDS, to_cell
from creditdesk.transfer.dependency_order import TRANSFERRED

ExportFormat = Literal["jsonl", "csv"]
EXPORT_BATCH_SIZE: Final = 1000
_encode = msgspec.json.Encoder(decimal_format="number").encode


async def export_records(
    store: Store, folder: Path, report: ProgressReporter, file_format: ExportFormat = "jsonl"
) -> dict[str, int]:
    """Writes the files and gives how many records each entity has; one look at the store."""
    _create_folder(folder)
    counts: dict[str, int] = {}
    async with store.read_session() as reading:
        for entity in TRANSFERRED:
            report.step(entity.plural, await reading.count(entity))
            path = folder / f"{entity.plural}.{file_format}"
            write = _write_csv if file_format == "csv" else _write_jsonl
            counts[entity.__name__] = await write(reading, entity, path, report)
    return counts


def _create_folder(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)


def exported_columns(entity: type[Entity]) -> tuple[Column, ...]:
    """What a record shows or keeps inside, but for what is the same for all or made from the rest."""
    return tuple(
        column
        for column in entity.meta().columns.values()
        if (column.visible or column.field.internal)
        and not column.field.write_only
        and column.name not in COMPUTED_FIELDS
    )


async def _record_batches(
    session: ReadSession, entity: type[Entity], columns: tuple[str, ...]
) -> AsyncIterator[list[Record]]:
    last = 0
    while found := await session.find(
        entity, limit=EXPORT_BATCH_SIZE, after_id=last, columns=columns
    ):
        last = found[-1]["Id"]
        yield found


async def _write_jsonl(
    session: ReadSession, entity: type[Entity], path: Path, report: ProgressReporter
) -> int:
    columns, count = exported_columns(entity), 0
    # Most values of a record are absent, or stand in JSON as they are.
    shown = [
        (column.name, JSON_ENCODERS[type(column.field)])
        for column in columns
        if type(column.field) not in JSON_NATIVE_FIELDS
    ]
    with path.open("wb") as file:
        async for batch in _record_batches(session, entity, tuple(c.name for c in columns)):
            for record in batch:
                for name, show in shown:
                    value = record[name]
                    if value is not None:
                        record[name] = show(value)
                file.write(_encode(record) + b"\n")
            count += len(batch)
            report.advance(len(batch))
    return count


async def _write_csv(
    session: ReadSession, entity: type[Entity], path: Path, report: ProgressReporter
) -> int:
    columns, count = exported_columns(entity), 0
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([c.name for c in columns])
        async for batch in _record_batches(session, entity, tuple(c.name for c in columns)):
            writer.writerows(
                [to_cell(c.field, record[c.name]) for c in columns] for record in batch
            )
            count += len(batch)
            report.advance(len(batch))
    return count
