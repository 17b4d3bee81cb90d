"""Reads the records of a file one by one: CSV, XLSX, a JSON array, a list response, or JSON lines.

Memory stays flat however long a file is: JSON is parsed as a stream of events.
"""

from __future__ import annotations

import codecs
import csv
from collections import deque
from collections.abc import Iterator
from decimal import Decimal
from io import BufferedReader
from pathlib import Path
from typing import Any, Final, TextIO

import ijson
import msgspec

from creditdesk.transfer.file_format import Encoding
from creditdesk.transfer.file_rows import BadRow, FileRow, MalformedFile
from creditdesk.transfer.workbook import workbook_rows

FILE_SUFFIXES: Final = (".csv", ".json", ".jsonl", ".ndjson", ".xlsx")
MAX_CELL_CHARACTERS: Final = 64 << 20
MAX_LINE_BYTES: Final = 1 << 20
"""A longer line is read by the streaming parser."""
_CHUNK: Final = 1 << 16
_DELIMITERS: Final = (",", ";", "\t")
_LINE_SUFFIXES: Final = (".jsonl", ".ndjson")
_NO_OBJECT: Final = "is not an object"
_ENCODING_REMEDY: Final = "save it as UTF-8, or use --encoding latin-1 for CSV"
_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
_OPENING: Final = ("start_map", "start_array")
_Event = tuple[str, Any]
_decode: Final = msgspec.json.Decoder(float_hook=Decimal).decode


def read_rows(path: Path, encoding: Encoding = "utf-8") -> Iterator[FileRow | BadRow]:
    """Yields the file's records in order. Raises MalformedFile at a fault after which no record can be found."""
    try:
        if path.suffix.lower() == ".csv":
            with path.open(encoding=_csv_encoding(path, encoding), newline="") as stream:
                yield from _csv_rows(path, stream)
        elif path.suffix.lower() == ".xlsx":
            yield from workbook_rows(path)
        else:
            with path.open("rb") as stream:
                yield from _json_rows(path, stream)
    except UnicodeError:
        raise MalformedFile(f"{path.name} is not UTF-8 text; {_ENCODING_REMEDY}") from None


def _csv_encoding(path: Path, encoding: Encoding) -> str:
    """The encoding of a CSV file: UTF-16 by its first bytes; Latin-1 means that of Windows."""
    with path.open("rb") as stream:
        if stream.read(2) in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
            return "utf-16"
    return "utf-8-sig" if encoding == "utf-8" else "cp1252"


def estimate_row_count(path: Path) -> int | None:
    """The number of lines of CSV and JSON lines, an upper bound of the rows; None for other files."""
    if path.suffix.lower() in (".json", ".xlsx"):
        return None
    with path.open("rb") as stream:
        return sum(chunk.count(b"\n") for chunk in iter(lambda: stream.read(_CHUNK), b""))


class _RereadableLines:
    """Lines of a file; those of the current record can be read again."""

    def __init__(self, lines: Iterator[str]) -> None:
        self._lines, self._again = lines, deque[str]()
        self.record: list[str] = []

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self._again.popleft() if self._again else next(self._lines)
        self.record.append(line)
        return line

    def reread(self, first: int) -> None:
        """Reads the lines of the record from `first` on again."""
        self._again.extendleft(reversed(self.record[first:]))
        self.record = []


def _csv_rows(path: Path, stream: TextIO) -> Iterator[FileRow | BadRow]:
    """Yields the rows of CSV. An invalid record ends with its first line, so that an open quote costs one row."""
    csv.field_size_limit(MAX_CELL_CHARACTERS)
    lines = _RereadableLines(iter(stream))
    header = next(lines, "")
    lines.reread(0)
    reader = csv.reader(lines, strict=True, delimiter=max(_DELIMITERS, key=header.count))
    try:
        names = [name.strip() for name in next(reader, [])]
    except csv.Error as error:
        raise MalformedFile(f"{path.name}: the first line: {error}") from None
    number = 0
    while True:
        lines.record = []
        number += 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            lines.reread(1)
            yield BadRow(number, f"{error}", tuple(names))
            continue
        if len(cells) == len(names):
            yield FileRow(number, dict(zip(names, cells, strict=True)), is_table=True)
        elif cells:
            lines.reread(1)
            reason = f"has {len(cells)} cells where the first line names {len(names)}"
            yield BadRow(number, reason, tuple(names))


def _json_rows(path: Path, stream: BufferedReader) -> Iterator[FileRow | BadRow]:
    if stream.read(len(_BYTE_ORDER_MARK)) != _BYTE_ORDER_MARK:
        stream.seek(0)
    number = 0
    by_line = path.suffix.lower() in _LINE_SUFFIXES
    try:
        for number, record in enumerate(_json_records(stream, by_line=by_line), 1):
            if isinstance(record, dict):
                yield FileRow(number, record, is_table=False)
            else:
                yield BadRow(number, record.message if isinstance(record, BadRow) else _NO_OBJECT)
    except ijson.JSONError as error:
        if "invalid bytes in UTF8" in f"{error}":
            raise MalformedFile(f"{path.name} is not UTF-8 text; {_ENCODING_REMEDY}") from None
        if "premature EOF" in f"{error}":
            raise MalformedFile(f"{path.name} ends in the middle of a record or list") from None
        remedy = "correct it, or put each record on a line of its own in a .jsonl file, where only that line is refused"
        raise MalformedFile(f"{path.name}: record {number + 1} is not JSON ({remedy})") from None
    except RecursionError:
        raise MalformedFile(f"{path.name}: record {number + 1} is nested too deeply") from None


def _json_records(stream: BufferedReader, *, by_line: bool) -> Iterator[Any]:
    """The records of arrays, list responses and bare objects, however many follow one another."""
    # Exports are JSON lines, and decoding a whole line is several times faster than its events.
    yield from _json_lines(stream, by_line=by_line)
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


def _json_lines(stream: BufferedReader, *, by_line: bool) -> Iterator[dict[str, Any] | BadRow]:
    """The leading lines that are one whole record each; leaves the stream after them.

    With `by_line`, if the first line is a record, every line must be one; any other is a bad row.
    """
    count = 0
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
            if by_line and count and line and len(line) < MAX_LINE_BYTES:
                yield BadRow(count, "is not a JSON object")
                continue
            stream.seek(position)
            return
        count += 1
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
        # Most values are scalars, for which a call would double the time.
        record[key] = _value(event, value, events) if event in _OPENING else value
    return record
