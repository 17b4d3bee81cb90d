"""The OpenAPI 3.1 document, derived from the same declarations as the routes.

Tests call what it lists and compare the responses with it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from creditdesk import __version__
from creditdesk.api.context import FURTHER_ERRORS, SUCCESS_CONTENT, Route
from creditdesk.api.openapi_examples import add_examples
from creditdesk.api.schemas import (
    ACTION_DESCRIPTION_SCHEMA,
    ERROR_SCHEMAS,
    Schema,
    action_schema,
    body_schema,
    example_body,
    field_schema,
    list_schema,
    record_schema,
)
from creditdesk.schema.entity import Entity, FilterParameter, Verb
from creditdesk.schema.fields import MAX_INTEGER, Collection, DateTime, Scaled, Text

_STATUS_DESCRIPTIONS: Final = {
    400: "The body or a parameter is invalid; every field error is listed.",
    401: "No, bad or expired credentials, or a user without API access.",
    403: "The caller lacks the role of this verb.",
    404: "No such record, or none that the caller may see.",
    408: "The body did not arrive in time.",
    409: "A concurrent change won, or the idempotency key is in use. Nothing was changed.",
    413: "The body is larger than the limit.",
    422: "The idempotency key was used with another request before.",
    429: "Too many requests; Retry-After says how many seconds to wait.",
    500: "An internal error.",
    503: "The database does not answer, or the call takes it too long; Retry-After says when to repeat it.",
}
_READ_STATUSES: Final = (401, 403, 404, 429, 500, 503)
_WRITE_STATUSES: Final = (400, 401, 403, 408, 409, 413, 429, 500, 503)
_NULL_FILTER: Final[Schema] = {"type": "string", "enum": ["null", "notnull"]}


def openapi_document(entities: Iterable[type[Entity]], extras: Iterable[Route]) -> dict[str, Any]:
    """The whole document."""
    builder = _DocumentBuilder()
    paths: dict[str, dict[str, Any]] = {}
    for entity in entities:
        paths |= builder.entity_paths(entity)
    paths["/api/utils/enums"] = {"get": _enums_operation()}
    paths["/api/auth/me"] = {"get": _me_operation()}
    for extra in extras:
        paths.setdefault(extra.path, {})[extra.method.lower()] = _extra_route_operation(extra)
    document = {
        "openapi": "3.1.0",
        "info": {
            "title": "creditdesk",
            "version": __version__,
            "description": "The credit ledger for coworking and flexible workspaces.",
        },
        "security": [{"bearer": []}, {"basic": []}],
        "paths": paths,
        "components": {
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "basic": {"type": "http", "scheme": "basic"},
            },
            "parameters": builder.parameters,
            "schemas": ERROR_SCHEMAS | builder.schemas,
            "responses": _shared_responses(),
        },
    }
    add_examples(document)
    return document


class _DocumentBuilder:
    """Collects the shared components while the paths are built."""

    def __init__(self) -> None:
        self.schemas: dict[str, Schema] = {}
        self.parameters: dict[str, Any] = dict(_COMMON_PARAMETERS)

    def entity_paths(self, entity: type[Entity]) -> dict[str, dict[str, Any]]:
        name, path = entity.__name__, entity.path()
        self._schemas_of(entity)
        on_collection: dict[str, Any] = {}
        on_record: dict[str, Any] = {"parameters": [_parameter("recordId")]}
        paths: dict[str, dict[str, Any]] = {path: on_collection}
        if "list" in entity.verbs:
            # The path with a slash serves the same list; the document describes only its batch form.
            paths[f"{path}/"] = {"get": _batch_operation(entity)}
            on_collection["get"] = self._list_operation(entity)
        if "create" in entity.verbs:
            on_collection["post"] = self._write_operation(entity, "create", (*_WRITE_STATUSES, 422))
        if "update" in entity.verbs:
            on_collection["put"] = self._write_operation(entity, "update", (*_WRITE_STATUSES, 404))
        if "get" in entity.verbs:
            on_record["get"] = _operation(entity, "get", _json(_schema(name)), _READ_STATUSES)
        if "update" in entity.verbs:
            on_record["put"] = self._write_operation(entity, "update", (*_WRITE_STATUSES, 404), suffix="ById")
        if "delete" in entity.verbs:
            content = _json(action_schema({"type": "integer", "format": "int64"}))
            on_record["delete"] = _operation(entity, "delete", content, (*_READ_STATUSES, 409, 413))
        return paths | {
            f"{path}/{{id}}": on_record,
            f"{path}/commands": {"get": _list_actions_operation(entity)},
            f"{path}/runcommand": {"post": _run_action_operation(entity)},
        }

    def _schemas_of(self, entity: type[Entity]) -> None:
        name = entity.__name__
        self.schemas[name] = record_schema(entity, with_collections=True)
        self.schemas[f"{name}Row"] = record_schema(entity, with_collections=False)
        self.schemas[f"{name}List"] = list_schema(_schema(f"{name}Row"))
        self.schemas[f"{name}Answer"] = action_schema(_schema(name))
        if "create" in entity.verbs:
            self.schemas[f"{name}Create"] = body_schema(entity, creating=True)
        if "update" in entity.verbs:
            by_id = body_schema(entity, creating=False)
            self.schemas[f"{name}UpdateById"] = by_id
            required = ["Id", *by_id.get("required", ())]
            self.schemas[f"{name}Update"] = by_id | {"required": required}

    def _list_operation(self, entity: type[Entity]) -> dict[str, Any]:
        name = entity.__name__
        filters = {found.name: found for found in entity.meta().filters.values()}
        for parameter, found in filters.items():
            self.parameters.setdefault(parameter, _filter_parameter(found))
        content = _json(_schema(f"{name}List"))
        operation = _operation(entity, "list", content, (400, 401, 403, 429, 500, 503))
        names = [*_PAGING, *filters]
        return operation | {"parameters": [_parameter(each) for each in names]}

    def _write_operation(
        self, entity: type[Entity], verb: Verb, statuses: Iterable[int], suffix: str = ""
    ) -> dict[str, Any]:
        name = entity.__name__
        operation = _operation(entity, verb, _json(_schema(f"{name}Answer")), statuses)
        operation["operationId"] += suffix
        example = example_body(entity, creating=verb == "create")
        if verb == "create":
            operation["parameters"] = [_parameter("Idempotency-Key")]
        elif not suffix:
            example = {"Id": 1} | example
        schema = _schema(f"{name}{verb.capitalize()}{suffix}")
        # Only one media type: code generators turn two with the same schema into code that does not run.
        content = {"application/json": {"schema": schema, "example": example}}
        body = {"description": _BODY_DESCRIPTION, "required": True, "content": content}
        return operation | {"requestBody": body}


_PAGING: Final = ("page", "size", "orderBy", "dir")
_BODY_DESCRIPTION: Final = (
    "JSON. A form (`application/x-www-form-urlencoded`) with the same fields is accepted too: a list is "
    "`[1,2]` or a repeated field, an empty field is null."
)
_INT64: Final[Schema] = {
    "type": "integer", "format": "int64", "minimum": -MAX_INTEGER, "maximum": MAX_INTEGER,
}  # fmt: skip
_COMMON_PARAMETERS: Final[dict[str, Any]] = {
    "recordId": {
        "name": "id",
        "in": "path",
        "required": True,
        "schema": _INT64 | {"minimum": 1, "maximum": MAX_INTEGER},
    },
    "page": {
        "name": "page",
        "in": "query",
        "description": "Counts from 1.",
        "schema": _INT64 | {"minimum": 1, "maximum": MAX_INTEGER, "default": 1},
    },
    "size": {
        "name": "size",
        "in": "query",
        "description": "Records per page, at most 10000; the setting `api.max_page_size` may lower that.",
        "schema": _INT64 | {"minimum": 1, "maximum": 10_000, "default": 25},
    },
    "orderBy": {
        "name": "orderBy",
        "in": "query",
        "description": "Any field of the record; the default order for an unknown one.",
        "schema": {"type": "string"},
    },
    "dir": {
        "name": "dir",
        "in": "query",
        "description": "1 or Ascending, -1 or Descending.",
        "schema": {"type": "string", "enum": ["1", "0", "-1", "Ascending", "Descending"]},
    },
    "Idempotency-Key": {
        "name": "Idempotency-Key",
        "in": "header",
        "description": "The same key and body return the first response again, byte for byte.",
        "schema": {"type": "string", "maxLength": 255},
    },
    "Id": {
        "name": "Id",
        "in": "query",
        "description": "The record with this id.",
        "schema": _INT64,
    },
    "batchIds": {
        "name": "id",
        "in": "query",
        "required": True,
        "description": "The ids of at most 1000 records, in the order to return them.",
        "schema": {"type": "string", "pattern": "^\\[(\\d{1,9}(,\\d{1,9})*)?\\]$"},
        "example": "[1,2,3]",
    },
}
_FILTER_DESCRIPTIONS: Final = {
    "equals": "Equal",
    "from": "At least, or at or after",
    "to": "At most, or at or before",
    "ids": "One of `[1,2,3]`",
    "custom": "Contains",
}
_MEMBER_DESCRIPTIONS: Final = {
    "equals": "Has this member",
    "from": "Has a member of at least (with the upper bound: between both)",
    "to": "Has a member of at most (with the lower bound: between both)",
}


def _filter_parameter(found: FilterParameter) -> dict[str, Any]:
    field = found.column.field
    description = f"{_FILTER_DESCRIPTIONS[found.variant]}: {found.column.name}."
    schema: Schema
    if found.variant == "ids":
        schema = {"type": "string", "pattern": "^\\[\\d{1,9}(,\\d{1,9})*\\]$"}
    elif isinstance(field, Collection):
        schema = dict(_INT64 | {"minimum": 1})
        description = f"{_MEMBER_DESCRIPTIONS[found.variant]}: {found.column.name}."
    elif isinstance(field, Scaled):
        schema = {"type": "number", "minimum": -1e9, "maximum": 1e9, "multipleOf": 0.01}
    else:
        schema = field_schema(field)
    if isinstance(field, Text) and not field.exact and not found.column.as_text:
        description = f"Contains this text, in any case: {found.column.name}."
    if isinstance(field, DateTime):
        description += " Minutes are enough; without a zone it is UTC."
    return {
        "name": found.name,
        "in": "query",
        "description": description,
        "schema": {"anyOf": [schema, _NULL_FILTER]},
    }


def _operation(entity: type[Entity], verb: Verb, content: dict[str, Any], statuses: Iterable[int]) -> dict[str, Any]:
    name = entity.__name__
    role = entity.roles[verb]
    return {
        "operationId": f"{verb}{name}",
        "tags": [name],
        "summary": f"{verb.capitalize()} {name}",
        "description": f"{(entity.__doc__ or '').strip()} Needs the role {role}.",
        "responses": _responses(content, statuses),
    }


def _batch_operation(entity: type[Entity]) -> dict[str, Any]:
    name = entity.__name__
    # Without a list of ids, the path with a slash returns the list, as the path without it does.
    batch = {"type": "array", "items": _schema(name)}
    content = _json({"anyOf": [batch, _schema(f"{name}List")]})
    return _operation(entity, "get", content, (400, 401, 403, 429, 500, 503)) | {
        "operationId": f"batch{name}",
        "summary": f"Get {name} records by id",
        "parameters": [_parameter("batchIds")],
    }


def _list_actions_operation(entity: type[Entity]) -> dict[str, Any]:
    listed = _json({"type": "array", "items": ACTION_DESCRIPTION_SCHEMA})
    return _operation(entity, "list", listed, (401, 403, 429, 500, 503)) | {
        "operationId": f"commandsOf{entity.__name__}",
        "summary": f"Commands of {entity.__name__}",
    }


def _run_action_operation(entity: type[Entity]) -> dict[str, Any]:
    parameter: Schema = {
        "type": "object",
        "properties": {"Name": {"type": "string"}, "Type": {"type": "string"}, "Value": {}},
        "required": ["Name", "Value"],
    }
    body: Schema = {
        "type": "object",
        "properties": {
            "Key": {"type": "string", "pattern": "\\S"},
            "Ids": {"type": "array", "items": _INT64 | {"minimum": 1}},
            "Parameters": {"type": ["array", "null"], "items": parameter},
        },
        "required": ["Key"],
    }
    return _operation(entity, "update", _json(action_schema({})), (*_WRITE_STATUSES, 422)) | {
        "operationId": f"run{entity.__name__}Command",
        "summary": f"Run a command on {entity.__name__}",
        "parameters": [_parameter("Idempotency-Key")],
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": body, "example": {"Key": "COMMAND_KEY", "Ids": [1]}}},
        },
    }


def _extra_route_operation(route: Route) -> dict[str, Any]:
    """What the route declares, completed with the responses and headers of its method."""
    is_write = route.method != "GET"
    statuses = (*_WRITE_STATUSES, 404, 422) if is_write else (400, *_READ_STATUSES)
    declared = dict(route.operation)
    content = {"content": declared.pop(SUCCESS_CONTENT)} if SUCCESS_CONTENT in declared else _json(action_schema({}))
    responses = _responses(content, (*statuses, *declared.pop(FURTHER_ERRORS, ())))
    operation: dict[str, Any] = {"responses": responses} | declared
    if is_write and not route.is_public:
        key = _parameter("Idempotency-Key")
        operation["parameters"] = [*route.operation.get("parameters", ()), key]
    name = operation.get("operationId", route.path.rsplit("/", 1)[1])
    name = name if route.is_public else f"{route.method.lower()}{name}"
    return operation | {"operationId": name}


def _enums_operation() -> dict[str, Any]:
    entry = {"type": "object", "properties": {"Id": _INT64, "Name": {"type": "string"}}}
    return {
        "operationId": "enums",
        "tags": ["utils"],
        "summary": "The values of a numbered list",
        "parameters": [
            {
                "name": "name",
                "in": "query",
                "required": True,
                "schema": {"type": "string"},
                "example": "eChargePeriod",
            }
        ],
        "responses": _responses(_json({"type": "array", "items": entry}), (400, 401, 404, 429, 500, 503)),
    }


def _me_operation() -> dict[str, Any]:
    return {
        "operationId": "signedIn",
        "tags": ["auth"],
        "summary": "The signed-in user",
        "responses": _responses(_json(_schema("User")), (401, 404, 429, 500, 503)),
    }


def _responses(content: dict[str, Any], statuses: Iterable[int]) -> dict[str, Any]:
    responses: dict[str, Any] = {"200": {"description": "Success."} | content}
    shared = {str(s): {"$ref": f"#/components/responses/{s}"} for s in sorted(set(statuses))}
    return responses | shared


def _shared_responses() -> dict[str, Any]:
    shapes = {404: "NotFound", 500: "Fault"}
    shared: dict[str, Any] = {
        str(status): {"description": description} | _json(_schema(shapes.get(status, "Failure")))
        for status, description in _STATUS_DESCRIPTIONS.items()
    }
    shared["401"]["headers"] = {"WWW-Authenticate": {"schema": {"type": "string"}}}
    for status in ("429", "503"):
        shared[status]["headers"] = {"Retry-After": {"schema": {"type": "integer"}}}
    properties = {"error": {"type": "string"}, "error_description": {"type": "string"}}
    refused = {"type": "object", "properties": properties, "required": ["error"]}
    shared["GrantRefused"] = {"description": "No tokens were issued."} | _json(refused)
    return shared


def _json(schema: Schema) -> dict[str, Any]:
    return {"content": {"application/json": {"schema": schema}}}


def _schema(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def _parameter(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/parameters/{name}"}
