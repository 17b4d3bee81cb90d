"""How each field type is shown in a cell: one entry per type, and exceptions for some columns."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec
from markupsafe import Markup

from creditdesk.console.code_texts import code_texts
from creditdesk.console.formats import ABSENT, Formatter
from creditdesk.console.labels import choice_title
from creditdesk.console.links import record_path
from creditdesk.console.markup import link_element
from creditdesk.console.translations import translations
from creditdesk.schema.entity import Column, entity_by_name
from creditdesk.schema.fields import (
    Boolean,
    Collection,
    Computed,
    DateTime,
    Enum,
    Field,
    Guid,
    Integer,
    Money,
    Number,
    Object,
    Reference,
    Text,
)

_NAMES: Final = frozenset({"Name", "FullName"})
"""Fields that name their record."""
CellText = Markup | str
CellDisplay = Callable[[Formatter, Field, Any], CellText]


def _text(_format: Formatter, _field: Field, value: Any) -> CellText:
    return str(value)


def _whole(formatter: Formatter, _field: Field, value: Any) -> CellText:
    return formatter.units(value)


def _money(formatter: Formatter, _field: Field, value: Any) -> CellText:
    return formatter.money(value)


def _boolean(_format: Formatter, _field: Field, value: Any) -> CellText:
    return "✓" if value else ABSENT


def _enum(formatter: Formatter, field: Field, value: Any) -> CellText:
    assert isinstance(field, Enum)
    member = field.of._value2member_map_.get(value)
    return choice_title(member.name, formatter.locale.language) if isinstance(member, field.of) else str(value)


def _instant(formatter: Formatter, _field: Field, value: Any) -> CellText:
    return formatter.instant(value)


def _object(_format: Formatter, _field: Field, value: Any) -> CellText:
    return msgspec.json.encode(value).decode()


def _reference(_format: Formatter, field: Field, value: Any) -> CellText:
    assert isinstance(field, Reference)
    return _link(field.to, value) if field.is_local else f"#{value}"


def _collection(_format: Formatter, field: Field, value: Any) -> CellText:
    assert isinstance(field, Collection)
    if not field.is_local:
        return ", ".join(f"#{each}" for each in value)
    return Markup(", ").join(_link(field.of, each) for each in value)


def _computed(formatter: Formatter, field: Field, value: Any) -> CellText:
    assert isinstance(field, Computed)
    if field.shows == "boolean":
        return _boolean(formatter, field, value)
    if field.shows == "money":
        return formatter.money(value)
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _link(entity: str, record_id: Any) -> Markup:
    return link_element(record_path(entity_by_name(entity), record_id), f"#{record_id}")


DISPLAYS: Final[dict[type[Field], CellDisplay]] = {
    Text: _text,
    Guid: _text,
    Integer: _whole,
    Money: _money,
    Number: _whole,
    Boolean: _boolean,
    Enum: _enum,
    DateTime: _instant,
    Object: _object,
    Reference: _reference,
    Collection: _collection,
    Computed: _computed,
}
"""How a value of each field type is shown."""


def cell(
    formatter: Formatter, column: Column, record: Mapping[str, Any], names: Mapping[int, str] | None = None
) -> CellText:
    """A column of a record; id and label link to the record itself, a reference to the referenced record."""
    value = record.get(column.name)
    if value is None or value in ("", []):
        return ABSENT
    if column.name == "Id":
        return link_element(record_path(column.entity, value), f"#{value}")
    if texts := code_texts(column):
        return translations(formatter.locale.language).gettext(texts.get(value) or str(value))
    if column.is_own and column.name == column.entity.label and "Id" in record:
        return link_element(record_path(column.entity, record["Id"]), value)
    if names and value in names:
        return _named_link(column, column.name, record, names[value])
    if reference := naming_reference(column):
        return _named_link(column, reference, record, str(value))
    if column.name.endswith("Id") and isinstance(column.field, Integer):
        return str(value)
    if column.as_text:
        return str(value)
    if isinstance(column.field, Money) and record.get("CreditKind") == "time":
        return formatter.units(value)
    return DISPLAYS[type(column.field)](formatter, column.field, value)


def naming_reference(column: Column) -> str | None:
    """The id column of the record that an embedded column names, such as CoworkerId of CoworkerFullName."""
    if len(column.path) != 1 or column.leaf not in _NAMES:
        return None
    reference = f"{column.path[0]}Id"
    return reference if reference in column.entity.meta().columns else None


def _named_link(column: Column, reference: str, record: Mapping[str, Any], name: str) -> CellText:
    field = column.entity.meta().columns[reference].field
    if not (isinstance(field, Reference) and field.is_local and record.get(reference)):
        return name
    return link_element(record_path(entity_by_name(field.to), record[reference]), name)


def is_numeric(column: Column) -> bool:
    """Whether a column is a quantity, which is right-aligned in tables."""
    return isinstance(column.field, Integer | Money | Number) and not column.name.endswith("Id") and not column.as_text
