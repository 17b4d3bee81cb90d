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

from creditdesk.schema.conversions import ParseError, parse_datetime
from creditdesk.schema.entity import COMPUTED_FIELDS, Column, Entity, FilterParameter
from creditdesk.schema.errors import invalid_field
from creditdesk.schema.fields import (
    MAX_INTEGER,
    Collection,
    DateTime,
    Enum,
    Integer,
    Object,
    Reference,
    Text,
)
from creditdesk.schema.query import Comparison, Filter, ListQuery, Order
from creditdesk.settings import ApiSettings

DEFAULT_PAGE_SIZE: Final = 25
MAX_PAGE_SIZE: Final = 1000
MAX_PAGE: Final = MAX_INTEGER // MAX_PAGE_SIZE
MAX_CACHED_QUERY_BYTES: Final = 1000
MAX_CACHED_QUERIES: Final = 2048
"""So many questions are kept by their text, each of at most so many bytes, as callers ask the same
again and again; then all are read anew.
"""
_INTEGER: Final = Integer()
_PAGING_PARAMS: Final = frozenset({"page", "size", "orderby", "dir"})
_DIRECTIONS: Final = {"ascending": False, "descending": True, "0": False, "-1": True}
_MAX_DATETIME: Final = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class ParsedListQuery:
    """A listing, and how the caller put its order (for the envelope to echo)."""

    query: ListQuery
    order_name: str
    direction: int


def parse_batch_ids(query: bytes) -> list[int] | None:
    """The ids of a batch, `?id=[1,2,3]`, in the order asked; None when it is no batch."""
    for name, value in _split_pairs(query):
        if name.lower() == "id" and value.strip().startswith("["):
            return _parse_ids("id", value)
    return None


def parse_list_query(entity: type[Entity], query: bytes, settings: ApiSettings) -> ParsedListQuery:
    """The question a query string puts to an entity; Invalid when a known parameter is bad."""
    asked = (entity, query, settings)
    question = _CACHE.get(asked)
    if question is None:
        question = _parse_uncached(entity, query, settings)
        if len(query) <= MAX_CACHED_QUERY_BYTES:
            if len(_CACHE) >= MAX_CACHED_QUERIES:
                _CACHE.clear()
            _CACHE[asked] = question
    return question


def _parse_uncached(entity: type[Entity], query: bytes, settings: ApiSettings) -> ParsedListQuery:
    shape = entity.meta()
    asked: dict[str, tuple[str, str]] = {}
    filters: list[Filter] = []
    for name, value in _split_pairs(query):
        lower = name.lower()
        known = (
            lower in _PAGING_PARAMS
            or lower in shape.filters
            or lower.startswith(shape.custom_field_prefix)
        )
        if not known:
            if settings.unknown_filters == "refuse":
                raise invalid_field(name, "is not a known parameter", value)
            continue
        if lower in asked:
            raise invalid_field(name, "was given twice", value)
        asked[lower] = (name, value)
        if lower in _PAGING_PARAMS or not value.strip():
            continue
        if found := shape.filters.get(lower):
            filters.append(_parse_filter(found, name, value))
        else:
            custom = name[len(shape.custom_field_prefix) :]
            filters.append(_custom_field_filter(shape.columns["CustomFields"], custom, value))
    if settings.require_list_filters and entity.required_filters:
        _require_one_filter(entity.required_filters, asked)
    column = _order_column(entity, asked.get("orderby", ("", ""))[1])
    descending = _parse_direction(asked.get("dir"), settings)
    page = min(_positive_or_default("page", asked, 1), MAX_PAGE)
    size = min(_positive_or_default("size", asked, DEFAULT_PAGE_SIZE), MAX_PAGE_SIZE)
    by = Order(_sort_column(entity, column), descending)
    listing = ListQuery(entity, tuple(filters), by, page, size)
    ascending = 0 if settings.dir_convention == "later" else 1
    return ParsedListQuery(
        listing, column.name, (1 if ascending == 0 else -1) if descending else ascending
    )


_CACHE: Final[dict[tuple[type[Entity], bytes, ApiSettings], ParsedListQuery]] = {}


def _split_pairs(query: bytes) -> list[tuple[str, str]]:
    try:
        return parse_qsl(
            query.decode("latin-1"), keep_blank_values=True, errors="replace", max_num_fields=1000
        )
    except ValueError:
        raise invalid_field("query", "has too many parameters") from None


def _parse_filter(found: FilterParameter, name: str, value: str) -> Filter:
    column, kind = found.column, found.column.field
    word = value.strip().lower()
    if word in ("null", "notnull"):
        return Filter(column, Comparison.NULL if word == "null" else Comparison.NOT_NULL)
    try:
        if found.variant == "ids":
            return Filter(column, Comparison.ONE_OF, tuple(_parse_ids(name, value)))
        if found.variant == "from":
            return Filter(column, Comparison.AT_LEAST, kind.parse_filter(value))
        if found.variant == "to":
            return Filter(column, Comparison.AT_MOST, kind.parse_filter(value))
        if column.as_text:
            return Filter(column, Comparison.EQUALS, _text_operand(column, value))
        if isinstance(kind, DateTime):
            return _datetime_filter(column, value)
        if isinstance(kind, Collection):
            ids = kind.parse_filter(value)
            return _member_filter(column, ids)
        if isinstance(kind, Reference):
            return Filter(column, Comparison.EQUALS, _INTEGER.parse(value))
        if isinstance(kind, Text) and not kind.exact:
            return Filter(column, Comparison.CONTAINS, kind.parse_filter(value))
        return Filter(column, Comparison.EQUALS, kind.parse_filter(value))
    except ParseError as unreadable:
        raise invalid_field(name, str(unreadable), value) from None


def _text_operand(column: Column, value: str) -> str:
    """What a column that shows words is compared with: an enum's name, or true or false."""
    kind = column.field
    inner = kind.parse_filter(value)
    if isinstance(kind, Enum):
        return kind.of(inner).name
    return str(inner)


def _member_filter(column: Column, ids: tuple[int, ...]) -> Filter:
    if len(ids) == 1:
        return Filter(column, Comparison.HAS_MEMBER, ids[0])
    return Filter(column, Comparison.OVERLAPS, ids)


def _custom_field_filter(column: Column, name: str, value: str) -> Filter:
    word = value.strip().lower()
    if word in ("null", "notnull"):
        return Filter(
            column, Comparison.NULL if word == "null" else Comparison.NOT_NULL, None, name
        )
    return Filter(column, Comparison.CONTAINS, _parse_text(name, value), name)


def _parse_text(name: str, value: str) -> str:
    try:
        return Text().parse(value)
    except ParseError as unreadable:
        raise invalid_field(name, str(unreadable), value) from None


def _datetime_filter(column: Column, value: str) -> Filter:
    """The span that an instant's precision covers; at the calendar's end it has no end."""
    instant, width = parse_datetime(value)
    if _MAX_DATETIME - instant < width:
        return Filter(column, Comparison.AT_LEAST, instant)
    return Filter(column, Comparison.BETWEEN, (instant, instant + width))


def _parse_ids(name: str, value: str) -> list[int]:
    try:
        ids = [
            _INTEGER.parse(part) for part in value.strip().strip("[]").split(",") if part.strip()
        ]
    except ParseError:
        raise invalid_field(name, "must be a list of ids such as [1,2,3]", value) from None
    if len(ids) > MAX_PAGE_SIZE:
        raise invalid_field(name, f"must name at most {MAX_PAGE_SIZE} ids", None)
    return list(dict.fromkeys(ids))


def _positive_or_default(name: str, asked: dict[str, tuple[str, str]], default: int) -> int:
    spelled, value = asked.get(name, (name, ""))
    if not value.strip():
        return default
    try:
        number = _INTEGER.parse(value)
    except ParseError as unreadable:
        raise invalid_field(spelled, str(unreadable), value) from None
    return number if number >= 1 else default


def _parse_direction(asked: tuple[str, str] | None, settings: ApiSettings) -> bool:
    if asked is None or not asked[1].strip():
        return False
    word = asked[1].strip().lower()
    if word == "1":
        return settings.dir_convention == "later"
    if word not in _DIRECTIONS:
        raise invalid_field(asked[0], "must be 1 (ascending) or -1 (descending)", asked[1])
    return _DIRECTIONS[word]


def _order_column(entity: type[Entity], asked: str) -> Column:
    by_lower = entity.meta().columns_by_lower_name
    word = asked.strip().lower()
    found = by_lower.get(word) or (by_lower.get(f"{word}id") if word else None)
    if found is None or not found.in_lists:
        return entity.meta().columns[entity.order]
    return found


def _sort_column(entity: type[Entity], column: Column) -> Column:
    """What stands in for a column that no table holds: the label for its text, else the Id."""
    columns = entity.meta().columns
    if column.name == "ToStringText" and entity.label:
        return columns[entity.label]
    if (
        column.name in COMPUTED_FIELDS
        or column.field.write_only
        or isinstance(column.field, Object)
    ):
        return columns["Id"]
    return column


def _require_one_filter(needed: Iterable[str], asked: dict[str, tuple[str, str]]) -> None:
    names = tuple(needed)
    if not any(asked.get(name.lower(), ("", ""))[1].strip() for name in names):
        raise invalid_field(names[0], "is a required filter", None)
