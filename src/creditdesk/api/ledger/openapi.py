"""The ledger's paths as the OpenAPI document shows them, from what their bodies and queries may name.

Must not know what the paths do.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from creditdesk.api.ledger.params import MOST_SOURCES, Items, Part
from creditdesk.api.schemas import Schema, kind_schema, nullable


def looking(path: str, title: str, role: str, parts: Sequence[Part]) -> dict[str, Any]:
    """A GET, whose query may name these parts."""
    shown = _described(path, title, role)
    shown["parameters"] += [
        {"name": part.name, "in": "query", "required": part.needed, "schema": _value(part)}
        for part in parts
    ]
    return shown


def posting(path: str, title: str, role: str, parts: Sequence[Part | Items]) -> dict[str, Any]:
    """A POST, whose body may name these parts."""
    body = {"required": _needed(parts), "content": {"application/json": {"schema": _object(parts)}}}
    return _described(path, title, role) | {"requestBody": body}


def _described(path: str, title: str, role: str) -> dict[str, Any]:
    words = [word for word in path.split("/")[2:] if "{" not in word]
    in_path = [{"name": "id", "in": "path", "required": True, "schema": {"type": "integer"}}]
    return {
        "operationId": "".join(word.title() for word in words),
        "tags": ["ledger"],
        "summary": title,
        "description": f"{title}. Needs the role {role}.",
        "parameters": in_path if "{id}" in path else [],
    }


def _object(parts: Sequence[Part | Items]) -> Schema:
    properties: dict[str, Schema] = {}
    for part in parts:
        if isinstance(part, Items):
            several = {"items": _object(part.parts), "minItems": 1, "maxItems": MOST_SOURCES}
            properties[part.name] = {"type": "array"} | several
        else:
            properties[part.name] = _value(part) if part.needed else nullable(_value(part))
    needed = [part.name for part in parts if part.needed]
    found: Schema = {"type": "object", "properties": properties}
    return found | ({"required": needed} if needed else {})


def _needed(parts: Sequence[Part | Items]) -> bool:
    return any(part.needed for part in parts)


def _value(part: Part) -> Schema:
    schema = {"type": "string", "enum": list(part.words)} if part.words else kind_schema(part.kind)
    return schema | ({"description": part.told} if part.told else {})
