"""OpenAPI operations of the audit paths."""

from __future__ import annotations

from typing import Any, Final

PEM_MEDIA_TYPE: Final = "application/x-pem-file"


def _query_parameter(name: str, schema: dict[str, Any], *, required: bool = False) -> dict[str, Any]:
    return {"name": name, "in": "query", "required": required, "schema": schema}


def _operation(
    name: str, summary: str, content: dict[str, Any], parameters: list[dict[str, Any]], *errors: int
) -> dict[str, Any]:
    shared = {str(s): {"$ref": f"#/components/responses/{s}"} for s in (*errors, 401, 403, 429)}
    return {
        "operationId": name,
        "tags": ["ledger"],
        "summary": summary,
        "parameters": parameters,
        "responses": {"200": {"description": "Success.", "content": content}, **shared},
    }


_POSITIVE: Final[dict[str, Any]] = {"type": "integer", "minimum": 1}
_HEX: Final[dict[str, Any]] = {"type": "string", "pattern": "^[0-9a-f]{64}$", "examples": ["0f" * 32]}
_CHECKPOINT: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {
        "format": {"const": "creditdesk-checkpoint-1"},
        "created_microseconds": {"type": "integer"},
        "credits": {"type": "integer"},
        "lines": {"type": "integer"},
        "root": _HEX,
        "previous": _HEX,
        "key_fingerprint": _HEX,
        "signature": {"type": "string", "pattern": "^[0-9a-f]{128}$", "examples": ["0f" * 64]},
    },
    "required": ["format", "created_microseconds", "credits", "lines", "root", "previous",
                 "key_fingerprint", "signature"],
}  # fmt: skip
_PROOF: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {
        "format": {"const": "creditdesk-proof-1"},
        "line": {"type": "object"},
        "previous": _HEX,
        "digest": _HEX,
        "following": {"type": "array", "items": _HEX},
        "head": _HEX,
        "blind": _HEX,
        "index": {"type": "integer", "minimum": 0},
        "path": {"type": "array", "items": _HEX},
        "checkpoint": _CHECKPOINT,
    },
    "required": ["format", "line", "previous", "digest", "following", "head", "blind", "index",
                 "path", "checkpoint"],
}  # fmt: skip
_PAGE: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {
        "Records": {"type": "array", "items": _CHECKPOINT},
        "CurrentPage": {"type": "integer"},
        "PageSize": {"type": "integer"},
        "TotalItems": {"type": "integer"},
        "HasNextPage": {"type": "boolean"},
    },
    "required": ["Records", "CurrentPage", "PageSize", "TotalItems", "HasNextPage"],
}


def _json_content(schema: dict[str, Any]) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}


AUDIT_OPERATIONS: Final = {
    "/api/ledger/proofs/{id}": _operation(
        "proofOfLine",
        "The proof of a journal entry, for the stand-alone verifier",
        _json_content(_PROOF),
        [{"name": "id", "in": "path", "required": True, "schema": _POSITIVE}],
        404,
        409,
    ),
    "/api/ledger/proofs": _operation(
        "proofOfUse",
        "The proof of the journal entry that a use-history row shows",
        _json_content(_PROOF),
        [
            _query_parameter("history", _POSITIVE, required=True),
            _query_parameter("kind", {"type": "string", "enum": ["money", "time"]}, required=True),
        ],
        400,
        404,
        409,
    ),
    "/api/ledger/checkpoints": _operation(
        "checkpoints",
        "The signed checkpoints of the whole ledger, newest first",
        _json_content(_PAGE),
        [_query_parameter("page", _POSITIVE), _query_parameter("size", _POSITIVE)],
        400,
    ),
    "/api/ledger/checkpoints/key": _operation(
        "checkpointKey",
        "The public key of the newest checkpoint, or the one with a fingerprint, as PEM",
        {PEM_MEDIA_TYPE: {"schema": {"type": "string"}}},
        [_query_parameter("fingerprint", _HEX)],
        404,
    ),
}
"""The operation of each path."""
