"""The calls of the API, from its OpenAPI document, each with an example in curl and in Python."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlencode

TOKEN_VARIABLE: Final = "CREDITDESK_TOKEN"  # noqa: S105 - the name of a variable
_ID_EXAMPLE: Final = 1
_METHODS: Final = ("get", "post", "put", "delete")
_LEDGER_TAGS: Final = ("ledger", "reports", "auth", "admin", "public")
_WRITES_ONCE: Final = "Idempotency-Key"


@dataclass(frozen=True, slots=True)
class CallParameter:
    """A parameter of the path, the query or a header."""

    name: str
    place: str
    required: bool
    description: str
    example: str


@dataclass(frozen=True, slots=True)
class ApiCall:
    """One method on one path. `body` and `answer` are examples, None if there is none."""

    key: str
    method: str
    path: str
    tag: str
    title: str
    description: str
    parameters: tuple[CallParameter, ...]
    body: Any
    body_type: str
    answer: Any

    @property
    def example_path(self) -> str:
        """The path with an example of each id, and of each parameter that is required."""
        text = self.path
        for each in self.parameters:
            text = text.replace(f"{{{each.name}}}", each.example)
        query = urlencode(
            {each.name: each.example for each in self.parameters if each.required and each.place == "query"}
        )
        return f"{text}?{query}" if query else text

    @property
    def is_idempotent_by_key(self) -> bool:
        return any(parameter.name == _WRITES_ONCE for parameter in self.parameters)


def api_calls(document: Mapping[str, Any]) -> dict[str, list[ApiCall]]:
    """The calls by tag: those of the ledger and of sign-in first, then those of each kind of record."""
    by_tag: dict[str, list[ApiCall]] = {}
    for path, operations in document["paths"].items():
        for method in _METHODS:
            if method in operations:
                shared = operations.get("parameters", ())
                operation = {**operations[method], "parameters": [*shared, *operations[method].get("parameters", ())]}
                call = _call(document, path, method, operation)
                by_tag.setdefault(call.tag, []).append(call)
    first = [tag for tag in _LEDGER_TAGS if tag in by_tag]
    return {tag: by_tag[tag] for tag in (*first, *sorted(by_tag.keys() - set(first), key=str.lower))}


def curl_example(call: ApiCall, address: str) -> str:
    """The call as a curl command."""
    parts = [f"curl -X {call.method}" if call.method != "GET" else "curl", shlex.quote(address + call.example_path)]
    if call.body_type != "form":
        parts.append(f'-H "Authorization: Bearer ${TOKEN_VARIABLE}"')
    if call.is_idempotent_by_key:
        parts.append(f'-H "{_WRITES_ONCE}: $(uuidgen)"')
    if call.body is not None and call.body_type == "json":
        parts += ["-H 'Content-Type: application/json'", f"-d {shlex.quote(json.dumps(call.body, ensure_ascii=False))}"]
    elif call.body is not None:
        parts += [f"-d {shlex.quote(f'{name}={value}')}" for name, value in call.body.items()]
    return " \\\n  ".join([f"{parts[0]} {parts[1]}", *parts[2:]])


def python_example(call: ApiCall, address: str) -> str:
    """The call in Python, with httpx."""
    lines = ["import os", *(["import uuid"] if call.is_idempotent_by_key else []), "", "import httpx", ""]
    headers = [] if call.body_type == "form" else [f'"Authorization": f"Bearer {{os.environ[\'{TOKEN_VARIABLE}\']}}"']
    headers += [f'"{_WRITES_ONCE}": str(uuid.uuid4())'] if call.is_idempotent_by_key else []
    arguments = [f"    {address + call.example_path!r},"]
    if headers:
        arguments.append(f"    headers={{{', '.join(headers)}}},")
    if call.body is not None:
        arguments.append(f"    {'json' if call.body_type == 'json' else 'data'}={call.body!r},")
    lines += [
        f"answer = httpx.{call.method.lower()}(",
        *arguments,
        ")",
        "answer.raise_for_status()",
        "print(answer.json())",
    ]
    return "\n".join(lines if headers and call.body_type != "form" else lines[lines.index("import httpx") :])


def _call(document: Mapping[str, Any], path: str, method: str, operation: Mapping[str, Any]) -> ApiCall:
    body, body_type = _body(document, operation)
    return ApiCall(
        operation["operationId"], method.upper(), path, operation["tags"][0], operation["summary"],
        operation.get("description", ""), tuple(_parameters(document, operation)), body, body_type,
        _answer(document, operation),
    )  # fmt: skip


def _parameters(document: Mapping[str, Any], operation: Mapping[str, Any]) -> list[CallParameter]:
    found = []
    for each in operation.get("parameters", ()):
        declared = _resolve(document, each)
        description = declared.get("description") or declared.get("schema", {}).get("description") or ""
        example = str(declared.get("example", _ID_EXAMPLE))
        found.append(
            CallParameter(declared["name"], declared["in"], declared.get("required", False), description, example)
        )
    return found


def _body(document: Mapping[str, Any], operation: Mapping[str, Any]) -> tuple[Any, str]:
    content = _resolve(document, operation.get("requestBody", {})).get("content", {})
    for media_type, short in (("application/json", "json"), ("application/x-www-form-urlencoded", "form")):
        if media_type in content:
            return _example(document, content[media_type]), short
    return None, ""


def _answer(document: Mapping[str, Any], operation: Mapping[str, Any]) -> Any:
    success = _resolve(document, operation["responses"].get("200", {}))
    return _example(document, success.get("content", {}).get("application/json", {}))


def _example(document: Mapping[str, Any], media: Mapping[str, Any]) -> Any:
    if "example" in media:
        return media["example"]
    for each in media.get("examples", {}).values():
        return _resolve(document, each).get("value")
    return None


def _resolve(document: Mapping[str, Any], value: Mapping[str, Any]) -> Mapping[str, Any]:
    """The target of a local reference."""
    found: Any = value
    while "$ref" in found:
        place: Any = document
        for part in found["$ref"].removeprefix("#/").split("/"):
            place = place[part]
        found = place
    return found  # type: ignore[no-any-return]
