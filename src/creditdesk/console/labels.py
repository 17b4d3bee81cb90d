"""What entities and fields are called on the pages: their declared names in words."""

from __future__ import annotations

import re
from functools import cache
from typing import Final

from creditdesk.schema.entity import Column, Entity
from creditdesk.schema.fields import Reference

_WORD: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")


_STANDARD: Final = {
    "coworker": "customer",
    "coworkers": "customers",
    "business": "location",
    "businesses": "locations",
    "tariff": "plan",
    "tariffs": "plans",
    "elegible": "eligible",
    "cane": "can",
}
"""Words of the imitated API, and what people call the thing."""
_TITLES: Final = {
    "CoworkerBookingCredit": "Money credit",
    "CoworkerBookingCreditUseHistory": "Money use",
    "CoworkerExtraService": "Time credit",
    "CoworkerExtraServiceUseHistory": "Time use",
    "ExtraService": "Rate",
    "AllocationDocument": "Allocation",
}
"""Entities that have a better name than their words."""


@cache
def words(name: str) -> str:
    """A CamelCase name as a sentence: `TotalCredit` is `Total credit`, acronyms stay."""
    parts = _WORD.findall(name) or [name]
    lower = [part if part.isupper() and len(part) > 1 else part.lower() for part in parts]
    shown = [_STANDARD.get(part, part) for part in lower]
    text = " ".join(shown)
    return text[:1].upper() + text[1:]


def column_title(column: Column) -> str:
    """The title of a column; a reference is called like what it refers to."""
    name = column.name
    if isinstance(column.field, Reference):
        name = name.removesuffix("Id")
    return words(name)


def entity_title(entity: type[Entity]) -> str:
    """What one record of the entity is called."""
    return _TITLES.get(entity.__name__) or words(entity.__name__)


def entity_plural(entity: type[Entity]) -> str:
    """What its records are called together."""
    title = entity_title(entity)
    if title.endswith("y"):
        return f"{title[:-1]}ies"
    return f"{title}es" if title.endswith(("s", "x", "ch")) else f"{title}s"
