"""A row or a record as the JSON that shows it: one renderer per column, chosen once per entity.

Must not know where rows come from or what envelope carries them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, Final

from msgspec import Raw, Struct, defstruct
from msgspec.json import Encoder

from creditdesk.schema.entity import COMPUTED, Column, Entity, Record
from creditdesk.schema.kinds import (
    Boolean,
    Collection,
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
    show_instant,
    show_scaled,
)

Show = Callable[[Any], Any]
ENCODER: Final = Encoder(decimal_format="number")
encode: Final = ENCODER.encode


def _as_is(_: Field) -> Show | None:
    return None


def _number(kind: Field) -> Show:
    assert isinstance(kind, Scaled)
    places = kind.places
    unit = 10**places

    def show(value: int) -> int | Raw:
        whole, rest = divmod(value, unit)
        return Raw(show_scaled(value, places).encode()) if rest else whole

    return show


def _instant(_: Field) -> Show:
    def show(value: datetime) -> Any:
        return show_instant(value) if value.microsecond else value

    return show


def _ids(_: Field) -> Show:
    return list


SHOWS: Final[dict[type[Field], Callable[[Field], Show | None]]] = {
    Text: _as_is,
    Guid: _as_is,
    Integer: _as_is,
    Money: _number,
    Number: _number,
    Boolean: _as_is,
    Enum: _as_is,
    DateTime: _instant,
    Object: _as_is,
    Reference: _as_is,
    Collection: _ids,
}
"""How each kind's inner value shows; None where it already is what JSON shows."""


def _show(column: Column) -> Show | None:
    kind = column.kind
    if column.as_text and isinstance(kind, Enum):
        names = {int(member): member.name.rstrip("_") for member in kind.of}
        return lambda value: names.get(value, str(value))
    if column.as_text and not isinstance(kind, Text):
        inner = SHOWS[type(kind)](kind)
        return lambda value: str(inner(value) if inner else value)
    return SHOWS[type(kind)](kind)


class Renderer:
    """Renders one entity's rows and records; made once and kept."""

    def __init__(self, entity: type[Entity]) -> None:
        shape = entity.shape()
        self._listed = shape.listed
        self._whole = tuple(c for c in shape.columns.values() if c.shown)
        row_names = [c.name for c in self._listed]
        self._row_type = _struct(f"{entity.__name__}Row", row_names)
        self._row_steps = _steps(self._listed)
        self._id_at = row_names.index("Id")
        self._label_at = row_names.index(entity.label) if entity.label else None
        self._label = entity.label
        self._text_at = row_names.index("ToStringText")
        self._new_at = row_names.index("IsNew")
        self._blank_at = tuple(
            i for i, c in enumerate(self._listed)
            if c.kind.write_only or c.name == "LocalizationDetails"
        )  # fmt: skip
        self._record_steps = tuple(
            (c.name, None if c.kind.write_only or c.name in COMPUTED else c.name, _show(c))
            for c in self._whole
        )
        self._twins = {
            c.name for c in shape.collections if isinstance(c.kind, Collection) and c.kind.twins
        }
        self._record_type = _struct(entity.__name__, self._record_names())

    def _record_names(self) -> list[str]:
        names: list[str] = []
        for column in self._whole:
            names.append(column.name)
            if column.name in self._twins:
                names += [f"Added{column.name}", f"Removed{column.name}"]
        return names

    def row(self, row: Sequence[Any]) -> Struct:
        """A listed row, in the order of the entity's listed columns."""
        values = list(row)
        label = values[self._label_at] if self._label_at is not None else None
        for at, show in self._row_steps:
            if values[at] is not None:
                values[at] = show(values[at])
        for at in self._blank_at:
            values[at] = None
        values[self._new_at] = False
        values[self._text_at] = f"#{values[self._id_at]}" if self._label is None else label or ""
        return self._row_type(*values)

    def record(self, record: Record) -> Struct:
        """A whole record: collections as arrays, each followed by its two empty twins."""
        values: list[Any] = []
        for name, source, show in self._record_steps:
            value = record.get(source) if source else None
            if show is not None and value is not None:
                value = show(value)
            if name == "IsNew":
                value = False
            elif name == "ToStringText":
                label = self._label
                value = f"#{record['Id']}" if label is None else record.get(label) or ""
            values.append(value)
            if name in self._twins:
                values += (None, None)
        return self._record_type(*values)


def _steps(columns: Sequence[Column]) -> tuple[tuple[int, Show], ...]:
    shows = ((at, _show(column)) for at, column in enumerate(columns))
    return tuple((at, show) for at, show in shows if show is not None)


def _struct(name: str, keys: Sequence[str]) -> type[Struct]:
    return defstruct(name, [(key, Any) for key in keys], gc=False, frozen=True)


_RENDERERS: Final[dict[type[Entity], Renderer]] = {}


def renderer(entity: type[Entity]) -> Renderer:
    """The entity's renderer, made when first asked for."""
    found = _RENDERERS.get(entity)
    if found is None:
        found = _RENDERERS[entity] = Renderer(entity)
    return found
