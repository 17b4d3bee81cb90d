"""The address of a list: the API's own parameters, and the shown columns.

The address is the state of a page: filters, order, page, columns and the saved view that it started from.
Everything but `columns` and `view` is passed to the API unchanged.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlencode

from creditdesk.console.displays import naming_reference
from creditdesk.console.numbers import record_number
from creditdesk.console.translations import mark
from creditdesk.schema.entity import Column, Entity, FilterParameter
from creditdesk.schema.fields import Collection, DateTime, Guid, Object, Reference, Text

COLUMNS_PARAM: Final = "columns"
VIEW_PARAM: Final = "view"
_CONSOLE_PARAMS: Final = frozenset({COLUMNS_PARAM, VIEW_PARAM})
_PAGING: Final = frozenset({"page", "size", "orderby", "dir"})
DEFAULT_COLUMN_COUNT: Final = 8
MAX_ROWS: Final = 250
_BASE_TAIL: Final = frozenset({"UpdatedOn", "CreatedOn", "UniqueId", "UpdatedBy", "IsNew", "SystemId", "ToStringText",
                               "LocalizationDetails", "CustomFields"})  # fmt: skip

IS: Final = "is"
CONTAINS: Final = "contains"
FROM: Final = "from"
TO: Final = "to"
EMPTY: Final = "empty"
FILLED: Final = "filled"
OPERATORS: Final = {
    IS: mark("is"),
    CONTAINS: mark("contains"),
    FROM: mark("is at least"),
    TO: mark("is at most"),
    EMPTY: mark("is empty"),
    FILLED: mark("has a value"),
}
_PRESENCE: Final = {EMPTY: "null", FILLED: "notnull"}


@dataclass(frozen=True, slots=True)
class FilterChip:
    """One filter of the address; `remaining` is the address without it."""

    column: Column
    operator: str
    value: str
    remaining: str


@dataclass(frozen=True, slots=True)
class ListAddress:
    """The parameters of one list's page."""

    entity: type[Entity]
    pairs: tuple[tuple[str, str], ...]

    @property
    def api_pairs(self) -> list[tuple[str, str]]:
        """The API's parameters without blank values; limits a page to the rows that can be rendered at once."""
        sent = [(name, value) for name, value in self.pairs if name.lower() not in _CONSOLE_PARAMS and value]
        return [(name, _page_size(value) if name.lower() == "size" else value) for name, value in sent]

    @property
    def filters(self) -> list[tuple[str, str]]:
        return [(name, value) for name, value in self.api_pairs if name.lower() not in _PAGING]

    @property
    def saved_pairs(self) -> list[tuple[str, str]]:
        """The part of the address that a saved view keeps: all but the page and the view itself."""
        return [(name, value) for name, value in self.pairs if value and name.lower() not in ("page", VIEW_PARAM)]

    @property
    def saved_query(self) -> str:
        """The query string that a saved view keeps."""
        return urlencode(self.saved_pairs)

    def value(self, name: str) -> str:
        """The value of a parameter, regardless of the name's case; empty if it is absent."""
        return next((value for key, value in self.pairs if key.lower() == name.lower()), "")

    def with_values(self, **changed: object) -> str:
        """The query string with some parameters replaced, or removed by None; a new filter shows page 1."""
        names = {name.lower() for name in changed}
        kept = [(key, value) for key, value in self.pairs if key.lower() not in names]
        if not names & {"page"}:
            kept = [(key, value) for key, value in kept if key.lower() != "page"]
        added = [(name, str(value)) for name, value in changed.items() if value not in (None, "")]
        return urlencode([*kept, *added])

    @property
    def shown_columns(self) -> tuple[Column, ...]:
        """The chosen columns in their order, else the default ones."""
        by_name = self.entity.meta().columns_by_lower_name
        chosen = [by_name.get(name.strip().lower()) for name in self.value(COLUMNS_PARAM).split(",")]
        found = tuple(column for column in chosen if column is not None and column.in_lists)
        return found or default_columns(self.entity)

    def chips(self) -> list[FilterChip]:
        """The filters as people read them; parameters that the entity does not know are left out."""
        parameters = self.entity.meta().filters
        found: list[FilterChip] = []
        for name, value in self.filters:
            parameter = parameters.get(name.lower())
            if parameter is not None:
                operator = _operator_of(parameter, value)
                shown = "" if operator in _PRESENCE else value
                found.append(FilterChip(parameter.column, operator, shown, self.with_values(**{name: None})))
        return found


def _page_size(text: str) -> str:
    """The number of rows, at most MAX_ROWS; any other text is passed to the API unchanged."""
    number = record_number(text)
    return text if number is None else str(min(number, MAX_ROWS))


def default_columns(entity: type[Entity]) -> tuple[Column, ...]:
    """The first columns that are meaningful to people: names instead of ids."""
    meta = entity.meta()
    listed = [c for c in meta.list_columns if c.name not in _BASE_TAIL and not c.field.write_only]
    names = {reference: column for column in listed if (reference := naming_reference(column)) is not None}
    replaced = [names.get(column.name, column) for column in listed]
    telling = [c for c in dict.fromkeys(replaced) if c.name != "Id" and not isinstance(c.field, Guid | Object)]
    first = [c for c in telling if c.name in (entity.label, entity.order)]
    chosen = [*first, *(c for c in telling if c not in first)]
    return (meta.columns["Id"], *chosen[:DEFAULT_COLUMN_COUNT])


def filter_columns(entity: type[Entity]) -> list[Column]:
    """The columns that filters compare, in the order of their parameters."""
    seen: dict[str, Column] = {}
    for parameter in entity.meta().filters.values():
        seen.setdefault(parameter.column.name, parameter.column)
    return list(seen.values())


def operators_of(column: Column) -> tuple[str, ...]:
    """The comparisons that the API offers on a column."""
    first = (CONTAINS,) if isinstance(column.field, Text) and not column.field.exact and not column.as_text else (IS,)
    ranges = (FROM, TO) if column.is_own and column.field.supports_range and not _is_id(column) else ()
    return (*first, *ranges, EMPTY, FILLED)


def filter_pair(entity: type[Entity], column: Column, operator: str, value: str) -> tuple[str, str]:
    """The API's parameter of a comparison. Raises KeyError if it has none."""
    variant = operator if operator in (FROM, TO) else "equals"
    name = parameter_name(entity, column, variant)
    return name, _PRESENCE.get(operator, value)


def parameter_name(entity: type[Entity], column: Column, variant: str) -> str:
    """The name of the parameter that compares a column so. Raises KeyError where there is none."""
    parameters: Iterable[FilterParameter] = entity.meta().filters.values()
    names = [each.name for each in parameters if each.column.name == column.name and each.variant == variant]
    if not names:
        raise KeyError(column.name)
    return max(names, key=len)


def _operator_of(parameter: FilterParameter, value: str) -> str:
    word = value.strip().lower()
    presence = next((operator for operator, text in _PRESENCE.items() if text == word), None)
    if presence is not None:
        return presence
    if parameter.variant in (FROM, TO):
        return parameter.variant
    return operators_of(parameter.column)[0]


def _is_id(column: Column) -> bool:
    return isinstance(column.field, Reference | Collection) or column.name == "Id"


def is_instant(column: Column) -> bool:
    return isinstance(column.field, DateTime)
