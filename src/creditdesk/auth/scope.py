"""Location scope: the filters that limit a principal to records of its locations.

Every list, read, total and write uses them, so a record out of scope does not exist for any.
"""

from __future__ import annotations

from creditdesk.schema.entity import Column, Entity
from creditdesk.schema.fields import Collection
from creditdesk.schema.query import Comparison, Filter
from creditdesk.schema.service import Principal


def scope_filters(principal: Principal, entity: type[Entity]) -> tuple[Filter, ...]:
    """The filters that limit an entity to the principal's locations.

    None for a principal of all locations, and for entities that locations share. A principal
    without locations sees no record that has one.
    """
    if principal.locations is None or entity.scope is None:
        return ()
    column = scope_column(entity, entity.scope)
    locations = tuple(sorted(principal.locations))
    if isinstance(column.field, Collection):
        return (Filter(column, Comparison.OVERLAPS, locations),)
    if len(locations) == 1:
        # An equality lets an index return the records in its order.
        return (Filter(column, Comparison.EQUALS, locations[0]),)
    return (Filter(column, Comparison.ONE_OF, locations),)


def scope_column(entity: type[Entity], name: str) -> Column:
    """The column of an entity's `scope`, visible or filter-only."""
    meta = entity.meta()
    return meta.columns.get(name) or meta.filter_only[name]
