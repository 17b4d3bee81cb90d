"""Reads the records of a file one by one: CSV, a JSON array, a list response, or JSON lines.

Memory stays flat however long a file is: JSON is parsed as a stream of events.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from io import BufferedReader
from pathlib import Path
from typing import Any, Final, TextIO

import ijson
import msgspec

FILE_SUFFIXES: Final = (".csv", ".json", ".jsonl", ".ndjson")
MAX_CELL_CHARACTERS: Final = 64 << 20
MAX_LINE_BYTES: Final = 1 << 20
"""A longer line is read by the streaming parser."""
_CHUNK: Final = 1 << 16
_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
_OPENING: Final = ("start_map", "start_array")
_Event = tuple[str, Any]
_decode: Final = msgspec.json.Decoder(float_hook=Decimal).decode


class MalformedFile(ValueError):
    """A file that cannot be read on; the message says where and why."""


@dataclass(frozen=True, slots=True)
class FileRow:
    """One record as the file has it, counted from 1; `is_csv` when all values are text."""

    number: int
    values: dict[str, Any]
    is_csv: bool


def read_rows(path: Path) -> Iterator[FileRow]:
    """Yields the file's records in order. Raises MalformedFile at the first unreadable one."""
    try:
        if path.suffix.lower() == ".csv":
            with path.open(encoding="utf-8-sig", newline="") as stream:
                yield from _csv_rows(path, stream)
        else:
            with path.open("rb") as stream:
                yield from _json_rows(path, stream)
    except UnicodeDecodeError:
        raise MalformedFile(f"{path.name} is not UTF-8 text") from None


def estimate_row_count(path: Path) -> int | None:
    """Number of lines of CSV and JSON lines, an upper bound of the rows; None for other JSON."""
    if path.suffix.lower() == ".json":
        return None
    with path.open("rb") as stream:
        return sum(chunk.count(b"\n") for chunk in iter(lambda: stream.read(_CHUNK), b""))


def _csv_rows(path: Path, stream: TextIO) -> Iterator[FileRow]:
    csv.field_size_limit(MAX_CELL_CHARACTERS)
    reader = csv.reader(stream, strict=True)
    try:
        names = [name.strip() for name in next(reader, [])]
        for number, cells in enumerate(reader, 1):
            if not cells:
                continue
            if len(cells) != len(names):
                raise MalformedFile(
                    f"{path.name}: row {number} has {len(cells)} cells where the first line"
                    f" names {len(names)}"
                )
            yield FileRow(number, dict(zip(names, cells, strict=True)), is_csv=True)
    except csv.Error as error:
        raise MalformedFile(f"{path.name}: line {reader.line_num}: {error}") from None


def _json_rows(path: Path, stream: BufferedReader) -> Iterator[FileRow]:
    if stream.read(len(_BYTE_ORDER_MARK)) != _BYTE_ORDER_MARK:
        stream.seek(0)
    number = 0
    try:
        for number, record in enumerate(_json_records(stream), 1):
            if not isinstance(record, dict):
                raise MalformedFile(f"{path.name}: record {number} is not an object")
            yield FileRow(number, record, is_csv=False)
    except ijson.JSONError as error:
        if "invalid bytes in UTF8" in f"{error}":
            raise MalformedFile(f"{path.name} is not UTF-8 text") from None
        if "premature EOF" in f"{error}":
            raise MalformedFile(f"{path.name} ends in the middle of a record or list") from None
        raise MalformedFile(f"{path.name}: record {number + 1} is not JSON") from None
    except RecursionError:
        raise MalformedFile(f"{path.name}: record {number + 1} is nested too deeply") from None


def _json_records(stream: BufferedReader) -> Iterator[Any]:
    """The records of arrays, list responses and bare objects, however many follow one another."""
    # Exports are JSON lines, and decoding a whole line is several times faster than its events.
    yield from _json_lines(stream)
    if not stream.peek(1):
        return
    events = ijson.basic_parse(stream, multiple_values=True, buf_size=_CHUNK)
    for event, value in events:
        if event == "start_array":
            yield from _elements(events)
        elif event == "start_map":
            yield from _object_or_page(events)
        else:
            yield value


def _json_lines(stream: BufferedReader) -> Iterator[dict[str, Any]]:
    """The leading lines that hold one whole record each; leaves the stream after them."""
    while True:
        position = stream.tell()
        line = stream.readline(MAX_LINE_BYTES)
        if line.isspace():
            continue
        try:
            record = _decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            record = None
        if not isinstance(record, dict) or isinstance(record.get("Records"), list):
            stream.seek(position)
            return
        yield record


def _elements(events: Iterator[_Event]) -> Iterator[Any]:
    """The elements of the array that `events` has just entered."""
    for event, value in events:
        if event == "end_array":
            return
        yield _value(event, value, events)


def _object_or_page(events: Iterator[_Event]) -> Iterator[Any]:
    """The object that `events` has just entered, or the elements of its list `Records`."""
    record: dict[str, Any] = {}
    is_page = False
    for event, key in events:
        if event == "end_map":
            break
        event, value = next(events)
        if key == "Records" and event == "start_array":
            is_page = True
            yield from _elements(events)
        else:
            record[key] = _value(event, value, events)
    if not is_page:
        yield record


def _value(event: str, value: Any, events: Iterator[_Event]) -> Any:
    """The value that begins with this event."""
    if event == "start_array":
        return list(_elements(events))
    if event != "start_map":
        return value
    record: dict[str, Any] = {}
    for inner, key in events:
        if inner == "end_map":
            break
        event, value = next(events)
        # Most values are scalars, and a call costs as much as reading one.
        record[key] = _value(event, value, events) if event in _OPENING else value
    return record
