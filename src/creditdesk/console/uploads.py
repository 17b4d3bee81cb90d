"""Forms that carry a file, read as they arrive and within a limit."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from creditdesk.api.body import FORM_SECONDS
from creditdesk.api.error_handlers import BodyTimeout, BodyTooLarge
from creditdesk.schema.errors import invalid_field

_MAX_FIELDS: Final = 200


class _UploadTooLarge(MultiPartException):
    """The parser closes its files on errors of its own kind alone."""


@dataclass(slots=True)
class UploadForm:
    """The text fields of a form, and the uploaded file; a large one is on the disk."""

    fields: dict[str, str] = field(default_factory=dict)
    file: UploadFile | None = None


@asynccontextmanager
async def read_upload(request: Request, max_bytes: int, max_text_bytes: int) -> AsyncIterator[UploadForm]:
    """Reads a multipart form; its file is removed when the block ends.

    Raises BodyTooLarge, BodyTimeout or ValidationError.
    """
    parsed = await _parse(request, max_bytes, max_text_bytes)
    try:
        form = UploadForm()
        for name, value in parsed.multi_items():
            if isinstance(value, str):
                form.fields[name] = value
            elif value.filename:
                form.file = value
        yield form
    finally:
        await parsed.close()


async def _parse(request: Request, max_bytes: int, max_text_bytes: int) -> FormData:
    stream = _limited(request, max_bytes)
    try:
        parser = MultiPartParser(
            request.headers, stream, max_files=1, max_fields=_MAX_FIELDS, max_part_size=max_text_bytes
        )
        async with asyncio.timeout(FORM_SECONDS):
            return await parser.parse()
    except TimeoutError:
        raise BodyTimeout(f"The body did not arrive within {FORM_SECONDS:g} seconds") from None
    except _UploadTooLarge:
        raise BodyTooLarge(f"The body is larger than {max_bytes} bytes") from None
    except (MultiPartException, KeyError, ValueError):
        raise invalid_field("Body", "is not a well-formed form") from None


async def _limited(request: Request, max_bytes: int) -> AsyncGenerator[bytes]:
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > max_bytes:
            raise _UploadTooLarge("too large")
        yield chunk
