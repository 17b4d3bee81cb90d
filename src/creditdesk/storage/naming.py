"""Names of tables and columns, derived from the names of entities and fields."""

from __future__ import annotations

import re
from functools import cache
from hashlib import blake2s
from typing import Final

from creditdesk.schema.entity import Column, Entity, entity_by_name
from creditdesk.schema.fields import Collection, Text

MAX_IDENTIFIER_LENGTH: Final = 63
"""PostgreSQL truncates longer names."""

_RESERVED = frozenset({"user", "order", "group", "default", "check", "references", "online"})


@cache
def snake_case(name: str) -> str:
    """`ElegibleResourceTypes` -> `elegible_resource_types`."""
    separated = re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", name)
    word = re.sub(r"([A-Z]+)([A-Z][a-z])", r"\1_\2", separated).lower()
    return f"{word}_" if word in _RESERVED else word


def table_name(entity: type[Entity]) -> str:
    return snake_case(entity.__name__)


def column_name(column: Column) -> str:
    return snake_case(column.name)


def casefolded_name(column: Column) -> str:
    """The column of the casefolded text, or custom fields, that filters and sorts read."""
    return f"{snake_case(column.name)}_fold"


def is_casefolded(column: Column) -> bool:
    return isinstance(column.field, Text) or column.name == "CustomFields"


def shortened_name(name: str, suffix: str = "") -> str:
    """The name, or a shorter unique one where it would be truncated after `suffix` is appended."""
    limit = MAX_IDENTIFIER_LENGTH - len(suffix)
    if len(name) <= limit:
        return name
    digest = blake2s(name.encode(), digest_size=4).hexdigest()
    return f"{name[: limit - len(digest) - 1]}_{digest}"


def location_column(entity: type[Entity]) -> str:
    """The column of a counted entity's table that holds the location of a row."""
    assert entity.scope is not None
    meta = entity.meta()
    column = meta.columns.get(entity.scope) or meta.filter_only[entity.scope]
    assert column.is_own or column.denormalized
    return column_name(column)


def link_table(entity: type[Entity], field_name: str) -> tuple[str, str, str]:
    """Table, owner column and item column of a collection; inverse collections share one table."""
    field = entity.fields[field_name]
    assert isinstance(field, Collection)
    if field.inverse_of:
        table, owner, item = link_table(entity_by_name(field.of), field.inverse_of)
        return table, item, owner
    return f"{table_name(entity)}__{snake_case(field_name)}", "owner_id", "item_id"
