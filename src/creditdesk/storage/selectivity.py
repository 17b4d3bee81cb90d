"""How many rows a filter selects, as far as its declaration tells, and whether an index finds them."""

from __future__ import annotations

from collections.abc import Sequence

from creditdesk.schema.entity import Column, Entity
from creditdesk.schema.fields import Boolean, DateTime, Enum, Guid, Reference
from creditdesk.schema.query import Comparison, Filter


def is_key(column: Column) -> bool:
    """Whether few rows share a value of the column, so that its index is the best to use."""
    is_id = column.name == "Id" or isinstance(column.field, Reference)
    return is_id or (column.indexed and (is_reference_id(column) or isinstance(column.field, Guid)))


def selects_many(entity: type[Entity], column: Column) -> bool:
    """Whether a filter on the column selects too many rows for its index to help beside a selective one."""
    is_wide = column.name == "CreatedOn" or (entity.counted and column.name == entity.scope)
    return is_wide or isinstance(column.field, Boolean | Enum)


def has_selective_filter(entity: type[Entity], filters: Sequence[Filter]) -> bool:
    """Whether an index finds few rows by one of the filters."""
    # Locations have an index along CreatedOn, but many rows each.
    scope = entity.scope if entity.counted else None
    return any(
        is_named_date(each)
        or (each.comparison is Comparison.EQUALS and each.column.name != scope and is_key(each.column))
        for each in filters
    )


def has_own_index(column: Column) -> bool:
    """Whether an index of the table finds the rows of one value of the column."""
    return (column.is_own or column.denormalized) and column.indexed and not column.as_text


def is_named_date(filter_: Filter) -> bool:
    """Whether a date, which has an index, must lie in the second, minute or day that was named."""
    return filter_.comparison is Comparison.BETWEEN and filter_.column.indexed


def has_bounded_date(entity: type[Entity], filters: Sequence[Filter]) -> bool:
    """Whether a date, which has an index, is named, or lies between two bounds.

    A counted entity has an index of each location by CreatedOn, which needs no other.
    """
    bounds = {
        (each.column.name, each.comparison)
        for each in filters
        if isinstance(each.column.field, DateTime)
        and (has_own_index(each.column) or each.column.name == entity.order)
        and not (entity.counted and each.column.name == "CreatedOn")
    }
    return any(
        comparison is Comparison.BETWEEN or (comparison is Comparison.AT_LEAST and (name, Comparison.AT_MOST) in bounds)
        for name, comparison in bounds
    )


def may_be_narrow(filter_: Filter) -> bool:
    """Whether an index of the table finds the rows of the filter, which may be few, depending on the value."""
    return (
        filter_.comparison in (Comparison.EQUALS, Comparison.BETWEEN)
        and has_own_index(filter_.column)
        and not is_key(filter_.column)
        and not isinstance(filter_.column.field, Boolean | Enum)
    )


def is_reference_id(column: Column) -> bool:
    """Whether it is the Id of a related record, which the referring row holds as a foreign key."""
    return bool(column.path) and column.leaf == "Id"
