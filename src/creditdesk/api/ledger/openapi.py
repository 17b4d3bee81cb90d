"""The ledger's paths as the OpenAPI document shows them, from what their bodies and queries may name.

Must not know what the paths do.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from creditdesk.api.ledger.params import MAX_SOURCES, Param, ParamList
from creditdesk.api.schemas import Schema, field_schema, nullable


def read_operation(path: str, title: str, role: str, api: Sequence[Param]) -> dict[str, Any]:
    """A GET, whose query may name these parts."""
    shown = _base_operation(path, title, role)
    shown["parameters"] += [
        {"name": part.name, "in": "query", "required": part.required, "schema": _value_schema(part)}
        for part in api
    ]
    return shown


def write_operation(
    path: str, title: str, role: str, api: Sequence[Param | ParamList]
) -> dict[str, Any]:
    """A POST, whose body may name these parts."""
    body = {
        "required": _any_required(api),
        "content": {"application/json": {"schema": _object_schema(api)}},
    }
    return _base_operation(path, title, role) | {"requestBody": body}


def _base_operation(path: str, title: str, role: str) -> dict[str, Any]:
    words = [word for word in path.split("/")[2:] if "{" not in word]
    in_path = [{"name": "id", "in": "path", "required": True, "schema": {"type": "integer"}}]
    return {
        "operationId": "".join(word.title() for word in words),
        "tags": ["ledger"],
        "summary": title,
        "description": f"{title}. Needs the role {role}.",
        "parameters": in_path if "{id}" in path else [],
    }


def _object_schema(api: Sequence[Param | ParamList]) -> Schema:
    properties: dict[str, Schema] = {}
    for part in api:
        if isinstance(part, ParamList):
            several = {"items": _object_schema(part.params), "minItems": 1, "maxItems": MAX_SOURCES}
            properties[part.name] = {"type": "array"} | several
        else:
            properties[part.name] = (
                _value_schema(part) if part.required else nullable(_value_schema(part))
            )
    needed = [part.name for part in api if part.required]
    found: Schema = {"type": "object", "properties": properties}
    return found | ({"required": needed} if needed else {})


def _any_required(api: Sequence[Param | ParamList]) -> bool:
    return any(part.required for part in api)


def _value_schema(part: Param) -> Schema:
    schema = (
        {"type": "string", "enum": list(part.choices)} if part.choices else field_schema(part.field)
    )
    return schema | ({"description": part.description} if part.description else {})
