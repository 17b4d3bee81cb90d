"""A row or a record as the JSON that shows it: one renderer per column, chosen once per entity.

Must not know where rows come from or what envelope carries them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from itertools import repeat
from operator import itemgetter
from typing import Any, Final

from msgspec import Raw, Struct, defstruct
from msgspec.json import Encoder

from creditdesk.schema.entity import Column, Entity, Record
from creditdesk.schema.fields import (
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
MOST_NUMBERS: Final = 16_384
"""How many are kept as they show before all are worked out anew."""
ENCODER: Final = Encoder(decimal_format="number")
encode: Final = ENCODER.encode


def _as_is(_: Field) -> Show | None:
    return None


class _Numbers(dict[int, Any]):
    """Scaled numbers as they show, each worked out once while it is asked for often."""

    def __init__(self, places: int) -> None:
        self._places = places
        self._unit = 10**places

    def __missing__(self, value: int) -> int | Raw:
        if len(self) >= MOST_NUMBERS:
            self.clear()
        whole, rest = divmod(value, self._unit)
        shown = Raw(show_scaled(value, self._places).encode()) if rest else whole
        self[value] = shown
        return shown


_NUMBERS: Final = {kind.places: _Numbers(kind.places) for kind in (Money, Number)}


def _number(kind: Field) -> Show:
    assert isinstance(kind, Scaled)
    return _NUMBERS[kind.places].__getitem__


def _instant(_: Field) -> Show:
    def show(value: datetime) -> Any:
        # The encoder shows all six digits of a fraction, which may end in zeros.
        fraction = value.microsecond
        return show_instant(value) if fraction and not fraction % 10 else value

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
        self._rows = _Layout(entity, [(column.name, column) for column in shape.listed])
        whole: list[tuple[str, Column]] = []
        for column in shape.columns.values():
            if column.shown:
                whole.append((column.name, column))
            if column.shown and isinstance(column.kind, Collection) and column.kind.twins:
                whole += [(f"{twin}{column.name}", column) for twin in ("Added", "Removed")]
        self._records = _Layout(entity, whole)
        self._values_of = itemgetter(*(column.name for _, column in whole))

    def rows(self, columns: Sequence[Sequence[Any]]) -> list[Struct]:
        """The rows of a page, given as the columns that the entity lists.

        A whole column at a time, as that takes far fewer steps than one value after another.
        """
        layout = self._rows
        shown: list[Iterable[Any]] = list(columns)
        for at, show in layout.steps:
            shown[at] = [None if value is None else show(value) for value in columns[at]]
        for at in layout.blanks:
            shown[at] = repeat(None)
        shown[layout.is_new] = repeat(False)
        shown[layout.text] = [layout.text_of(value) for value in columns[layout.label]]
        return list(map(layout.kind, *shown))

    def record(self, record: Record) -> Struct:
        """A whole record: collections as arrays, each followed by its two empty twins."""
        layout = self._records
        values = list(self._values_of(record))
        label = values[layout.label]
        for at, show in layout.steps:
            value = values[at]
            if value is not None:
                values[at] = show(value)
        for at in layout.blanks:
            values[at] = None
        values[layout.is_new] = False
        values[layout.text] = layout.text_of(label)
        return layout.kind(*values)


class _Layout:
    """Where each shown value stands, under its name on the wire, and how it comes to be."""

    def __init__(self, entity: type[Entity], shown: Sequence[tuple[str, Column]]) -> None:
        names = [name for name, _ in shown]
        self.kind = defstruct(
            entity.__name__, [(name, Any) for name in names], gc=False, frozen=True
        )
        self.blanks = tuple(
            at for at, (name, column) in enumerate(shown)
            if name != column.name or name == "LocalizationDetails" or column.kind.write_only
        )  # fmt: skip
        shows = ((at, _show(column)) for at, (_, column) in enumerate(shown))
        self.steps = tuple(
            (at, show) for at, show in shows if show is not None and at not in self.blanks
        )
        self.is_new = names.index("IsNew")
        self.text = names.index("ToStringText")
        self.label = names.index(entity.label or "Id")
        self.text_of: Show = _as_label if entity.label else _as_number


def _as_label(label: str | None) -> str:
    return label or ""


def _as_number(record_id: int) -> str:
    return f"#{record_id}"


_RENDERERS: Final[dict[type[Entity], Renderer]] = {}


def renderer(entity: type[Entity]) -> Renderer:
    """The entity's renderer, made when first asked for."""
    found = _RENDERERS.get(entity)
    if found is None:
        found = _RENDERERS[entity] = Renderer(entity)
    return found
