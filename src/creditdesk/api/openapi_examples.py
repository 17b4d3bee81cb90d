"""Examples of responses in the OpenAPI document, generated from their schemas."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from creditdesk.api.schemas import Schema

_PREFIX: Final = "#/components/schemas/"
_BY_FORMAT: Final = {"date-time": "2026-03-01T09:00:00Z", "uuid": "a1b2c3d4-e5f6-7890-abcd-ef1234567890"}


def add_examples(document: dict[str, Any]) -> None:
    """Adds an example to every response with a schema, and to the parameters of other operations without a body.

    Responses that share a schema share its example.
    """
    schemas = document["components"]["schemas"]
    shared = document["components"].setdefault("examples", {})
    for operation in _operations(document):
        content = operation["responses"].get("200", {}).get("content", {}).get("application/json")
        if content is not None and _says_something(content["schema"]):
            name = content["schema"].get("$ref", "").removeprefix(_PREFIX)
            if name:
                shared.setdefault(name, {"value": _example(schemas[name], schemas, name)})
                content["examples"] = {"answer": {"$ref": f"#/components/examples/{name}"}}
            else:
                content["example"] = _example(content["schema"], schemas, "")
        elif "requestBody" not in operation:
            own = [parameter for parameter in operation.get("parameters", ()) if "schema" in parameter]
            for parameter in own:
                parameter.setdefault("example", _example(parameter["schema"], schemas, parameter["name"]))
            if content is not None and not own:
                content["example"] = _example(content["schema"], schemas, "")


def _operations(document: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for operations in document["paths"].values():
        for method, operation in operations.items():
            if method != "parameters":
                yield operation


def _says_something(schema: Schema) -> bool:
    """Whether a schema says what the response contains: an envelope of any value, or any object, does not."""
    value = schema.get("properties", {}).get("Value")
    return value != {"anyOf": [{}, {"type": "null"}]} and schema != {"type": "object"}


def _example(schema: Schema, schemas: Mapping[str, Schema], name: str) -> Any:
    if "$ref" in schema:
        return _example(schemas[schema["$ref"].removeprefix(_PREFIX)], schemas, name)
    if "anyOf" in schema:
        return _example(schema["anyOf"][0], schemas, name)
    given = [schema["const"]] if "const" in schema else schema.get("examples", schema.get("enum", ()))
    if given:
        return given[0]
    kind = schema.get("type")
    match kind[0] if isinstance(kind, list) else kind:
        case "object":
            return {each: _example(of, schemas, each) for each, of in schema.get("properties", {}).items()}
        case "array":
            return [_example(schema["items"], schemas, name)]
        case "boolean":
            return False
        case "integer":
            return max(1, schema.get("minimum", 1))
        case "number":
            return 12.5
        case "string":
            return _BY_FORMAT.get(schema.get("format", ""), name or "text")
    return None
