"""Which records of an entity a caller may see: those of the caller's locations.

The one place that turns locations into filters. Lists, reads, totals, writes and reports all
pass through here, so what is out of scope does not exist for any of them.
"""

from __future__ import annotations

from creditdesk.schema.entity import Column, Entity
from creditdesk.schema.fields import Collection
from creditdesk.schema.query import Comparison, Filter
from creditdesk.schema.service import Principal


def scope_filters(principal: Principal, entity: type[Entity]) -> tuple[Filter, ...]:
    """The filters that narrow an entity to the caller's locations; none for all locations or
    for what all locations share. A caller without locations sees nothing that has one.
    """
    if principal.locations is None or entity.scope is None:
        return ()
    column = scope_column(entity, entity.scope)
    locations = tuple(sorted(principal.locations))
    if isinstance(column.field, Collection):
        return (Filter(column, Comparison.OVERLAPS, locations),)
    if len(locations) == 1:
        # Records that have one location in common can be walked in the order of an index.
        return (Filter(column, Comparison.EQUALS, locations[0]),)
    return (Filter(column, Comparison.ONE_OF, locations),)


def scope_column(entity: type[Entity], name: str) -> Column:
    """The column a declaration's `scope` names, shown or reached through a relation."""
    meta = entity.meta()
    return meta.columns.get(name) or meta.filter_only[name]
