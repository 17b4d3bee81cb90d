"""Records denials of signed-in users, and the files that they download, in the audit trail (rule 39)."""

from __future__ import annotations

import logging
from collections import Counter
from datetime import datetime, timedelta
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from creditdesk.api.context import ApiContext, Route
from creditdesk.auth.audit_trail import AuditAction, AuditEvent, record_event
from creditdesk.schema.errors import PermissionDenied
from creditdesk.schema.service import RequestContext

DENIALS_PER_HOUR: Final = 20
"""The most denials of one user that a process records in an hour, one for each method and path."""
MAX_QUERY_LENGTH: Final = 500
_HOUR: Final = timedelta(hours=1)
_logger = logging.getLogger(__name__)


def is_file(response: Response) -> bool:
    """Whether a response is a file to download."""
    return b"content-disposition" in dict(response.raw_headers)


class AccessTrail:
    """Writes to the primary store, also for requests that a replica served."""

    def __init__(self, api: ApiContext) -> None:
        self._api = api
        self._hour_ends: datetime | None = None
        self._recorded: set[tuple[int, str, str]] = set()
        self._counts: Counter[int] = Counter()

    async def record_denial(self, context: RequestContext, route: Route, error: PermissionDenied) -> None:
        """Records a denial; ignores more than `DENIALS_PER_HOUR` of one user."""
        if self._hour_ends is None or context.now >= self._hour_ends:
            self._hour_ends = context.now + _HOUR
            self._recorded.clear()
            self._counts.clear()
        user_id = context.principal.user_id
        key = (user_id, route.method, route.path)
        if key in self._recorded or self._counts[user_id] >= DENIALS_PER_HOUR:
            return
        self._recorded.add(key)
        self._counts[user_id] += 1
        details = {"Method": route.method, "Path": route.path, "Reason": error.message}
        try:
            await self._record(context, AuditAction.REFUSED, details)
        except self._api.transient_errors:
            # The request is denied in any case, and nothing happened that must be on record.
            _logger.warning("a denial could not be recorded", exc_info=True)

    async def record_file(self, context: RequestContext, route: Route, request: Request) -> None:
        """Records a response that is a file. If this fails, so does the download."""
        details = {"Path": route.path, "Query": request.url.query[:MAX_QUERY_LENGTH]}
        await self._record(context, AuditAction.EXPORTED, details)

    async def _record(self, context: RequestContext, action: AuditAction, details: dict[str, str]) -> None:
        principal = context.principal
        event = AuditEvent(action, principal.email, principal.user_id, context.address, details=details)
        async with self._api.store.write_session() as session:
            await record_event(session, event, context.now)
