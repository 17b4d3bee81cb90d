"""JSON Schema 2020-12 of request and response bodies, derived from the field types."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, cast

from creditdesk.schema.entity import COMPUTED_FIELDS, Column, Entity
from creditdesk.schema.fields import (
    MAX_INTEGER,
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

Schema = dict[str, Any]
_INT64_SCHEMA: Final[Schema] = {"type": "integer", "format": "int64", "maximum": MAX_INTEGER}
_ID_SCHEMA: Final[Schema] = _INT64_SCHEMA | {"minimum": 1, "maximum": MAX_INTEGER}
_CUSTOM_FIELDS_SCHEMA: Final[Schema] = {
    "type": "object",
    "properties": {
        "Data": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "Name": {"type": "string", "pattern": "\\S"},
                    "Value": {"type": ["string", "number", "boolean", "null"]},
                    "Type": {"type": ["string", "null"]},
                },
                "required": ["Name"],
            },
        }
    },
    "required": ["Data"],
}


def _text(field: Field) -> Schema:
    max_length = cast("Text", field).max_length
    return {"type": "string", "maxLength": max_length}


def _integer(field: Field) -> Schema:
    whole = cast("Integer", field)
    return _INT64_SCHEMA | {"minimum": whole.minimum, "maximum": whole.maximum}


def _number(field: Field) -> Schema:
    scaled = cast("Money", field)
    largest = MAX_INTEGER // 10**scaled.places
    return {
        "type": "number",
        "minimum": -largest if scaled.allow_negative else 0,
        "maximum": largest,
        "description": f"Exact, to {scaled.places} decimal places.",
    }


def _enum(field: Field) -> Schema:
    members = list(cast("Enum", field).of)
    names = ", ".join(f"{int(member)} {member.name.rstrip('_')}" for member in members)
    return {"type": "integer", "enum": [int(m) for m in members], "description": names}


_COMPUTED: Final[dict[str, Schema]] = {
    "boolean": {"type": "boolean"},
    "integer": {"type": "integer", "format": "int64"},
    "integer[]": {"type": "array", "items": _ID_SCHEMA},
    "money": {"type": "number"},
    "object": {"type": "object"},
    "object[]": {"type": "array", "items": {"type": "object"}},
    "string": {"type": "string"},
}
"""The schema of each type of a computed field."""

SCHEMAS: Final[dict[type[Field], Callable[[Field], Schema]]] = {
    Text: _text,
    Guid: lambda _: {"type": "string", "format": "uuid"},
    Integer: _integer,
    Money: _number,
    Number: _number,
    Boolean: lambda _: {"type": "boolean"},
    Enum: _enum,
    DateTime: lambda _: {"type": "string", "format": "date-time"},
    Object: lambda _: _CUSTOM_FIELDS_SCHEMA,
    Reference: lambda _: _ID_SCHEMA,
    Collection: lambda _: {"type": "array", "items": _ID_SCHEMA},
    Computed: lambda field: dict(_COMPUTED[cast("Computed", field).shows]),
}
"""The schema of each field type, without null."""


def field_schema(field: Field) -> Schema:
    return dict(SCHEMAS[type(field)](field))


def record_schema(entity: type[Entity], *, with_collections: bool) -> Schema:
    """A record in responses; with collections also their delta fields, which are always null there."""
    properties: dict[str, Schema] = {}
    for column in entity.meta().columns.values():
        if not column.visible or (not with_collections and isinstance(column.field, Collection)):
            continue
        properties[column.name] = _shown_schema(column)
        if isinstance(column.field, Collection) and column.field.delta_fields:
            properties[f"Added{column.name}"] = {"type": "null"}
            properties[f"Removed{column.name}"] = {"type": "null"}
    return {
        "type": "object",
        "description": (entity.__doc__ or "").strip(),
        "properties": properties,
        "required": list(properties),
    }


def body_schema(entity: type[Entity], *, creating: bool) -> Schema:
    """The fields that a caller may send; others are ignored."""
    properties: dict[str, Schema] = {} if creating else {"Id": dict(_ID_SCHEMA)}
    required: list[str] = []
    for column in entity.meta().columns.values():
        field = column.field
        excluded = field.update_only if creating else field.create_only
        if not column.is_own or column.name in COMPUTED_FIELDS or field.read_only or excluded:
            continue
        schema = field_schema(field)
        if field.required:
            required.append(column.name)
            if isinstance(field, Text):
                schema["pattern"] = "\\S"
        properties[column.name] = schema if field.required else nullable(schema)
        if isinstance(field, Collection) and field.delta_fields:
            for word in ("Added", "Removed"):
                properties[word + column.name] = nullable(field_schema(field))
    found: Schema = {"type": "object", "properties": properties}
    return found | ({"required": required} if required else {})


def example_body(entity: type[Entity], *, creating: bool) -> dict[str, Any]:
    """A body with every required field, as an example of a create or an update."""
    return {
        column.name: _example(column)
        for column in entity.meta().columns.values()
        if column.is_own
        and column.field.required
        and not (column.field.update_only if creating else column.field.create_only)
    }


def _example(column: Column) -> Any:
    match column.field:
        case Text():
            return column.name
        case Enum(of=members):
            return int(next(iter(members)))
        case Boolean():
            return True
        case DateTime():
            is_end = column.name.startswith(("To", "End", "Expire"))
            return "2026-03-01T10:00:00Z" if is_end else "2026-03-01T09:00:00Z"
        case Collection():
            return [1]
        case Money() | Number():
            return 12.5
        case _:
            return 1


def nullable(schema: Schema) -> Schema:
    """The schema with null allowed."""
    if "enum" in schema:
        schema = schema | {"enum": [*schema["enum"], None]}
    return schema | {"type": [schema["type"], "null"]}


def _shown_schema(column: Column) -> Schema:
    field = column.field
    if column.name == "IsNew":
        return {"const": False}
    if column.name == "ToStringText":
        return {"type": "string"}
    if column.name == "LocalizationDetails" or field.write_only:
        return {"type": "null"}
    schema: Schema = {"type": "string"} if column.as_text else field_schema(field)
    # Stored values may lie beyond what a body may set: 0 for no id, the balance of an overdraft.
    schema.pop("minimum", None)
    has_value = isinstance(field, Collection) or (isinstance(field, Computed) and field.value is not None)
    never_null = column.is_own and (not field.nullable or has_value)
    return schema if never_null else nullable(schema)


ERROR_SCHEMAS: Final[dict[str, Schema]] = {
    "FieldError": {
        "type": "object",
        "properties": {
            "AttemptedValue": {"description": "What was sent."},
            "Message": {"type": "string"},
            "PropertyName": {"type": "string"},
        },
        "required": ["AttemptedValue", "Message", "PropertyName"],
    },
    "Failure": {
        "type": "object",
        "properties": {
            "Message": {"type": "string"},
            "Value": {"type": "null"},
            "Errors": {"type": "array", "items": {"$ref": "#/components/schemas/FieldError"}},
            "WasSuccessful": {"const": False},
        },
        "required": ["Message", "Value", "Errors", "WasSuccessful"],
    },
    "NotFound": {"const": "Not found"},
    "Fault": {
        "type": "object",
        "properties": {"Message": {"type": "string"}},
        "required": ["Message"],
    },
}


def action_schema(value: Schema) -> Schema:
    """The envelope of a write; `Value` is null when the record's state did not allow it."""
    properties: dict[str, Schema] = {
        "Status": {"const": 200},
        "Message": {"type": "string"},
        "Value": {"anyOf": [value, {"type": "null"}]},
        "OpenInDialog": {"const": False},
        "OpenInWindow": {"const": False},
        "RedirectURL": {"type": "null"},
        "JavaScript": {"type": "null"},
        "UpdatedOn": {"type": ["string", "null"], "format": "date-time"},
        "UpdatedBy": {"type": ["string", "null"]},
        "Errors": {"type": "null"},
        "WasSuccessful": {"type": "boolean"},
    }
    return {"type": "object", "properties": properties, "required": list(properties)}


def list_schema(row: Schema) -> Schema:
    """The envelope of a list."""
    count: Schema = {"type": "integer", "minimum": 0}
    properties: dict[str, Schema] = {
        "Records": {"type": "array", "items": row},
        "CurrentPageSize": count,
        "CurrentPage": count,
        "CurrentOrderField": {"type": "string"},
        "CurrentSortDirection": {"type": "integer", "enum": [-1, 0, 1]},
        "FirstItem": count,
        "HasNextPage": {"type": "boolean"},
        "HasPreviousPage": {"type": "boolean"},
        "LastItem": count,
        "PageNumber": count,
        "PageSize": count,
        "TotalItems": count,
        "TotalPages": count,
    }
    return {"type": "object", "properties": properties, "required": list(properties)}


_ACTION_FLAGS: Final = (
    "AppliesOnlyToMultipleEntities",
    "AppliesOnlyToOneEntity",
    "AppliesOnlyToTwoEntities",
    "DisplayInDropdown",
    "DisplayInDropdownV2",
    "DisplayInGrid",
    "NeedsEntitiesToRun",
)
ACTION_DESCRIPTION_SCHEMA: Final[Schema] = {
    "type": "object",
    "properties": {
        "Key": {"type": "string"},
        "Name": {"type": "string"},
        **{key: {"type": "boolean"} for key in _ACTION_FLAGS},
        "Icon": {"type": "null"},
        "Order": {"type": "integer"},
        "RequiresParameters": {
            "type": "array",
            "items": {"type": "object", "properties": {"Name": {"type": "string"}, "Type": {"type": "string"}}},
        },
    },
    "required": ["Key", "Name", *_ACTION_FLAGS, "Icon", "Order", "RequiresParameters"],
}
"""A command in the list of an entity's commands."""
