"""Request bodies: read once within a limit, then parsed as JSON or as a form."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any, Final
from urllib.parse import parse_qsl

import msgspec
from starlette.requests import Request

from creditdesk.api.error_handlers import BodyTimeout, BodyTooLarge
from creditdesk.api.origin import first_header
from creditdesk.schema.errors import invalid_field

MAX_FORM_FIELDS: Final = 5000
FORM_SECONDS: Final = 30.0
"""The time in which the form of a page must arrive, in seconds."""
_BODY_KEY: Final = "creditdesk.body"
"""The key of the request's scope that keeps the body, for a handler that is retried."""
_DECODER: Final = msgspec.json.Decoder(float_hook=Decimal)


async def read_body(request: Request, max_bytes: int, max_seconds: float = FORM_SECONDS) -> bytes:
    """The bytes of the body, also when called again.

    Raises BodyTooLarge without reading past the limit, and BodyTimeout.
    """
    kept: bytes | None = request.scope.get(_BODY_KEY)
    if kept is not None:
        return kept
    task = asyncio.current_task()
    assert task is not None
    is_late = False

    def stop() -> None:
        nonlocal is_late
        is_late = True
        task.cancel()

    # `asyncio.timeout` takes four times as long, and every write would pay for it.
    timer = asyncio.get_running_loop().call_later(max_seconds, stop)
    try:
        body = request.scope[_BODY_KEY] = await _read_stream(request, max_bytes)
    except asyncio.CancelledError:
        if is_late and task.uncancel() == 0:
            raise BodyTimeout(f"The body did not arrive within {max_seconds:g} seconds") from None
        raise
    finally:
        timer.cancel()
    return body


async def _read_stream(request: Request, max_bytes: int) -> bytes:
    declared = first_header(request.scope, b"content-length") or ""
    if declared.isdecimal() and int(declared) > max_bytes:
        raise _too_large(max_bytes)
    chunks: list[bytes] = []
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > max_bytes:
            raise _too_large(max_bytes)
        chunks.append(chunk)
    return b"".join(chunks)


def parse_body(body: bytes, content_type: str) -> dict[str, Any]:
    """A JSON object, or a form whose repeated names become lists. Raises ValidationError.

    JSON numbers with a fraction are exact decimals.
    """
    if "form-urlencoded" in content_type.lower():
        return parse_form(body)
    if not body.strip():
        raise invalid_field("Body", "must be a JSON object")
    try:
        value = _DECODER.decode(body)
    except (ValueError, RecursionError):
        raise invalid_field("Body", "is not well-formed JSON") from None
    if not isinstance(value, dict):
        raise invalid_field("Body", "must be a JSON object")
    return value


def parse_form(body: bytes, max_fields: int = MAX_FORM_FIELDS) -> dict[str, Any]:
    """The fields of a form; repeated names become lists. Raises ValidationError."""
    try:
        pairs = parse_qsl(body.decode(), keep_blank_values=True, errors="strict", max_num_fields=max_fields)
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


def _too_large(max_bytes: int) -> BodyTooLarge:
    return BodyTooLarge(f"The body is larger than {max_bytes} bytes")
