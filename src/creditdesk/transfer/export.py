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

from creditdesk.schema.entity import COMPUTED, Column, Entity, Record
from creditdesk.schema.progress import Report
from creditdesk.schema.repository import Reading, Store
from creditdesk.transfer.cell_values import JSON_VALUES, PLAIN_IN_JSON, to_cell
from creditdesk.transfer.dependency_order import CARRIED

Format = Literal["jsonl", "csv"]
BATCH: Final = 1000
_encode = msgspec.json.Encoder(decimal_format="number").encode


async def export_records(
    store: Store, folder: Path, report: Report, form: Format = "jsonl"
) -> dict[str, int]:
    """Writes the files and gives how many records each entity has; one look at the store."""
    _make(folder)
    counts: dict[str, int] = {}
    async with store.reading() as reading:
        for entity in CARRIED:
            report.step(entity.plural, await reading.count(entity))
            path = folder / f"{entity.plural}.{form}"
            write = _write_csv if form == "csv" else _write_lines
            counts[entity.__name__] = await write(reading, entity, path, report)
    return counts


def _make(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)


def exported_columns(entity: type[Entity]) -> tuple[Column, ...]:
    """What a record shows or keeps inside, but for what is the same for all or made from the rest."""
    return tuple(
        column
        for column in entity.shape().columns.values()
        if (column.shown or column.kind.internal)
        and not column.kind.write_only
        and column.name not in COMPUTED
    )


async def _batches(
    reading: Reading, entity: type[Entity], names: tuple[str, ...]
) -> AsyncIterator[list[Record]]:
    last = 0
    while found := await reading.find(entity, limit=BATCH, after_id=last, names=names):
        last = found[-1]["Id"]
        yield found


async def _write_lines(reading: Reading, entity: type[Entity], path: Path, report: Report) -> int:
    columns, count = exported_columns(entity), 0
    # Most values of a record are absent, or stand in JSON as they are.
    shown = [
        (column.name, JSON_VALUES[type(column.kind)])
        for column in columns
        if type(column.kind) not in PLAIN_IN_JSON
    ]
    with path.open("wb") as file:
        async for batch in _batches(reading, entity, tuple(c.name for c in columns)):
            for record in batch:
                for name, show in shown:
                    value = record[name]
                    if value is not None:
                        record[name] = show(value)
                file.write(_encode(record) + b"\n")
            count += len(batch)
            report.advance(len(batch))
    return count


async def _write_csv(reading: Reading, entity: type[Entity], path: Path, report: Report) -> int:
    columns, count = exported_columns(entity), 0
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([c.name for c in columns])
        async for batch in _batches(reading, entity, tuple(c.name for c in columns)):
            writer.writerows([to_cell(c.kind, record[c.name]) for c in columns] for record in batch)
            count += len(batch)
            report.advance(len(batch))
    return count
