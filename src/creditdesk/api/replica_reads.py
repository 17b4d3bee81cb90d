"""Routes requests to a read replica: reads that send a position, and reports if a setting allows it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from creditdesk.api.browser_requests import SAFE_METHODS
from creditdesk.api.context import ApiContext, Replica, ReplicaUse, Route
from creditdesk.telemetry.store import TimedStore

POSITION_HEADER: Final = "X-Creditdesk-Position"
"""A write's response has it; a read that sends it sees at least the state after that write."""


class ReplicaReads:
    """Chooses between the primary and a replica for each request."""

    def __init__(self, api: ApiContext, replica: Replica) -> None:
        self._replica = replica
        self._primary = api
        self._on_replica = replace(api, store=TimedStore(replica.store))

    async def handle(
        self, route: Route, request: Request, handler: Callable[[ApiContext], Awaitable[Response]]
    ) -> Response:
        """The response of the handler, over the replica or the primary."""
        if route.method not in SAFE_METHODS:
            response = await handler(self._primary)
            if position := await self._replica.written():
                response.headers[POSITION_HEADER] = position
            return response
        if await self._serves(route, request.headers.get(POSITION_HEADER)):
            try:
                return await handler(self._on_replica)
            except self._primary.transient_errors:
                self._replica.rest()
        return await handler(self._primary)

    async def _serves(self, route: Route, position: str | None) -> bool:
        if route.replica is ReplicaUse.NEVER:
            return False
        if position is not None:
            return await self._replica.has_reached(position, POSITION_HEADER)
        return route.replica is ReplicaUse.REPORT and self._primary.reports_on_replica
