"""Parses a file's rows into ids and stored values of records, and reports what is skipped."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Container, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from uuid import UUID, uuid5

from creditdesk.entities.spaces.coworker import Coworker
from creditdesk.entities.sys.user import User
from creditdesk.schema.conversions import ParseError
from creditdesk.schema.entity import COMPUTED_FIELDS, Column, Entity
from creditdesk.schema.fields import (
    Collection,
    DateTime,
    Enum,
    Field,
    Integer,
    Object,
    Scaled,
    Text,
)
from creditdesk.transfer.cell_values import FAST_PARSERS, blank_value, parse_value
from creditdesk.transfer.file_format import STANDARD_FORMAT, FileFormat
from creditdesk.transfer.file_rows import BadRow, FileRow, MalformedFile
from creditdesk.transfer.import_report import ImportReport

MAX_CACHED_LAYOUTS: Final = 1000
ROWS_PER_YIELD: Final = 50
"""Rows parsed without giving way to other tasks; about a millisecond."""
MAX_SHOWN_CHARACTERS: Final = 60
"""How much of an unreadable value a message shows."""
MAX_SHOWN_COLUMNS: Final = 20
_PROFILES: Final = (Coworker, User)
_PROFILE_FIELDS: Final = (DateTime, Enum, Integer, Object)
"""What only describes the person of a profile, beside text."""
_NAMESPACE: Final = UUID("6f2f6d0e-8f43-5c0b-9d5a-6a6ed0f6a3c1")


@dataclass(frozen=True, slots=True)
class ParsedRow:
    """One row: the record's Id if given, its UniqueId, and stored values by column."""

    number: int
    id: int | None
    unique_id: str
    values: dict[str, Any]


@dataclass(frozen=True, slots=True)
class _HeaderLayout:
    """Rows with the same names share this: the column of each name, if any, with its fast parser,
    and the values of blanks.
    """

    columns: tuple[tuple[Column, Callable[[Any, object], Any] | None] | None, ...]
    blank: dict[str, Any]


class RowParser:
    """Parses the rows of one file as records of one entity and reports what it cannot parse.

    `only` restricts the values to these columns; Id and UniqueId are always read.
    """

    def __init__(
        self,
        entity: type[Entity],
        path: Path,
        report: ImportReport,
        only: Container[str] | None = None,
        file_format: FileFormat = STANDARD_FORMAT,
    ) -> None:
        self.path: Final = path
        self._entity, self._report = entity, report
        self.format: Final = file_format
        self._unknown: list[str] = []
        self._importable = _importable_columns(entity, only)
        self._columns_by_name: dict[str, Column | None] = {}
        self._layouts: dict[tuple[str, ...], _HeaderLayout] = {}

    def parse(self, row: FileRow | BadRow) -> ParsedRow | None:
        """The row's values; None, with a report, when a value that matters cannot be parsed."""
        if isinstance(row, BadRow):
            self._report.refuse(self._locate(row, f"{row.message}; the row is refused"))
            return None
        names = tuple(row.values)
        layout = self._layouts.get(names)
        if layout is None:
            layout = self._layout_for(names, is_table=row.is_table)
        values = layout.blank.copy()
        for name, target, raw in zip(names, layout.columns, row.values.values(), strict=True):
            # Most values of a record are absent or in the usual form.
            if raw is None or target is None or (raw == "" and row.is_table):
                continue
            column, fast_parser = target
            value = fast_parser(column.field, raw) if fast_parser else ...
            if value is ...:
                try:
                    value = self._parse_value(row, name, column.field, raw)
                except ParseError as error:
                    if not self._report_unreadable(name, column.field, row, raw, error):
                        return None
                    values.pop(column.name, None)
                    continue
            values[column.name] = value
        record_id = values.pop("Id", None) or None
        unique_id = values.pop("UniqueId", None) or self._derived_unique_id(row, record_id)
        return ParsedRow(row.number, record_id, unique_id, values)

    def _parse_value(self, row: FileRow, name: str, field: Field, raw: object) -> Any:
        parsed = parse_value(field, self.format.normalize(field, raw))
        if parsed.rounded and isinstance(field, Scaled):
            message = f"{name} {raw} is rounded to {field.places} decimal places"
            self._report.adjust(self._locate(row, message))
        return parsed.value

    def _report_unreadable(self, name: str, field: Field, row: FileRow, raw: object, error: ParseError) -> bool:
        """Reports a value; returns whether the row is imported without it."""
        remedy = self.format.remedy(field, raw)
        message = self._locate(row, f"{name} {_shown(raw)} {error}{remedy}")
        if is_descriptive(self._entity, field):
            self._report.adjust(f"{message}; it is left empty")
            return True
        self._report.refuse(f"{message}; the row is refused")
        return False

    def _layout_for(self, names: tuple[str, ...], *, is_table: bool) -> _HeaderLayout:
        columns = [self._column_for(name) for name in names]
        if len(self._layouts) >= MAX_CACHED_LAYOUTS:
            self._layouts.clear()
        layout = self._layouts[names] = _HeaderLayout(
            tuple((c, FAST_PARSERS.get(type(c.field))) if c else None for c in columns),
            {c.name: blank_value(c.field, cell=is_table) for c in columns if c},
        )
        return layout

    def _column_for(self, name: str) -> Column | None:
        """The column of a name in the file; remembers an unknown name."""
        if name not in self._columns_by_name:
            known = self._importable.get(name.lower(), ...)
            if known is ...:
                self._unknown.append(name)
            self._columns_by_name[name] = known if isinstance(known, Column) else None
        return self._columns_by_name[name]

    def _derived_unique_id(self, row: FileRow, record_id: int | None) -> str:
        """The UniqueId of a row without one; the same whenever the same file is imported."""
        key = f"#{record_id}" if record_id else f"{row.number} {sorted(row.values.items())!r}"
        return str(uuid5(_NAMESPACE, f"{self._entity.__name__} {key}"))

    def report_unknown_columns(self) -> None:
        """Reports the names in the file that are no column, in one line."""
        if self._unknown:
            names = ", ".join(self._unknown[:MAX_SHOWN_COLUMNS])
            more = len(self._unknown) - MAX_SHOWN_COLUMNS
            rest = f" and {more} more" if more > 0 else ""
            self._report.ignore(f"{self.path.name}: unknown columns are ignored: {names}{rest}")

    def _locate(self, row: FileRow | BadRow, message: str) -> str:
        return f"{self.path.name}: row {row.number}: {message}"


def is_descriptive(entity: type[Entity], field: Field) -> bool:
    """Whether the field may stay empty without an effect on an amount, owner, window or kind.

    That is true only of optional free text, and of the dates, counts and choices of a person's profile. Any other field
    decides something: a credit without its ExpireDate would never expire, one without its ElegibleResourceTypes would
    pay for every resource.
    """
    if field.required:
        return False
    return (isinstance(field, Text) and not field.exact) or (entity in _PROFILES and isinstance(field, _PROFILE_FIELDS))


def _shown(raw: object) -> str:
    text = raw if isinstance(raw, str) else str(raw)
    if len(text) > MAX_SHOWN_CHARACTERS:
        text = text[:MAX_SHOWN_CHARACTERS] + "…"
    return f'"{text}"' if isinstance(raw, str) else text


def _importable_columns(entity: type[Entity], only: Container[str] | None) -> dict[str, Column | None]:
    """Lower-case name -> column; None for a known name whose value is derived."""
    meta = entity.meta()
    stored = {column.name for column in (*meta.stored_columns, *meta.collection_columns)}
    if only is not None:
        stored = {name for name in stored if name in only or name in ("Id", "UniqueId")}
    found: dict[str, Column | None] = {}
    for column in meta.columns.values():
        found[column.name.lower()] = column if column.name in stored else None
        if isinstance(column.field, Collection):
            found[f"added{column.name}".lower()] = found[f"removed{column.name}".lower()] = None
    # Earlier versions showed some of the values that only filters have now.
    return dict.fromkeys(name.lower() for name in (*COMPUTED_FIELDS, *meta.filter_only)) | found


async def parse_batches(
    parser: RowParser, rows: Iterable[FileRow | BadRow], size: int
) -> AsyncGenerator[list[ParsedRow]]:
    """Yields the parsed rows in batches of `size`, giving way to other tasks between rows.

    Raises MalformedFile after the rows before the malformed one.
    """
    batch: list[ParsedRow] = []
    try:
        for count, row in enumerate(rows, 1):
            parsed = parser.parse(row)
            if parsed is not None:
                batch.append(parsed)
            if len(batch) == size:
                yield batch
                batch = []
            if count % ROWS_PER_YIELD == 0:
                await asyncio.sleep(0)
    except MalformedFile:
        if batch:
            yield batch
        raise
    if batch:
        yield batch
