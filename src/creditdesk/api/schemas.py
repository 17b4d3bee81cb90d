"""What bodies and answers look like, as JSON Schema 2020-12: one reading per field kind.

Must not know paths or statuses.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, cast

from creditdesk.schema.entity import COMPUTED_FIELDS, Column, Entity
from creditdesk.schema.fields import (
    MAX_INTEGER,
    Boolean,
    Collection,
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
_INT64_SCHEMA: Final[Schema] = {"type": "integer", "format": "int64"}
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
    longest = cast("Text", field).max_length
    return {"type": "string", "maxLength": longest}


def _integer(field: Field) -> Schema:
    least = cast("Integer", field).minimum
    return _INT64_SCHEMA | {"minimum": least, "maximum": MAX_INTEGER}


def _number(field: Field) -> Schema:
    places = cast("Money", field).places
    return {"type": "number", "description": f"Exact, to {places} decimal places."}


def _enum(field: Field) -> Schema:
    members = list(cast("Enum", field).of)
    names = ", ".join(f"{int(member)} {member.name.rstrip('_')}" for member in members)
    return {"type": "integer", "enum": [int(m) for m in members], "description": names}


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
}
"""How each kind is said in JSON Schema, nulls aside."""


def field_schema(field: Field) -> Schema:
    return dict(SCHEMAS[type(field)](field))


def record_schema(entity: type[Entity], *, with_collections: bool) -> Schema:
    """A record as it is shown: listed, or whole with its collections and their empty twins."""
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
    """What a caller may send; what it may not is ignored."""
    properties: dict[str, Schema] = {} if creating else {"Id": dict(_ID_SCHEMA)}
    needed: list[str] = []
    for column in entity.meta().columns.values():
        kind = column.field
        barred = kind.update_only if creating else kind.create_only
        if not column.is_own or column.name in COMPUTED_FIELDS or kind.read_only or barred:
            continue
        schema = field_schema(kind)
        if kind.required:
            needed.append(column.name)
            if isinstance(kind, Text):
                schema["pattern"] = "\\S"
        properties[column.name] = schema if kind.required else nullable(schema)
        if isinstance(kind, Collection) and kind.delta_fields:
            for word in ("Added", "Removed"):
                properties[word + column.name] = nullable(field_schema(kind))
    found: Schema = {"type": "object", "properties": properties}
    return found | ({"required": needed} if needed else {})


def nullable(schema: Schema) -> Schema:
    """The same, or null."""
    if "enum" in schema:
        schema = schema | {"enum": [*schema["enum"], None]}
    return schema | {"type": [schema["type"], "null"]}


def _shown_schema(column: Column) -> Schema:
    kind = column.field
    if column.name == "IsNew":
        return {"const": False}
    if column.name == "ToStringText":
        return {"type": "string"}
    if column.name == "LocalizationDetails" or kind.write_only:
        return {"type": "null"}
    schema: Schema = {"type": "string"} if column.as_text else field_schema(kind)
    schema.pop("minimum", None)
    always = column.is_own and (not kind.nullable or isinstance(kind, Collection))
    return schema if always else nullable(schema)


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
    """The envelope of a write; `Value` is null where the record's state does not allow it."""
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
