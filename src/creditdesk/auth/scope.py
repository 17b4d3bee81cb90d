"""Which records of an entity a caller may see: those of the caller's locations.

The one place that turns locations into filters. Lists, reads, totals, writes and reports all
pass through here, so what is out of scope does not exist for any of them.
"""

from __future__ import annotations

from creditdesk.schema.entity import Column, Entity
from creditdesk.schema.fields import Collection
from creditdesk.schema.query import Filter, Test
from creditdesk.schema.service import Caller


def scope(caller: Caller, entity: type[Entity]) -> tuple[Filter, ...]:
    """The filters that narrow an entity to the caller's locations; none for all locations or
    for what all locations share. A caller without locations sees nothing that has one.
    """
    if caller.locations is None or entity.scope is None:
        return ()
    column = scope_column(entity, entity.scope)
    locations = tuple(sorted(caller.locations))
    if isinstance(column.kind, Collection):
        return (Filter(column, Test.OVERLAPS, locations),)
    if len(locations) == 1:
        # Records that have one location in common can be walked in the order of an index.
        return (Filter(column, Test.IS, locations[0]),)
    return (Filter(column, Test.ONE_OF, locations),)


def scope_column(entity: type[Entity], name: str) -> Column:
    """The column a declaration's `scope` names, shown or reached through a relation."""
    shape = entity.shape()
    return shape.columns.get(name) or shape.filter_only[name]
