"""List queries as frozen values: filters, order and page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from creditdesk.schema.entity import Column, Entity


class Comparison(StrEnum):
    """How a filter compares. BETWEEN takes (from, to): from inclusive, to exclusive.

    LOCATION_OF takes customers: the location must be that of a record that belongs to one of them.
    """

    EQUALS = "equals"
    CONTAINS = "contains"
    AT_LEAST = "at_least"
    AT_MOST = "at_most"
    BETWEEN = "between"
    ONE_OF = "one_of"
    HAS_MEMBER = "has_member"
    OVERLAPS = "overlaps"
    LOCATION_OF = "location_of"
    NULL = "null"
    NOT_NULL = "not_null"


@dataclass(frozen=True, slots=True)
class Filter:
    """One comparison on one column; `custom_field` narrows an object column to that entry."""

    column: Column
    comparison: Comparison
    value: Any = None
    custom_field: str | None = None

    @property
    def literal(self) -> bool | None:
        """The value if it is a boolean, which becomes part of the statement's text: a planner uses a partial index only
        if the text shows the value.
        """
        is_boolean = self.comparison is Comparison.EQUALS and isinstance(self.value, bool)
        return self.value if is_boolean and not self.column.as_text else None


def where(entity: type[Entity], **values: object) -> tuple[Filter, ...]:
    """Filters for columns that equal these values; a collection means one of its members."""
    columns = entity.meta().columns
    return tuple(
        Filter(columns[name], Comparison.ONE_OF, tuple(value))
        if isinstance(value, tuple | list | set | frozenset)
        else Filter(columns[name], Comparison.EQUALS, value)
        for name, value in values.items()
    )


@dataclass(frozen=True, slots=True)
class Order:
    """The sort column; ties sort by Id in the same direction, and nulls are smallest."""

    column: Column
    descending: bool = False


@dataclass(frozen=True, slots=True)
class ListQuery:
    """Which records, in which order, and which page (from 1)."""

    entity: type[Entity]
    filters: tuple[Filter, ...]
    order: Order
    page: int = 1
    size: int = 25


@dataclass(frozen=True, slots=True)
class Page:
    """One page by column: a sequence of values for each of the entity's list columns, in order.

    `total` counts all records that match.
    """

    columns: Sequence[Sequence[Any]]
    total: int

    @property
    def rows(self) -> list[tuple[Any, ...]]:
        return list(zip(*self.columns, strict=True))
