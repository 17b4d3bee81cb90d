"""Observes every request that comes over the network: metrics, a log line, an id in the response."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable
from time import perf_counter
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from creditdesk.telemetry.metrics import REQUEST_SECONDS, REQUESTS, REQUESTS_IN_PROGRESS, SLOTS
from creditdesk.telemetry.request_record import SCOPE_KEY, RequestRecord, current_request, new_request_id

CLOSED_BY_CLIENT: Final = 499
"""Stands in the place of a status where the client disconnected before its response began."""

METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
"""Any other method is counted as `other`."""

_REQUEST_ID: Final = re.compile(rb"[A-Za-z0-9._:/+=-]{1,64}")
_TRACE_PARENT: Final = re.compile(rb"00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")

RequestListener = Callable[[str, RequestRecord, float], None]
"""Gets the method, the record and the duration in seconds of each request that has ended."""


class RequestObserver:
    """The ASGI application in front of another one.

    A client's `X-Request-Id` is taken where it is at most 64 letters, digits and signs; `traceparent` names the
    trace. The response has the id in `X-Request-Id`.
    """

    def __init__(self, app: ASGIApp, listener: RequestListener | None = None) -> None:
        self._app = app
        self._listener = listener
        self._in_progress = REQUESTS_IN_PROGRESS.place()
        # The places of a request's counter and histogram: two look-ups and their labels become one.
        self._places: dict[tuple[str, str, int], tuple[int, int]] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = perf_counter()
        record = scope[SCOPE_KEY] = _new_record(scope["headers"])
        current_request.set(record)

        def send_observed(message: Message) -> Awaitable[None]:
            if message["type"] == "http.response.start":
                record.status = message["status"]
                message["headers"] = [*message["headers"], (b"x-request-id", record.request_id)]
            return send(message)

        SLOTS.values[self._in_progress] += 1
        try:
            await self._app(scope, receive, send_observed)
        finally:
            self._finish(scope["method"], record, perf_counter() - started)

    def _finish(self, method: str, record: RequestRecord, seconds: float) -> None:
        if method not in METHODS:
            method = "other"
        status = record.status = record.status or CLOSED_BY_CLIENT
        places = self._places.get((method, record.route, status))
        if places is None:
            places = REQUESTS.place(method, record.route, str(status)), REQUEST_SECONDS.place(method, record.route)
            self._places[method, record.route, status] = places
        values = SLOTS.values
        values[self._in_progress] -= 1
        values[places[0]] += 1
        REQUEST_SECONDS.observe_at(places[1], seconds)
        if self._listener is not None:
            self._listener(method, record, seconds)


def _new_record(headers: Iterable[tuple[bytes, bytes]]) -> RequestRecord:
    request_id = trace_parent = None
    for name, value in headers:
        if name == b"x-request-id":
            request_id = value if _REQUEST_ID.fullmatch(value) else None
        elif name == b"traceparent" and _TRACE_PARENT.fullmatch(value):
            trace_parent = value.decode()
    return RequestRecord(request_id or new_request_id(), trace_parent)
