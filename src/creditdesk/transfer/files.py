"""Rows of a file, one by one: CSV, a JSON array, a list answer with Records, or JSON lines.

Memory stays flat however long a file is. It must not know what the rows mean.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from io import TextIOWrapper
from pathlib import Path
from typing import Any, BinaryIO, Final, TextIO

import msgspec

FILE_SUFFIXES: Final = (".csv", ".json", ".jsonl", ".ndjson")
_CHUNK: Final = 1 << 20
_LONGEST_RECORD: Final = 64 << 20
_LONGEST_LINE: Final = 1 << 20
_SPACE: Final = re.compile(r"[\s,]*")
_decode: Final = msgspec.json.Decoder(float_hook=Decimal).decode
_ENVELOPE: Final = re.compile(r'\s*\{\s*"Records"\s*:\s*\[')


class MalformedFile(ValueError):
    """A file that cannot be read on; the text says where and why."""


@dataclass(frozen=True, slots=True)
class FileRow:
    """One record as the file has it, counted from 1; `cells` when all values are text."""

    number: int
    values: dict[str, Any]
    is_csv: bool


def read_rows(path: Path) -> Iterator[FileRow]:
    """The file's records in its order. Raises Broken at the first that cannot be read.

    A JSON list answer is streamed when Records is its first key, as the API writes it; with
    another first key the whole answer is held in memory.
    """
    try:
        if path.suffix.lower() == ".csv":
            with path.open(encoding="utf-8-sig", newline="") as stream:
                yield from _csv_rows(path, stream)
        else:
            with path.open("rb") as stream:
                for number, record in enumerate(_json_records(path, stream), 1):
                    if not isinstance(record, dict):
                        raise MalformedFile(f"{path.name}: record {number} is not an object")
                    yield FileRow(number, record, is_csv=False)
    except UnicodeDecodeError:
        raise MalformedFile(f"{path.name} is not UTF-8 text") from None


def estimate_row_count(path: Path) -> int | None:
    """About how many rows there are, where lines are rows; None for other JSON."""
    if path.suffix.lower() == ".json":
        return None
    with path.open("rb") as stream:
        return sum(chunk.count(b"\n") for chunk in iter(lambda: stream.read(_CHUNK), b""))


def _csv_rows(path: Path, stream: TextIO) -> Iterator[FileRow]:
    csv.field_size_limit(_LONGEST_RECORD)
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


def _json_records(path: Path, stream: BinaryIO) -> Iterator[Any]:
    count = 0
    for record in _plain_lines(stream):
        count += 1
        yield record
    # What is not a plain line, and all after it, is read with more care.
    with TextIOWrapper(stream, encoding="utf-8-sig") as text:
        yield from _careful_records(path, text, count)


def _plain_lines(stream: BinaryIO) -> Iterator[dict[str, Any]]:
    """The records of lines that hold one whole object each; leaves the stream where they end."""
    while True:
        place = stream.tell()
        line = stream.readline(_LONGEST_LINE)
        try:
            record = _decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            record = None
        if not isinstance(record, dict) or isinstance(record.get("Records"), list):
            stream.seek(place)
            return
        yield record


def _careful_records(path: Path, stream: TextIO, before: int) -> Iterator[Any]:
    """What follows the first so many records, in any of the shapes."""
    reader = _Buffered(path, stream, before)
    if before == 0 and (reader.take(_ENVELOPE) or reader.take(re.compile(r"\s*\["))):
        while not reader.at("]"):
            yield reader.value()
        return
    while not reader.ended:
        record = reader.value()
        if isinstance(record, dict) and isinstance(record.get("Records"), list):
            yield from record["Records"]
        else:
            yield record


class _Buffered:
    """JSON values off a stream, with no more of it in memory than the value at hand."""

    def __init__(self, path: Path, stream: TextIO, before: int) -> None:
        self._name, self._stream = path.name, stream
        self._text, self._place, self._drained = stream.read(_CHUNK), 0, False
        self._decode = json.JSONDecoder(parse_float=Decimal).raw_decode
        self._count = before

    def take(self, opening: re.Pattern[str]) -> bool:
        found = opening.match(self._text, self._place)
        if found:
            self._place = found.end()
        return found is not None

    def at(self, closing: str) -> bool:
        """Whether the list ends here; Broken when the file ends instead."""
        if self.ended:
            raise MalformedFile(f"{self._name} ends in the middle of its list")
        return self._text.startswith(closing, self._place)

    @property
    def ended(self) -> bool:
        while True:
            space = _SPACE.match(self._text, self._place)
            self._place = space.end() if space else self._place
            if self._place < len(self._text):
                return False
            if not self._more():
                return True

    def value(self) -> Any:
        self._count += 1
        while True:
            try:
                value, end = self._decode(self._text, self._place)
            except (ValueError, RecursionError):
                if len(self._text) - self._place < _LONGEST_RECORD and self._more():
                    continue
                raise MalformedFile(f"{self._name}: record {self._count} is not JSON") from None
            if end == len(self._text) and self._more():
                # A number at the end of the chunk may go on in the next one.
                continue
            self._place = end
            return value

    def _more(self) -> bool:
        chunk = self._stream.read(_CHUNK)
        self._text, self._place = self._text[self._place :] + chunk, 0
        return bool(chunk)
