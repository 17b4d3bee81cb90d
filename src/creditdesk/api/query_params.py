"""Parses the query string of a list into a frozen `ListQuery`, by the filters derived from the declaration.

Names match regardless of case. Ranges are inclusive. Equality on a date covers the span of the precision in
which it is written: a day, a minute or a second.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final
from urllib.parse import parse_qsl

from creditdesk.schema.conversions import ParseError, check_storable, parse_datetime
from creditdesk.schema.entity import COMPUTED_FIELDS, Column, Entity, FilterParameter
from creditdesk.schema.errors import FieldError, ValidationError, invalid_field
from creditdesk.schema.fields import (
    MAX_INTEGER,
    Collection,
    Computed,
    DateTime,
    Enum,
    Integer,
    Object,
    Reference,
    Text,
)
from creditdesk.schema.params import Param
from creditdesk.schema.query import Comparison, Filter, ListQuery, Order
from creditdesk.settings import ApiSettings

DEFAULT_PAGE_SIZE: Final = 25
MAX_BATCH_IDS: Final = 1000
MAX_PAGE: Final = MAX_INTEGER // 10_000
"""The last page whose first record's position fits into 64 bits, at the largest `api.max_page_size`."""
PAGE: Final = Param("page", Integer(minimum=1))
SIZE: Final = Param("size", Integer(minimum=1))
"""Paging that rejects invalid values. Lists of entities, like those of the imitated API, use the first page and
the default size instead."""
MAX_CACHED_QUERY_BYTES: Final = 1000
MAX_CACHED_QUERIES: Final = 2048
"""Query strings up to this length are cached, because clients repeat them. A full cache is cleared."""
_INTEGER: Final = Integer()
_PAGING_PARAMS: Final = frozenset({"page", "size", "orderby", "dir"})
_DIRECTIONS: Final = {"ascending": False, "descending": True, "0": False, "-1": True}
_MAX_DATETIME: Final = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class ParsedListQuery:
    """A list query, and its order as the envelope echoes it."""

    query: ListQuery
    order_name: str
    direction: int


def batch_ids(query_string: bytes) -> list[int] | None:
    """The ids of a batch, `?id=[1,2,3]`, in their order; None for a list query."""
    if len(query_string) <= MAX_CACHED_QUERY_BYTES:
        value = _batch_value(query_string)
    else:
        value = _batch_value.__wrapped__(query_string)
    if value is None:
        return None
    try:
        return _ids_of(value)
    except ParseError as error:
        raise invalid_field("id", str(error), value) from None


@lru_cache(MAX_CACHED_QUERIES)
def _batch_value(query_string: bytes) -> str | None:
    for name, value in _split_pairs(query_string):
        if name.lower() == "id" and value.strip().startswith("["):
            return value
    return None


def parse_list_query(entity: type[Entity], query_string: bytes, settings: ApiSettings) -> ParsedListQuery:
    """Parses a query string. Raises ValidationError for invalid values of known parameters."""
    key = (entity, query_string, settings)
    parsed = _CACHE.get(key)
    if parsed is None:
        parsed = _parse_uncached(entity, query_string, settings)
        if len(query_string) <= MAX_CACHED_QUERY_BYTES:
            if len(_CACHE) >= MAX_CACHED_QUERIES:
                _CACHE.clear()
            _CACHE[key] = parsed
    return parsed


def _parse_uncached(entity: type[Entity], query_string: bytes, settings: ApiSettings) -> ParsedListQuery:
    reader = _QueryReader(entity, settings)
    for name, value in _split_pairs(query_string):
        reader.add(name, value)
    return reader.finish()


class _QueryReader:
    """Collects filters, paging and order of one query string, and all errors in order of appearance."""

    def __init__(self, entity: type[Entity], settings: ApiSettings) -> None:
        self._entity = entity
        self._settings = settings
        self._sent: dict[str, tuple[str, str]] = {}
        self._filters: list[Filter] = []
        self._errors: list[FieldError] = []

    def add(self, name: str, value: str) -> None:
        """Reads one parameter; ignores or rejects an unknown one, depending on the setting."""
        meta, lower = self._entity.meta(), name.lower()
        found = meta.filters.get(lower)
        is_custom = lower.startswith(meta.custom_field_prefix)
        if not (lower in _PAGING_PARAMS or found or is_custom):
            if self._settings.unknown_filters == "refuse":
                self._errors.append(FieldError(name, "is not a known parameter", value))
            return
        if lower in self._sent:
            self._errors.append(FieldError(name, "was given twice", value))
            return
        self._sent[lower] = (name, value)
        if lower in _PAGING_PARAMS or not value.strip():
            return
        try:
            if found:
                self._filters.append(_parse_filter(found, value))
            else:
                custom = name[len(meta.custom_field_prefix) :]
                check_storable(custom)
                self._filters.append(_custom_field_filter(meta.columns["CustomFields"], custom, value))
        except ParseError as error:
            self._errors.append(FieldError(name, str(error), value))

    def finish(self) -> ParsedListQuery:
        """The parsed query. Raises ValidationError with every error."""
        entity, settings = self._entity, self._settings
        if settings.require_list_filters and entity.required_filters:
            self._require_one_filter()
        if len(self._filters) > settings.max_filters:
            message = f"must have at most {settings.max_filters} filters"
            self._errors.append(FieldError("query", message))
        column = _order_column(entity, self._sent.get("orderby", ("", ""))[1])
        descending = self._direction()
        page = min(self._positive_or_default("page", 1), MAX_PAGE)
        size = min(self._positive_or_default("size", DEFAULT_PAGE_SIZE), settings.max_page_size)
        if self._errors:
            raise ValidationError(*self._errors)
        order = Order(_sort_column(entity, column), descending)
        query = ListQuery(entity, _with_member_ranges(self._filters), order, page, size)
        ascending = 0 if settings.dir_convention == "later" else 1
        direction = (1 if ascending == 0 else -1) if descending else ascending
        return ParsedListQuery(query, column.name, direction)

    def _positive_or_default(self, name: str, default: int) -> int:
        sent, value = self._sent.get(name, (name, ""))
        if not value.strip():
            return default
        try:
            number = _INTEGER.parse(value)
        except ParseError as error:
            self._errors.append(FieldError(sent, str(error), value))
            return default
        return number if number >= 1 else default

    def _direction(self) -> bool:
        """Whether the order is descending."""
        sent, value = self._sent.get("dir", ("dir", ""))
        word = value.strip().lower()
        if word == "1":
            return self._settings.dir_convention == "later"
        if word and word not in _DIRECTIONS:
            message = "must be 1 (ascending) or -1 (descending)"
            self._errors.append(FieldError(sent, message, value))
        return _DIRECTIONS.get(word, False)

    def _require_one_filter(self) -> None:
        names = tuple(self._entity.required_filters)
        if not any(self._sent.get(name.lower(), ("", ""))[1].strip() for name in names):
            self._errors.append(FieldError(names[0], "is a required filter"))


_CACHE: Final[dict[tuple[type[Entity], bytes, ApiSettings], ParsedListQuery]] = {}


def _split_pairs(query_string: bytes) -> list[tuple[str, str]]:
    try:
        return parse_qsl(
            query_string.decode("latin-1"),
            keep_blank_values=True,
            errors="replace",
            max_num_fields=1000,
        )
    except ValueError:
        raise invalid_field("query", "has too many parameters") from None


def _parse_filter(found: FilterParameter, value: str) -> Filter:
    """The filter of one parameter. Raises ParseError."""
    column, field = found.column, found.column.field
    if presence := _presence(value):
        return Filter(column, presence)
    if found.variant == "ids":
        return Filter(column, Comparison.ONE_OF, tuple(_ids_of(value)))
    if found.variant in ("from", "to"):
        bound = _INTEGER if isinstance(field, Collection) else field
        comparison = Comparison.AT_LEAST if found.variant == "from" else Comparison.AT_MOST
        return Filter(column, comparison, bound.parse_filter(value))
    if column.as_text:
        return Filter(column, Comparison.EQUALS, _text_operand(column, value))
    return _equality_filter(column, value)


def _with_member_ranges(filters: Sequence[Filter]) -> tuple[Filter, ...]:
    """Merges the two bounds of a collection into one filter: a single member must lie between them."""
    of_collections = {
        (each.column.name, each.comparison): each.value for each in filters if isinstance(each.column.field, Collection)
    }
    merged: list[Filter] = []
    for each in filters:
        least = of_collections.get((each.column.name, Comparison.AT_LEAST))
        most = of_collections.get((each.column.name, Comparison.AT_MOST))
        if least is None or most is None or each.comparison not in (Comparison.AT_LEAST, Comparison.AT_MOST):
            merged.append(each)
        elif each.comparison is Comparison.AT_LEAST:
            merged.append(each if most == MAX_INTEGER else Filter(each.column, Comparison.BETWEEN, (least, most + 1)))
    return tuple(merged)


def _equality_filter(column: Column, value: str) -> Filter:
    """The filter of a parameter without a range: substring for text, a span of the given precision for dates."""
    field = column.field
    if isinstance(field, DateTime):
        return _datetime_filter(column, value)
    if isinstance(field, Collection):
        ids = field.parse_filter(value)
        if len(ids) == 1:
            return Filter(column, Comparison.HAS_MEMBER, ids[0])
        return Filter(column, Comparison.OVERLAPS, ids)
    if isinstance(field, Reference):
        return Filter(column, Comparison.EQUALS, _INTEGER.parse(value))
    if isinstance(field, Text) and not field.exact:
        return Filter(column, Comparison.CONTAINS, field.parse_filter(value))
    return Filter(column, Comparison.EQUALS, field.parse_filter(value))


def _presence(value: str) -> Comparison | None:
    """The operator for `null` and `notnull`, which every filter accepts; None for any other value."""
    match value.strip().lower():
        case "null":
            return Comparison.NULL
        case "notnull":
            return Comparison.NOT_NULL
        case _:
            return None


def _text_operand(column: Column, value: str) -> str:
    """The operand for a column shown as text: an enum's name, or true or false."""
    field = column.field
    parsed = field.parse_filter(value)
    return field.of(parsed).name if isinstance(field, Enum) else str(parsed)


def _custom_field_filter(column: Column, name: str, value: str) -> Filter:
    if presence := _presence(value):
        return Filter(column, presence, None, name)
    return Filter(column, Comparison.CONTAINS, Text().parse(value), name)


def _datetime_filter(column: Column, value: str) -> Filter:
    """The span that the precision covers; without an upper bound at the end of the calendar."""
    instant, width = parse_datetime(value)
    if _MAX_DATETIME - instant < width:
        return Filter(column, Comparison.AT_LEAST, instant)
    return Filter(column, Comparison.BETWEEN, (instant, instant + width))


def _ids_of(value: str) -> list[int]:
    """The ids of a list such as `[1,2,3]`, without duplicates. Raises ParseError."""
    try:
        ids = [_INTEGER.parse(part) for part in value.strip().strip("[]").split(",") if part.strip()]
    except ParseError:
        raise ParseError("must be a list of ids such as [1,2,3]") from None
    if len(ids) > MAX_BATCH_IDS:
        raise ParseError(f"must name at most {MAX_BATCH_IDS} ids")
    return list(dict.fromkeys(ids))


def _order_column(entity: type[Entity], sent: str) -> Column:
    by_lower = entity.meta().columns_by_lower_name
    word = sent.strip().lower()
    found = by_lower.get(word) or (by_lower.get(f"{word}id") if word else None)
    if found is None or not found.in_lists:
        return entity.meta().columns[entity.order]
    return found


def _sort_column(entity: type[Entity], column: Column) -> Column:
    """The column to sort by; in place of a computed column the label, else the Id."""
    columns = entity.meta().columns
    if column.name == "ToStringText":
        return entity.meta().title_order
    if column.name in COMPUTED_FIELDS or column.field.write_only or isinstance(column.field, Object | Computed):
        return columns["Id"]
    return column
