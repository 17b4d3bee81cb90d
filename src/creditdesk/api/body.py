"""A request's body as named values: JSON or a form, within the limit.

Must not know entities or what the values mean.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final
from urllib.parse import parse_qsl

import msgspec
from starlette.requests import Request

from creditdesk.api.error_handlers import BodyTooLarge
from creditdesk.schema.errors import invalid_field

_DECODER: Final = msgspec.json.Decoder(float_hook=Decimal)


async def read_body_bytes(request: Request, limit_bytes: int) -> bytes:
    """The body's bytes; TooLarge past the limit, without reading what follows."""
    told = request.headers.get("content-length", "")
    if told.isdigit() and int(told) > limit_bytes:
        raise _body_too_large(limit_bytes)
    parts: list[bytes] = []
    size = 0
    async for part in request.stream():
        size += len(part)
        if size > limit_bytes:
            raise _body_too_large(limit_bytes)
        parts.append(part)
    return b"".join(parts)


def parse_body(body: bytes, content_type: str) -> dict[str, Any]:
    """A JSON object, or a form whose repeated names become lists; Invalid for anything else.

    Decimals are read exactly.
    """
    if "form-urlencoded" in content_type.lower():
        return _parse_form(body)
    if not body.strip():
        raise invalid_field("Body", "must be a JSON object")
    try:
        value = _DECODER.decode(body)
    except (ValueError, RecursionError):
        raise invalid_field("Body", "is not well-formed JSON") from None
    if not isinstance(value, dict):
        raise invalid_field("Body", "must be a JSON object")
    return value


def _parse_form(body: bytes) -> dict[str, Any]:
    try:
        pairs = parse_qsl(body.decode("utf-8"), keep_blank_values=True, max_num_fields=5000)
    except ValueError:
        raise invalid_field("Body", "is not a well-formed form") from None
    values: dict[str, Any] = {}
    for name, value in pairs:
        before = values.get(name)
        if before is None:
            values[name] = value
        else:
            values[name] = [*before, value] if isinstance(before, list) else [before, value]
    return values


def _body_too_large(limit_bytes: int) -> BodyTooLarge:
    return BodyTooLarge(f"The body is larger than {limit_bytes} bytes")
