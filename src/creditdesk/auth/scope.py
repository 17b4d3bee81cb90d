"""Scope: the filters that limit a principal to records of its locations, and a member to its own.

Every list, read, total and write uses them, so a record out of scope does not exist for the principal.
"""

from __future__ import annotations

from creditdesk.schema.entity import EVERY_MEMBER, Column, Entity
from creditdesk.schema.fields import Collection
from creditdesk.schema.query import Comparison, Filter
from creditdesk.schema.service import Principal


def scope_filters(principal: Principal, entity: type[Entity]) -> tuple[Filter, ...]:
    """The filters that limit an entity to the principal's locations or, of a member, to its own records.

    None for a principal of all locations, and for entities that locations share. A principal
    without locations sees no record that has one; a member sees no record of a location that has no
    owner, and of the records for every member those of the locations where it has a record.
    """
    if principal.customers is not None:
        return _member_filters(principal.customers, entity)
    if principal.locations is None or entity.scope is None:
        return ()
    return (_one_of(scope_column(entity, entity.scope), principal.locations),)


def _member_filters(customers: frozenset[int], entity: type[Entity]) -> tuple[Filter, ...]:
    if entity.scope is None and entity.owner is None:
        return ()
    if entity.owner == EVERY_MEMBER and entity.scope is not None:
        column = scope_column(entity, entity.scope)
        return (Filter(column, Comparison.LOCATION_OF, tuple(sorted(customers))),)
    if entity.owner is None:
        return (Filter(entity.meta().columns["Id"], Comparison.ONE_OF, ()),)
    return (_one_of(scope_column(entity, entity.owner), customers),)


def _one_of(column: Column, ids: frozenset[int]) -> Filter:
    """The condition that a column, or a member of a collection, is one of these."""
    values = tuple(sorted(ids))
    if isinstance(column.field, Collection):
        return Filter(column, Comparison.OVERLAPS, values)
    if len(values) == 1:
        # An equality lets an index return the records in its order.
        return Filter(column, Comparison.EQUALS, values[0])
    return Filter(column, Comparison.ONE_OF, values)


def scope_column(entity: type[Entity], name: str) -> Column:
    """The column of an entity's `scope` or `owner`, visible or filter-only."""
    meta = entity.meta()
    return meta.columns.get(name) or meta.filter_only[name]
