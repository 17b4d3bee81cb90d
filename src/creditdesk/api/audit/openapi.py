"""Schemas of checkpoints and proofs in the OpenAPI document."""

from __future__ import annotations

from typing import Any, Final

from creditdesk.api.openapi_operations import page_schema

DIGEST_SCHEMA: Final[dict[str, Any]] = {"type": "string", "pattern": "^[0-9a-f]{64}$", "examples": ["0f" * 32]}
_CHECKPOINT: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {
        "format": {"const": "creditdesk-checkpoint-1"},
        "created_microseconds": {"type": "integer"},
        "credits": {"type": "integer"},
        "lines": {"type": "integer"},
        "root": DIGEST_SCHEMA,
        "previous": DIGEST_SCHEMA,
        "key_fingerprint": DIGEST_SCHEMA,
        "signature": {"type": "string", "pattern": "^[0-9a-f]{128}$", "examples": ["0f" * 64]},
    },
    "required": ["format", "created_microseconds", "credits", "lines", "root", "previous",
                 "key_fingerprint", "signature"],
}  # fmt: skip
PROOF_SCHEMA: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {
        "format": {"const": "creditdesk-proof-1"},
        "line": {"type": "object"},
        "previous": DIGEST_SCHEMA,
        "digest": DIGEST_SCHEMA,
        "following": {"type": "array", "items": DIGEST_SCHEMA},
        "head": DIGEST_SCHEMA,
        "blind": DIGEST_SCHEMA,
        "index": {"type": "integer", "minimum": 0},
        "path": {"type": "array", "items": DIGEST_SCHEMA},
        "checkpoint": _CHECKPOINT,
    },
    "required": ["format", "line", "previous", "digest", "following", "head", "blind", "index",
                 "path", "checkpoint"],
}  # fmt: skip
CHECKPOINT_PAGE_SCHEMA: Final = page_schema(_CHECKPOINT)
