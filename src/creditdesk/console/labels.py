"""The titles of entities and fields on the pages: their declared names as words, in each language.

The English words of a declaration are the keys of the translations.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache
from typing import Final

from creditdesk.console.translations import SOURCE_LANGUAGE, translations
from creditdesk.schema.actions import Action
from creditdesk.schema.entity import Column, Entity
from creditdesk.schema.fields import Enum, Reference

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
"""Words of the imitated API, and the usual terms for them."""
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
    # Such as `ResourceResourceTypeName`, the column that copies the type of a resource.
    text = " ".join(part for part, before in zip(shown, ["", *shown], strict=False) if part != before)
    return text[:1].upper() + text[1:]


def translated_words(name: str, language: str) -> str:
    """The words of a name in a language."""
    return translations(language).gettext(words(name))


@cache
def column_title(column: Column, language: str) -> str:
    """The title of a column; a reference has the title of its target.

    An embedded column has one name in English; in other languages its references and its field are translated
    separately and joined.
    """
    if language == SOURCE_LANGUAGE or column.is_own:
        return translated_words(_own_name(column), language)
    names = [translated_words(name, language) for name in (*column.path, column.leaf)]
    return ": ".join([names[0], *(name[:1].lower() + name[1:] for name in names[1:])])


def _own_name(column: Column) -> str:
    return column.name.removesuffix("Id") if isinstance(column.field, Reference) else column.name


def entity_title(entity: type[Entity], language: str) -> str:
    """What one record of the entity is called."""
    return translations(language).gettext(_title(entity))


def entity_plural(entity: type[Entity], language: str) -> str:
    """What its records are called together."""
    return translations(language).gettext(_plural(entity))


def entity_summary(entity: type[Entity], language: str) -> str:
    """What the entity is, in a sentence."""
    return translations(language).gettext(_summary(entity))


def choices_of(field: Enum, language: str) -> tuple[tuple[str, str], ...]:
    """The value and title of each member."""
    return tuple((str(int(member)), choice_title(member.name, language)) for member in field.of)


def choice_title(name: str, language: str) -> str:
    """The title of a member of an enumeration, without the underscore that avoids keywords of Python."""
    return translated_words(name.rstrip("_"), language)


def declared_texts(entities: Iterable[type[Entity]], actions: Iterable[Action]) -> frozenset[str]:
    """The keys that every catalogue needs for these entities and their commands."""
    found: set[str] = set()
    for action in actions:
        found |= {action.name, *(words(param.name) for param in action.parameters)}
    for entity in entities:
        found |= {entity.area, _title(entity), _plural(entity), _summary(entity)}
        meta = entity.meta()
        for column in (*meta.columns.values(), *meta.filter_only.values()):
            found |= (
                {words(_own_name(column))} if column.is_own else {words(each) for each in (*column.path, column.leaf)}
            )
            if isinstance(column.field, Enum):
                found |= {words(member.name.rstrip("_")) for member in column.field.of}
    return frozenset(found)


def _title(entity: type[Entity]) -> str:
    return _TITLES.get(entity.__name__) or words(entity.__name__)


def _plural(entity: type[Entity]) -> str:
    title = _title(entity)
    if title.endswith("y"):
        return f"{title[:-1]}ies"
    return f"{title}es" if title.endswith(("s", "x", "ch")) else f"{title}s"


def _summary(entity: type[Entity]) -> str:
    return (entity.__doc__ or "").strip().partition("\n")[0]
