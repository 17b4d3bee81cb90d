"""Exports every record to a folder, one file per entity, in order of Id.

An export that is imported elsewhere and exported again is byte for byte the same. Columns that
lists leave out, such as collections, are included.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final, Literal

import msgspec

from creditdesk.private_files import open_private_bytes, open_private_text
from creditdesk.schema.batches import find_batches
from creditdesk.schema.entity import COMPUTED_FIELDS, Column, Entity
from creditdesk.schema.fields import Computed
from creditdesk.schema.progress import ProgressReporter
from creditdesk.schema.repository import ReadSession, Store
from creditdesk.schema.spreadsheets import inert_text
from creditdesk.transfer.cell_values import JSON_ENCODERS, JSON_NATIVE_FIELDS, to_cell
from creditdesk.transfer.dependency_order import TRANSFERRED

ExportFormat = Literal["jsonl", "csv"]
EXPORT_BATCH_SIZE: Final = 1000

_NUMBER: Final = re.compile(r"-?[0-9]+(\.[0-9]+)?", re.ASCII)
_encode = msgspec.json.Encoder(decimal_format="number").encode


async def export_records(
    store: Store,
    folder: Path,
    report: ProgressReporter,
    file_format: ExportFormat = "jsonl",
    *,
    escape_formulas: bool = False,
) -> dict[str, int]:
    """Writes the files from one snapshot; returns the number of records by entity name.

    `escape_formulas` puts an apostrophe before CSV text that a spreadsheet would read as a formula.
    """
    _create_folder(folder)
    counts: dict[str, int] = {}
    async with store.read_session() as session:
        for entity in TRANSFERRED:
            report.step(entity.plural, await session.count(entity))
            path = folder / f"{entity.plural}.{file_format}"
            write = _write_jsonl
            if file_format == "csv":
                write = partial(_write_csv, escape=escape_formula if escape_formulas else str)
            counts[entity.__name__] = await write(session, entity, path, report)
    return counts


def _create_folder(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)


def exported_columns(entity: type[Entity]) -> tuple[Column, ...]:
    """The visible and internal columns, without the computed and the write-only ones."""
    return tuple(
        column
        for column in entity.meta().columns.values()
        if not isinstance(column.field, Computed)
        and (column.visible or column.field.internal)
        and not column.field.write_only
        and column.name not in COMPUTED_FIELDS
    )


async def _write_jsonl(session: ReadSession, entity: type[Entity], path: Path, report: ProgressReporter) -> int:
    columns, count = exported_columns(entity), 0
    names = [column.name for column in columns]
    # Most values are null or JSON values as they are.
    encoders = [
        (column.name, JSON_ENCODERS[type(column.field)])
        for column in columns
        if type(column.field) not in JSON_NATIVE_FIELDS
    ]
    with open_private_bytes(path) as file:
        async for batch in find_batches(session, entity, EXPORT_BATCH_SIZE, names):
            for record in batch:
                for name, encode in encoders:
                    value = record[name]
                    if value is not None:
                        record[name] = encode(value)
                file.write(_encode(record) + b"\n")
            count += len(batch)
            report.advance(len(batch))
    return count


def escape_formula(cell: str) -> str:
    """The cell, inert for spreadsheets unless it is a number."""
    return cell if _NUMBER.fullmatch(cell) else inert_text(cell)


async def _write_csv(
    session: ReadSession,
    entity: type[Entity],
    path: Path,
    report: ProgressReporter,
    *,
    escape: Callable[[str], str],
) -> int:
    columns, count = exported_columns(entity), 0
    names = [column.name for column in columns]
    with open_private_text(path, newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(names)
        async for batch in find_batches(session, entity, EXPORT_BATCH_SIZE, names):
            writer.writerows([escape(to_cell(c.field, record[c.name])) for c in columns] for record in batch)
            count += len(batch)
            report.advance(len(batch))
    return count
