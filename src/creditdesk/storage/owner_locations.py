"""The locations of owners: the locations of all records that belong to them."""

from __future__ import annotations

from creditdesk.schema.entity import EVERY_MEMBER, Entity, declared_entities
from creditdesk.schema.fields import Collection
from creditdesk.storage.dialects import Dialect
from creditdesk.storage.naming import column_name, link_table, table_name


def owner_locations(dialect: Dialect, owners: str) -> str:
    """A query for the locations of the customers in the parameter `owners`, with duplicates."""
    selects = (_locations_in(entity, dialect, owners) for entity in declared_entities())
    return " UNION ALL ".join(filter(None, selects))


def _locations_in(entity: type[Entity], dialect: Dialect, owners: str) -> str:
    """The query over one entity; empty if its table does not have both the owner and the location."""
    columns = entity.meta().columns
    owner, location = columns.get(entity.owner or EVERY_MEMBER), columns.get(entity.scope or "")
    if owner is None or location is None or not owner.is_own:
        return ""
    if isinstance(location.field, Collection):
        # The only owner with several locations is the customer itself.
        assert owner.name == "Id"
        table, owner_column, location_column = link_table(entity, location.leaf)
    elif location.is_own or location.denormalized:
        table, owner_column, location_column = table_name(entity), column_name(owner), column_name(location)
    else:
        return ""
    return f"SELECT l.{location_column} FROM {table} AS l WHERE {dialect.in_array(f'l.{owner_column}', owners)}"
