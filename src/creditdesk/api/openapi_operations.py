"""OpenAPI operations of paths that belong to no entity, derived from their parameters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from creditdesk.api.schemas import Schema, field_schema, nullable
from creditdesk.schema.params import Param, ParamList


def read_operation(path: str, title: str, role: str, params: Sequence[Param]) -> dict[str, Any]:
    """The operation of a GET with these query parameters."""
    operation = _base_operation(path, title, role)
    operation["parameters"] += [
        {
            "name": param.name,
            "in": "query",
            "required": param.required,
            "schema": _value_schema(param),
        }
        for param in params
    ]
    return operation


def write_operation(
    path: str,
    title: str,
    role: str,
    params: Sequence[Param | ParamList],
    example: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The operation of a POST with these parameters in its body."""
    content = {"schema": object_schema(params)} | {"example": dict(example or {})}
    required = any(param.required for param in params)
    body = {"required": required, "content": {"application/json": content}}
    return _base_operation(path, title, role) | {"requestBody": body}


def _base_operation(path: str, title: str, role: str) -> dict[str, Any]:
    words = [word for word in path.split("/")[2:] if "{" not in word]
    in_path = [{"name": "id", "in": "path", "required": True, "schema": {"type": "integer", "minimum": 1}}]
    return {
        "operationId": "".join(word.title() for word in words),
        "tags": ["ledger"],
        "summary": title,
        "description": f"{title}. Needs the role {role}.",
        "parameters": in_path if "{id}" in path else [],
    }


def object_schema(params: Sequence[Param | ParamList]) -> Schema:
    """The schema of a body with these parameters."""
    properties: dict[str, Schema] = {}
    for param in params:
        if isinstance(param, ParamList):
            limits = {"minItems": 1, "maxItems": param.max_items}
            items = {"items": object_schema(param.params)}
            properties[param.name] = {"type": "array"} | items | limits
        else:
            schema = _value_schema(param)
            properties[param.name] = schema if param.required else nullable(schema)
    required = [param.name for param in params if param.required]
    schema = {"type": "object", "properties": properties}
    return schema | ({"required": required} if required else {})


def page_schema(record: Schema) -> Schema:
    """The schema of a page of records."""
    numbers = ("CurrentPage", "PageSize", "TotalItems")
    properties = {"Records": {"type": "array", "items": record}, **{name: {"type": "integer"} for name in numbers}}
    properties["HasNextPage"] = {"type": "boolean"}
    return {"type": "object", "properties": properties, "required": list(properties)}


def _value_schema(param: Param) -> Schema:
    schema = {"type": "string", "enum": list(param.choices)} if param.choices else field_schema(param.field)
    return schema | ({"description": param.description} if param.description else {})
