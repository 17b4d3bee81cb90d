"""`GET /api/reports/{name}`: every report, as JSON or as a file."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from functools import partial
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from creditdesk.api.context import API_LANGUAGE, ApiContext, ReplicaUse, Route
from creditdesk.api.ledger.endpoints import LedgerWrite, WriteRequest
from creditdesk.api.openapi_operations import write_operation
from creditdesk.api.reports.openapi import report_operation
from creditdesk.api.responses import json_response
from creditdesk.auth.permission import require_named_role
from creditdesk.entities.roles import CORRECT_ROLE, REPORTS_ROLE
from creditdesk.ledger.journal.transaction import LedgerContext
from creditdesk.reports.acknowledgements import EXCEPTION_KEY, NOTE, acknowledge
from creditdesk.reports.catalog import REPORTS, run_report
from creditdesk.reports.documents import report_document
from creditdesk.reports.files import FILE_FORMATS, FORMAT, LANGUAGE, PAGE_NUMBER, PAGE_SIZE
from creditdesk.reports.request import ReportRequest, parse_report_request
from creditdesk.reports.result import Wording
from creditdesk.schema.actions import ActionResult
from creditdesk.schema.params import Params
from creditdesk.schema.repository import ReadSession
from creditdesk.schema.service import RequestContext

_EXAMPLE: Final = {"Key": "1:override:money/12/3:25000", "Note": "Agreed with the customer"}
MAX_CONCURRENT_REPORTS: Final = 2
"""The number of reports that one process computes at a time; more have to wait."""


def report_routes(ledger: LedgerContext) -> tuple[Route, ...]:
    """One path for each report, for callers with the role that reads reports, and that of acknowledgements."""
    turns = asyncio.Semaphore(MAX_CONCURRENT_REPORTS)
    path = "/api/reports/exceptions/acknowledgements"
    params = (EXCEPTION_KEY, NOTE)
    return (
        *(
            Route(
                "GET",
                f"/api/reports/{name}",
                partial(_get_report, name, turns, ledger),
                report_operation(name, kind),
                replica=ReplicaUse.REPORT,
            )
            for name, kind in REPORTS.items()
        ),
        Route(
            "POST",
            path,
            LedgerWrite(ledger, CORRECT_ROLE, params, _acknowledge),
            write_operation(path, "Accept an exception, with a note", CORRECT_ROLE, params, _EXAMPLE),
        ),
    )


async def _acknowledge(request: WriteRequest) -> ActionResult:
    params = request.params
    record_id = await acknowledge(request.session, params[EXCEPTION_KEY], params[NOTE], request.context)
    return ActionResult("The exception was acknowledged.", {"Id": record_id})


async def _get_report(
    name: str,
    turns: asyncio.Semaphore,
    ledger: LedgerContext,
    api: ApiContext,
    request: Request,
    context: RequestContext,
    _id: int,
) -> Response:
    # A member may read the statement of its own credit; the request is limited to that.
    if not (context.principal.is_member and name == "statement"):
        require_named_role(context.principal, REPORTS_ROLE)
    query = request.query_params
    # A parameter may be repeated: the ids of several locations.
    raw = {key: values[0] if len(values := query.getlist(key)) == 1 else values for key in query}
    params = Params((FORMAT, PAGE_NUMBER, PAGE_SIZE, LANGUAGE), raw)
    report_request = parse_report_request(name, raw, context.principal, context.now, ledger)
    language = params[LANGUAGE] or API_LANGUAGE
    if language not in api.wordings:
        params.add_error(LANGUAGE, f"must be one of {', '.join(api.wordings)}")
    params.raise_errors()
    file_format = params[FORMAT] or "json"
    shown = _shown_rows(params[PAGE_NUMBER] or 1, params[PAGE_SIZE])
    async with turns:
        body = await api.store.read_detached(
            partial(_render, report_request, file_format, shown, api.wordings[language])
        )
    if isinstance(body, dict):
        return json_response(200, body)
    disposition = f'attachment; filename="{name}.{file_format}"'
    return Response(body, media_type=FILE_FORMATS[file_format].media_type, headers={"content-disposition": disposition})


def _shown_rows(page: int, size: int | None) -> slice:
    return slice(None) if size is None else slice((page - 1) * size, page * size)


async def _render(
    request: ReportRequest, file_format: str, shown: slice, wording: Wording, session: ReadSession
) -> dict[str, object] | bytes:
    result = await run_report(session, request)
    if file_format == "json":
        return report_document(result, shown)
    return FILE_FORMATS[file_format].render(replace(result, wording=wording))
