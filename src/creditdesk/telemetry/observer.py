"""Observes every request from the network: metrics, a log line, and an id in the response."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Awaitable, Callable
from time import perf_counter
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from creditdesk.telemetry.metrics import (
    REQUEST_SECONDS,
    REQUESTS,
    REQUESTS_IN_PROGRESS,
    SECONDS_BUCKETS,
    SECONDS_SUM,
    SLOTS,
)
from creditdesk.telemetry.request_record import SCOPE_KEY, RequestRecord, current_request, new_request_ids

CLOSED_BY_CLIENT: Final = 499
"""The status of a request whose client disconnected before its response began."""

METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
"""Any other method is counted as `other`."""

_ID_HEADERS: Final = frozenset({b"x-request-id", b"traceparent"})
_REQUEST_ID: Final = re.compile(rb"[A-Za-z0-9._:/+=-]{1,64}")
_TRACE_PARENT: Final = re.compile(rb"00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")

RequestListener = Callable[[str, RequestRecord, float], None]
"""Called with the method, the record and the duration in seconds of each finished request."""


class RequestObserver:
    """ASGI middleware that observes the requests of an application.

    Uses a client's `X-Request-Id` if it has at most 64 letters, digits and signs; `traceparent` names the trace. The
    response has the id in `X-Request-Id`.
    """

    def __init__(self, app: ASGIApp, listener: RequestListener | None = None) -> None:
        self._app = app
        self._listener = listener
        self._in_progress = REQUESTS_IN_PROGRESS.place()
        self._request_ids = new_request_ids()
        # The places of a request's counter and histogram: two look-ups and their labels become one.
        self._places: dict[tuple[str, str, int], tuple[int, int]] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # Every request pays for this, and each call of a function is a tenth of a microsecond: nothing is split off.
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = perf_counter()
        request_id = trace_parent = None
        for name, value in scope["headers"]:
            if name in _ID_HEADERS:
                if name == b"traceparent":
                    trace_parent = value.decode() if _TRACE_PARENT.fullmatch(value) else None
                else:
                    request_id = value if _REQUEST_ID.fullmatch(value) else None
        record = scope[SCOPE_KEY] = RequestRecord(request_id or next(self._request_ids), trace_parent)
        current_request.set(record)

        def send_observed(message: Message) -> Awaitable[None]:
            if message["type"] == "http.response.start":
                record.status = message["status"]
                message["headers"] = [*message["headers"], (b"x-request-id", record.request_id)]
            return send(message)

        values = SLOTS.values
        values[self._in_progress] += 1
        try:
            await self._app(scope, receive, send_observed)
        finally:
            seconds = perf_counter() - started
            try:
                counter, histogram = self._places[scope["method"], record.route, record.status]
            except KeyError:
                counter, histogram = self._find_places(scope["method"], record)
            values[self._in_progress] -= 1
            values[counter] += 1
            values[histogram + bisect_left(SECONDS_BUCKETS, seconds)] += 1
            values[histogram + SECONDS_SUM] += seconds
            if self._listener is not None:
                self._listener(scope["method"] if scope["method"] in METHODS else "other", record, seconds)

    def _find_places(self, method: str, record: RequestRecord) -> tuple[int, int]:
        """The places of the first request of its kind. Sets the status of a request without a response."""
        record.status = record.status or CLOSED_BY_CLIENT
        known = method if method in METHODS else "other"
        places = REQUESTS.place(known, record.route, str(record.status)), REQUEST_SECONDS.place(known, record.route)
        if known == method:
            self._places[method, record.route, record.status] = places
        return places
