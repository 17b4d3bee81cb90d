"""A query string as a frozen Listing: names looked up in what the declaration derives.

Names match without case; ranges are inclusive instants; equality on a date covers the span of the
precision it is given in. Must not know how a listing is carried out or who asks.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final
from urllib.parse import parse_qsl

from creditdesk.api.settings import WireSettings
from creditdesk.schema.entity import COMPUTED, Column, Entity, FilterName
from creditdesk.schema.errors import invalid
from creditdesk.schema.fields import (
    LARGEST_INTEGER,
    Collection,
    DateTime,
    Enum,
    Integer,
    Object,
    Reference,
    Text,
    Unreadable,
    read_instant,
)
from creditdesk.schema.query import Filter, Listing, Order, Test

DEFAULT_SIZE: Final = 25
LARGEST_SIZE: Final = 1000
LARGEST_PAGE: Final = LARGEST_INTEGER // LARGEST_SIZE
LONGEST_KEPT: Final = 1000
MOST_KEPT: Final = 2048
"""So many questions are kept by their text, each of at most so many bytes, as callers ask the same
again and again; then all are read anew.
"""
_WHOLE: Final = Integer()
_PAGING: Final = frozenset({"page", "size", "orderby", "dir"})
_EITHER_WAY: Final = {"ascending": False, "descending": True, "0": False, "-1": True}
_LAST_INSTANT: Final = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Question:
    """A listing, and how the caller put its order (for the envelope to echo)."""

    listing: Listing
    order_name: str
    direction: int


def read_batch(query: bytes) -> list[int] | None:
    """The ids of a batch, `?id=[1,2,3]`, in the order asked; None when it is no batch."""
    for name, value in _pairs(query):
        if name.lower() == "id" and value.strip().startswith("["):
            return _ids("id", value)
    return None


def read_question(entity: type[Entity], query: bytes, settings: WireSettings) -> Question:
    """The question a query string puts to an entity; Invalid when a known parameter is bad."""
    asked = (entity, query, settings)
    question = _KEPT.get(asked)
    if question is None:
        question = _read_question(entity, query, settings)
        if len(query) <= LONGEST_KEPT:
            if len(_KEPT) >= MOST_KEPT:
                _KEPT.clear()
            _KEPT[asked] = question
    return question


def _read_question(entity: type[Entity], query: bytes, settings: WireSettings) -> Question:
    shape = entity.shape()
    asked: dict[str, tuple[str, str]] = {}
    filters: list[Filter] = []
    for name, value in _pairs(query):
        lower = name.lower()
        known = lower in _PAGING or lower in shape.filters or lower.startswith(shape.custom_prefix)
        if not known:
            if settings.unknown_filters == "refuse":
                raise invalid(name, "is not a known parameter", value)
            continue
        if lower in asked:
            raise invalid(name, "was given twice", value)
        asked[lower] = (name, value)
        if lower in _PAGING or not value.strip():
            continue
        if found := shape.filters.get(lower):
            filters.append(_filter(found, name, value))
        else:
            custom = name[len(shape.custom_prefix) :]
            filters.append(_custom(shape.columns["CustomFields"], custom, value))
    if settings.require_list_filters and entity.list_needs:
        _demand_one(entity.list_needs, asked)
    column = _order_column(entity, asked.get("orderby", ("", ""))[1])
    descending = _descending(asked.get("dir"), settings)
    page = min(_whole("page", asked, 1), LARGEST_PAGE)
    size = min(_whole("size", asked, DEFAULT_SIZE), LARGEST_SIZE)
    by = Order(_sorted_by(entity, column), descending)
    listing = Listing(entity, tuple(filters), by, page, size)
    ascending = 0 if settings.dir_convention == "later" else 1
    return Question(
        listing, column.name, (1 if ascending == 0 else -1) if descending else ascending
    )


_KEPT: Final[dict[tuple[type[Entity], bytes, WireSettings], Question]] = {}


def _pairs(query: bytes) -> list[tuple[str, str]]:
    try:
        return parse_qsl(
            query.decode("latin-1"), keep_blank_values=True, errors="replace", max_num_fields=1000
        )
    except ValueError:
        raise invalid("query", "has too many parameters") from None


def _filter(found: FilterName, name: str, value: str) -> Filter:
    column, kind = found.column, found.column.kind
    word = value.strip().lower()
    if word in ("null", "notnull"):
        return Filter(column, Test.NULL if word == "null" else Test.NOT_NULL)
    try:
        if found.side == "ids":
            return Filter(column, Test.ONE_OF, tuple(_ids(name, value)))
        if found.side == "from":
            return Filter(column, Test.AT_LEAST, kind.read_filter(value))
        if found.side == "to":
            return Filter(column, Test.AT_MOST, kind.read_filter(value))
        if column.as_text:
            return Filter(column, Test.IS, _worded(column, value))
        if isinstance(kind, DateTime):
            return _at(column, value)
        if isinstance(kind, Collection):
            ids = kind.read_filter(value)
            return _members(column, ids)
        if isinstance(kind, Reference):
            return Filter(column, Test.IS, _WHOLE.read(value))
        if isinstance(kind, Text) and not kind.exact:
            return Filter(column, Test.CONTAINS, kind.read_filter(value))
        return Filter(column, Test.IS, kind.read_filter(value))
    except Unreadable as unreadable:
        raise invalid(name, str(unreadable), value) from None


def _worded(column: Column, value: str) -> str:
    """What a column that shows words is compared with: an enum's name, or true or false."""
    kind = column.kind
    inner = kind.read_filter(value)
    if isinstance(kind, Enum):
        return kind.of(inner).name
    return str(inner)


def _members(column: Column, ids: tuple[int, ...]) -> Filter:
    if len(ids) == 1:
        return Filter(column, Test.MEMBER, ids[0])
    return Filter(column, Test.OVERLAPS, ids)


def _custom(column: Column, name: str, value: str) -> Filter:
    word = value.strip().lower()
    if word in ("null", "notnull"):
        return Filter(column, Test.NULL if word == "null" else Test.NOT_NULL, None, name)
    return Filter(column, Test.CONTAINS, _text(name, value), name)


def _text(name: str, value: str) -> str:
    try:
        return Text().read(value)
    except Unreadable as unreadable:
        raise invalid(name, str(unreadable), value) from None


def _at(column: Column, value: str) -> Filter:
    """The span that an instant's precision covers; at the calendar's end it has no end."""
    instant, width = read_instant(value)
    if _LAST_INSTANT - instant < width:
        return Filter(column, Test.AT_LEAST, instant)
    return Filter(column, Test.SPAN, (instant, instant + width))


def _ids(name: str, value: str) -> list[int]:
    try:
        ids = [_WHOLE.read(part) for part in value.strip().strip("[]").split(",") if part.strip()]
    except Unreadable:
        raise invalid(name, "must be a list of ids such as [1,2,3]", value) from None
    if len(ids) > LARGEST_SIZE:
        raise invalid(name, f"must name at most {LARGEST_SIZE} ids", None)
    return list(dict.fromkeys(ids))


def _whole(name: str, asked: dict[str, tuple[str, str]], default: int) -> int:
    spelled, value = asked.get(name, (name, ""))
    if not value.strip():
        return default
    try:
        number = _WHOLE.read(value)
    except Unreadable as unreadable:
        raise invalid(spelled, str(unreadable), value) from None
    return number if number >= 1 else default


def _descending(asked: tuple[str, str] | None, settings: WireSettings) -> bool:
    if asked is None or not asked[1].strip():
        return False
    word = asked[1].strip().lower()
    if word == "1":
        return settings.dir_convention == "later"
    if word not in _EITHER_WAY:
        raise invalid(asked[0], "must be 1 (ascending) or -1 (descending)", asked[1])
    return _EITHER_WAY[word]


def _order_column(entity: type[Entity], asked: str) -> Column:
    by_lower = entity.shape().by_lower
    word = asked.strip().lower()
    found = by_lower.get(word) or (by_lower.get(f"{word}id") if word else None)
    if found is None or not found.listed:
        return entity.shape().columns[entity.order]
    return found


def _sorted_by(entity: type[Entity], column: Column) -> Column:
    """What stands in for a column that no table holds: the label for its text, else the Id."""
    columns = entity.shape().columns
    if column.name == "ToStringText" and entity.label:
        return columns[entity.label]
    if column.name in COMPUTED or column.kind.write_only or isinstance(column.kind, Object):
        return columns["Id"]
    return column


def _demand_one(needed: Iterable[str], asked: dict[str, tuple[str, str]]) -> None:
    names = tuple(needed)
    if not any(asked.get(name.lower(), ("", ""))[1].strip() for name in names):
        raise invalid(names[0], "is a required filter", None)
