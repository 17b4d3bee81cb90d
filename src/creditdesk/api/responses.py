"""An answer in JSON as the server takes it. Must not know what it says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from starlette.responses import Response

_CONTENT_TYPE_JSON: Final = (b"content-type", b"application/json")


class JsonBytesResponse(Response):
    """A body that is JSON already. Its headers are bytes from the start."""

    def __init__(
        self, body: bytes, status: int = 200, headers: Mapping[str, str] | None = None
    ) -> None:
        self.status_code = status
        self.body = body
        self.background = None
        self.raw_headers = [(b"content-length", b"%d" % len(body)), _CONTENT_TYPE_JSON]
        if headers:
            self.raw_headers[:0] = [
                (name.lower().encode("latin-1"), value.encode("latin-1"))
                for name, value in headers.items()
            ]
