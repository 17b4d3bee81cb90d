"""Rows and records as JSON: one formatter per column, chosen once per entity."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from itertools import repeat
from operator import itemgetter
from typing import Any, Final

from msgspec import Raw, Struct, defstruct
from msgspec.json import Encoder

from creditdesk.schema.conversions import convert_column, format_datetime, format_decimal
from creditdesk.schema.entity import Column, Entity, Record
from creditdesk.schema.fields import (
    Boolean,
    Collection,
    Computed,
    DateTime,
    Enum,
    Field,
    Guid,
    Integer,
    Money,
    Number,
    Object,
    Reference,
    Scaled,
    Text,
)

ValueFormatter = Callable[[Any], Any]
MAX_CACHED_NUMBERS: Final = 16_384
"""The number of formatted numbers, and of datetimes, at which the cache is cleared."""
ENCODED_ROWS: Final = 250
"""The number of rows that are serialized in one step."""
ENCODER: Final = Encoder(decimal_format="number")
encode: Final = ENCODER.encode


def _no_conversion(_: Field) -> ValueFormatter | None:
    return None


class _NumberCache(dict[int, Any]):
    """Formatted decimal numbers by their scaled value."""

    def __init__(self, places: int) -> None:
        self._places = places
        self._unit = 10**places

    def __missing__(self, value: int) -> int | Raw:
        if len(self) >= MAX_CACHED_NUMBERS:
            self.clear()
        whole, rest = divmod(value, self._unit)
        formatted = Raw(format_decimal(value, self._places).encode()) if rest else whole
        self[value] = formatted
        return formatted


_NUMBERS: Final = {kind.places: _NumberCache(kind.places) for kind in (Money, Number)}


def _number_formatter(field: Field) -> ValueFormatter:
    assert isinstance(field, Scaled)
    return _NUMBERS[field.places].__getitem__


class _FormattedDatetimes(dict[datetime, Raw]):
    """Formatted datetimes by value. The encoder's own format keeps trailing zeros of the fraction."""

    def __missing__(self, value: datetime) -> Raw:
        if len(self) >= MAX_CACHED_NUMBERS:
            self.clear()
        formatted = self[value] = Raw(f'"{format_datetime(value)}"'.encode())
        return formatted


_DATETIMES: Final = _FormattedDatetimes()


def _datetime_formatter(_: Field) -> ValueFormatter:
    return _DATETIMES.__getitem__


def _list_formatter(_: Field) -> ValueFormatter:
    return list


def _computed_formatter(field: Field) -> ValueFormatter | None:
    return _NUMBERS[Money.places].__getitem__ if isinstance(field, Computed) and field.shows == "money" else None


SERIALIZERS: Final[dict[type[Field], Callable[[Field], ValueFormatter | None]]] = {
    Text: _no_conversion,
    Guid: _no_conversion,
    Integer: _no_conversion,
    Money: _number_formatter,
    Number: _number_formatter,
    Boolean: _no_conversion,
    Enum: _no_conversion,
    DateTime: _datetime_formatter,
    Object: _no_conversion,
    Reference: _no_conversion,
    Collection: _list_formatter,
    Computed: _computed_formatter,
}
"""The formatter of each field type; None if the value is encoded unchanged."""


def _column_formatter(column: Column) -> ValueFormatter | None:
    kind = column.field
    if column.as_text and isinstance(kind, Enum):
        names = {int(member): member.name.rstrip("_") for member in kind.of}
        return lambda value: names.get(value, str(value))
    if column.as_text and not isinstance(kind, Text):
        inner = SERIALIZERS[type(kind)](kind)
        return lambda value: str(inner(value) if inner else value)
    return SERIALIZERS[type(kind)](kind)


class Serializer:
    """Serializes the rows and records of one entity."""

    def __init__(self, entity: type[Entity]) -> None:
        shape = entity.meta()
        self._rows = _RowLayout(entity, [(column.name, column) for column in shape.list_columns])
        full: list[tuple[str, Column]] = []
        for column in shape.columns.values():
            if column.visible:
                full.append((column.name, column))
            if column.visible and isinstance(column.field, Collection) and column.field.delta_fields:
                full += [(f"{prefix}{column.name}", column) for prefix in ("Added", "Removed")]
        self._records = _RowLayout(entity, full)
        self._values_of = itemgetter(*(column.name for _, column in full))

    def rows(self, columns: Sequence[Sequence[Any]]) -> list[Struct]:
        """The rows of a page, given as the entity's list columns.

        Formats a full column at a time, which takes fewer steps than value by value.
        """
        layout = self._rows
        formatted: list[Iterable[Any]] = list(columns)
        for at, formatter in layout.conversions:
            formatted[at] = convert_column(columns[at], formatter)
        for at in layout.null_positions:
            formatted[at] = repeat(None)
        formatted[layout.is_new_position] = repeat(False)
        formatted[layout.title_position] = layout.titles([columns[at] for at in layout.title_positions])
        return list(map(layout.struct_type, *formatted))

    def page(self, columns: Sequence[Sequence[Any]]) -> list[Struct] | Raw:
        """The rows of a page for its envelope.

        Encodes many rows in steps that each block the event loop for about 2 ms.
        """
        count = len(columns[0])
        if count <= ENCODED_ROWS:
            return self.rows(columns)
        slices = (
            [column[first : first + ENCODED_ROWS] for column in columns] for first in range(0, count, ENCODED_ROWS)
        )
        return Raw(b"[%s]" % b",".join(encode(self.rows(each))[1:-1] for each in slices))

    def record(self, record: Record) -> Struct:
        """A full record: collections as arrays, each followed by its two delta fields, which are null."""
        layout = self._records
        values = list(self._values_of(record))
        [title] = layout.titles([(values[at],) for at in layout.title_positions])
        for at, formatter in layout.conversions:
            value = values[at]
            if value is not None:
                values[at] = formatter(value)
        for at in layout.null_positions:
            values[at] = None
        values[layout.is_new_position] = False
        values[layout.title_position] = title
        return layout.struct_type(*values)


class _RowLayout:
    """The position of each value in a row, and its formatter."""

    def __init__(self, entity: type[Entity], formatted: Sequence[tuple[str, Column]]) -> None:
        names = [name for name, _ in formatted]
        self.struct_type = defstruct(entity.__name__, [(name, Any) for name in names], gc=False, frozen=True)
        self.null_positions = tuple(
            at for at, (name, column) in enumerate(formatted)
            if name != column.name or name == "LocalizationDetails" or column.field.write_only
        )  # fmt: skip
        shows = ((at, _column_formatter(column)) for at, (_, column) in enumerate(formatted))
        self.conversions = tuple(
            (at, formatter) for at, formatter in shows if formatter is not None and at not in self.null_positions
        )
        self.is_new_position = names.index("IsNew")
        parts = [(text, column) for text, column in entity.meta().title_parts if column]
        self.titles = _title_formatter(parts, entity.meta().title_parts[-1])
        self.title_position = names.index("ToStringText")
        self.title_positions = [names.index(column.name) for _, column in parts]


def _title_formatter(
    parts: Sequence[tuple[str, Column]], last: tuple[str, Column | None]
) -> Callable[[Sequence[Sequence[Any]]], list[str]]:
    """Formats ToStringText of all rows from its columns: all parts, or only the first if another is missing."""
    before = parts[0][0]
    if len(parts) == 1:
        # The usual case, at a fraction of the cost.
        return lambda columns: [before + ("" if value is None else str(value)) for value in columns[0]]
    end = "" if last[1] else last[0]

    def title(values: Sequence[Any]) -> str:
        shown = [_plain_text(column, value) for (_, column), value in zip(parts, values, strict=True)]
        if not all(shown[1:]):
            return before + shown[0]
        return "".join(text + value for (text, _), value in zip(parts, shown, strict=True)) + end

    return lambda columns: [title(values) for values in zip(*columns, strict=True)]


def _plain_text(column: Column, value: Any) -> str:
    """A value as text of a title; empty for None."""
    if value is None:
        return ""
    return format_decimal(value, column.field.places) if isinstance(column.field, Scaled) else str(value)


_SERIALIZER_CACHE: Final[dict[type[Entity], Serializer]] = {}


def serializer_for(entity: type[Entity]) -> Serializer:
    """The serializer of an entity, created at its first use."""
    found = _SERIALIZER_CACHE.get(entity)
    if found is None:
        found = _SERIALIZER_CACHE[entity] = Serializer(entity)
    return found
