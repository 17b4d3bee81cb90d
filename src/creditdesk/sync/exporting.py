"""Every record out to a folder, one file an entity, ordered by Id, nothing lost and nothing added.

What was written comes in again as it was: exported, imported elsewhere and exported again, the
files are the same bytes. What lists leave out, such as collections, is read from whole records.
"""

from __future__ import annotations

import csv
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final, Literal

import msgspec

from creditdesk.schema.entity import COMPUTED, Column, Entity, Record
from creditdesk.schema.store import Reading, Store
from creditdesk.sync.order import CARRIED
from creditdesk.sync.report import Report
from creditdesk.sync.values import to_cell, to_json

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


async def _batches(reading: Reading, entity: type[Entity]) -> AsyncIterator[list[Record]]:
    last = 0
    while True:
        found = await reading.find(entity, limit=BATCH, after_id=last)
        if not found:
            return
        last = found[-1]["Id"]
        if any(not column.listed for column in exported_columns(entity)):
            whole = await reading.many(entity, [record["Id"] for record in found])
            found = [whole[record["Id"]] for record in found]
        yield found


async def _write_lines(reading: Reading, entity: type[Entity], path: Path, report: Report) -> int:
    columns, count = exported_columns(entity), 0
    with path.open("wb") as file:
        async for batch in _batches(reading, entity):
            for record in batch:
                file.write(_encode({c.name: _shown(c, record) for c in columns}) + b"\n")
            count += len(batch)
            report.advance(len(batch))
    return count


async def _write_csv(reading: Reading, entity: type[Entity], path: Path, report: Report) -> int:
    columns, count = exported_columns(entity), 0
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([c.name for c in columns])
        async for batch in _batches(reading, entity):
            writer.writerows(
                [to_cell(c.kind, record.get(c.name)) for c in columns] for record in batch
            )
            count += len(batch)
            report.advance(len(batch))
    return count


def _shown(column: Column, record: Record) -> Any:
    return to_json(column.kind, record.get(column.name))
