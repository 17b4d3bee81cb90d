"""What may be asked of a store: filters, an order and a page, as frozen values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from creditdesk.schema.entity import Column, Entity


class Comparison(StrEnum):
    """How a filter compares. `SPAN` is from (inclusive) to (exclusive), for dates by precision."""

    __test__ = False

    EQUALS = "is"
    CONTAINS = "contains"
    AT_LEAST = "at_least"
    AT_MOST = "at_most"
    BETWEEN = "span"
    ONE_OF = "one_of"
    HAS_MEMBER = "member"
    OVERLAPS = "overlaps"
    NULL = "null"
    NOT_NULL = "not_null"


@dataclass(frozen=True, slots=True)
class Filter:
    """One test on one column. `name` (custom fields) narrows an object column to one entry."""

    column: Column
    comparison: Comparison
    value: Any = None
    custom_field: str | None = None


@dataclass(frozen=True, slots=True)
class Order:
    """The column that sorts, ties broken by Id in the same direction; nulls are smallest."""

    column: Column
    descending: bool = False


@dataclass(frozen=True, slots=True)
class ListQuery:
    """One question: which records, in which order, which page (from 1)."""

    entity: type[Entity]
    filters: tuple[Filter, ...]
    order: Order
    page: int = 1
    size: int = 25


@dataclass(frozen=True, slots=True)
class Page:
    """The answer, column by column: one sequence of values for each column that the entity lists,
    in its order, all as long as the page; and how many match in all.
    """

    columns: Sequence[Sequence[Any]]
    total: int

    @property
    def rows(self) -> list[tuple[Any, ...]]:
        return list(zip(*self.columns, strict=True))
