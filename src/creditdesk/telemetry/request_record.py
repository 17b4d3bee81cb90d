"""The record of the current request, for its log line and metrics."""

from __future__ import annotations

from collections.abc import Iterator
from contextvars import ContextVar
from itertools import count
from secrets import token_hex
from typing import Final

from msgspec import Struct

SCOPE_KEY: Final = "creditdesk.request"
"""The key of the record in the ASGI scope of a request from the network."""

UNKNOWN_ROUTE: Final = "unknown"


class RequestRecord(Struct, gc=False):
    """One request. `request_id` is ASCII; `key` is a digest of its idempotency key."""

    request_id: bytes
    trace_parent: str | None
    route: str = UNKNOWN_ROUTE
    status: int = 0
    user_id: int | None = None
    key: str | None = None
    batch: int = 0
    database_seconds: float = 0.0

    @property
    def trace_id(self) -> str | None:
        """The trace that the client's `traceparent` names."""
        return self.trace_parent[3:35] if self.trace_parent else None


current_request: Final[ContextVar[RequestRecord | None]] = ContextVar("current_request", default=None)
"""The request on whose behalf the code runs; None in jobs and commands."""


def new_request_ids() -> Iterator[bytes]:
    """Request ids that are unique over all processes.

    Workers are forked from one process, so each must call this itself.
    """
    return map((token_hex(5).encode() + b"-%x").__mod__, count(1))
