"""`/api/reports/closings`: the state of a location's months, and previewing, closing and reopening one."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from datetime import date
from http import HTTPStatus
from typing import Any, Final, Protocol

from starlette.requests import Request
from starlette.responses import Response

from creditdesk.api.context import ApiContext, Route
from creditdesk.api.ledger.endpoints import LedgerPost, ParsedLedgerWrite, result_body
from creditdesk.api.openapi_operations import read_operation, write_operation
from creditdesk.api.responses import JsonBytesResponse
from creditdesk.auth.permission import require_named_role
from creditdesk.entities.roles import CORRECT_ROLE, REPORTS_ROLE
from creditdesk.ledger.idempotency import SavedResponse, find_response, save_responses
from creditdesk.schema.actions import ActionResult
from creditdesk.schema.errors import StateConflict
from creditdesk.schema.fields import Integer, Text
from creditdesk.schema.params import Param, Params
from creditdesk.schema.repository import WriteSession
from creditdesk.schema.service import RequestContext

LOCATION: Final = Param("LocationId", Integer(minimum=1), required=True)
MONTH: Final = Param("Month", required=True, description="Such as 2026-10; by the location's clock.")
REOPEN_REASON: Final = Param("Reason", Text(max_length=1000), required=True)
_MONTH_TEXT: Final = re.compile(r"(19|[2-9]\d)\d\d-(0[1-9]|1[0-2])", re.ASCII)
_LAST_YEAR: Final = 9990
_EXAMPLE: Final = {"LocationId": 1, "Month": "2026-10"}


class MonthCloser(Protocol):
    """Closes months. Every method raises ValidationError for a location that the caller does not see."""

    async def months(self, context: RequestContext) -> list[dict[str, Any]]:
        """The months of the caller's locations with their state, latest first."""

    async def preview(self, context: RequestContext, location_id: int, month: date) -> dict[str, Any]:
        """What closing the month would do, and what prevents it."""

    async def close(
        self,
        context: RequestContext,
        location_id: int,
        month: date,
        record_answer: Callable[[WriteSession, dict[str, Any]], Awaitable[None]],
    ) -> None:
        """Closes a month. Raises StateConflict.

        Calls `record_answer` with the checkpoint and the documents with their hashes, in the same transaction.
        """

    async def reopen(
        self,
        context: RequestContext,
        location_id: int,
        month: date,
        reason: str,
        record_answer: Callable[[WriteSession], Awaitable[None]],
    ) -> None:
        """Reopens a closed month; calls `record_answer` in the same transaction. Raises StateConflict."""


def closing_routes(closer: MonthCloser) -> tuple[Route, ...]:
    """The paths of closings: reads need the role of reports, writes that of corrections."""
    path = "/api/reports/closings"
    named = (LOCATION, MONTH)

    async def close(params: Params, context: RequestContext, answer: _RecordResult) -> None:
        async def record(session: WriteSession, closed: dict[str, Any]) -> None:
            message = f"{params[MONTH]} is closed under checkpoint {closed['Checkpoint']}."
            await answer(session, ActionResult(message, closed))

        await closer.close(context, params[LOCATION], _month(params), record)

    async def reopen(params: Params, context: RequestContext, answer: _RecordResult) -> None:
        async def record(session: WriteSession) -> None:
            await answer(session, ActionResult(f"{params[MONTH]} is open again."))

        await closer.reopen(context, params[LOCATION], _month(params), params[REOPEN_REASON], record)

    async def months(_params: Params, context: RequestContext) -> ActionResult:
        return ActionResult("", await closer.months(context))

    async def preview(params: Params, context: RequestContext) -> ActionResult:
        return ActionResult("", await closer.preview(context, params[LOCATION], _month(params)))

    return (
        Route("GET", path, _ClosingRead((), months), read_operation(path, "List months and their state", REPORTS_ROLE, ())),
        Route(
            "GET",
            f"{path}/preview",
            _ClosingRead(named, preview),
            read_operation(f"{path}/preview", "Preview the closing of a month", REPORTS_ROLE, named),
        ),
        Route(
            "POST",
            path,
            _ClosingWrite(named, close),
            write_operation(path, "Close a month of a location", CORRECT_ROLE, named, _EXAMPLE),
        ),
        Route(
            "POST",
            f"{path}/reopen",
            _ClosingWrite((*named, REOPEN_REASON), reopen),
            write_operation(
                f"{path}/reopen", "Open a closed month again", CORRECT_ROLE, (*named, REOPEN_REASON),
                {**_EXAMPLE, "Reason": "A late invoice"},
            ),
        ),
    )  # fmt: skip


_Run = Callable[[Params, RequestContext], Awaitable[ActionResult]]
_RecordResult = Callable[[WriteSession, ActionResult], Awaitable[None]]
_RunWrite = Callable[[Params, RequestContext, _RecordResult], Awaitable[None]]


class _ClosingRead:
    """A GET that opens its own sessions."""

    def __init__(self, params: tuple[Param, ...], run: _Run) -> None:
        self._params = params
        self._run = run

    async def __call__(self, _api: ApiContext, request: Request, context: RequestContext, _id: int) -> Response:
        require_named_role(context.principal, REPORTS_ROLE)
        params = Params(self._params, request.query_params)
        if self._params:
            _check_month(params)
        params.raise_errors()
        return JsonBytesResponse(result_body(await self._run(params, context), context))


class _ClosingWrite(LedgerPost):
    """A POST of several transactions, the last of which stores the response with its idempotency key."""

    def __init__(self, params: tuple[Param, ...], run: _RunWrite) -> None:
        super().__init__(CORRECT_ROLE, params, _check_month)
        self._run = run

    async def submit(
        self,
        api: ApiContext,
        parsed: ParsedLedgerWrite,
        context: RequestContext,
        fingerprint: str,
    ) -> SavedResponse:
        answers: list[SavedResponse] = []

        async def record(session: WriteSession, result: ActionResult) -> None:
            answers.append(SavedResponse(HTTPStatus.OK, result_body(result, context)))
            await save_responses(session, [(context, fingerprint, answers[-1])])

        stored = await _stored_answer(api, context, fingerprint)
        if stored is not None:
            return stored
        try:
            await self._run(parsed.params, context, record)
        except StateConflict:
            # A concurrent request with the same key may have come first.
            stored = await _stored_answer(api, context, fingerprint)
            if stored is None:
                raise
            return stored
        return answers[-1]


async def _stored_answer(api: ApiContext, context: RequestContext, fingerprint: str) -> SavedResponse | None:
    async with api.store.read_session() as session:
        return await find_response(session, context, fingerprint)


def _check_month(params: Params) -> None:
    text = params[MONTH]
    if text and not (_MONTH_TEXT.fullmatch(text) and int(text[:4]) <= _LAST_YEAR):
        params.add_error(MONTH, "must be a month such as 2026-10")


def _month(params: Params) -> date:
    return date.fromisoformat(f"{params[MONTH]}-01")
