"""Stores a file as lines of JSON, of which each part of an import reads its own."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import msgspec

from creditdesk.transfer.file_rows import BadRow, MalformedFile
from creditdesk.transfer.files import read_rows

MAX_LINE_CHARACTERS: Final = 100_000_000
"""Of all lines together; a workbook of a few megabytes can hold far more."""
_NUMBER, _CELLS = "row", "cells"


@dataclass(frozen=True, slots=True)
class StoredLines:
    """The names of a file's columns, and its rows as JSON: a list of cells, or the message of a row that is unreadable.

    A row after blank ones is an object with its number in the file.
    """

    headings: list[str] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)


def read_lines(content: bytes, suffix: str, max_rows: int) -> StoredLines:
    """The lines of a file. Raises MalformedFile, also for too many rows or for no column."""
    with tempfile.TemporaryDirectory(prefix="creditdesk-upload-") as folder:
        path = Path(folder) / f"file{suffix}"
        path.write_bytes(content)
        headings = _headings(path)
        if not any(headings):
            raise MalformedFile("names no columns, or has no rows")
        lines: list[str] = []
        size = 0
        for line in _lines(path, headings):
            size += len(line)
            if len(lines) == max_rows:
                raise MalformedFile(f"must have at most {max_rows} rows")
            if size > MAX_LINE_CHARACTERS:
                raise MalformedFile("holds too much text; divide it")
            lines.append(line)
    return StoredLines(headings, lines)


def _headings(path: Path) -> list[str]:
    """The names of the columns in their order. Records of JSON may differ; tables have one line of names."""
    names: dict[str, None] = {}
    for row in read_rows(path):
        names.update(dict.fromkeys(row.columns if isinstance(row, BadRow) else row.values))
        if row.columns if isinstance(row, BadRow) else row.is_table:
            break
    return list(names)


def _lines(path: Path, headings: list[str]) -> Iterator[str]:
    for position, row in enumerate(read_rows(path), 1):
        cells = row.message if isinstance(row, BadRow) else [_cell(row.values.get(name)) for name in headings]
        value = cells if row.number == position else {_NUMBER: row.number, _CELLS: cells}
        yield msgspec.json.encode(value).decode()


def decode_line(line: str, position: int) -> tuple[int, list[str] | str]:
    """The number of a row in its file, and its cells or what is wrong with it; `position`: the line's, from 1."""
    value: Any = msgspec.json.decode(line)
    return (value[_NUMBER], value[_CELLS]) if isinstance(value, dict) else (position, value)


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return msgspec.json.encode(value).decode() if isinstance(value, list | dict) else str(value)
