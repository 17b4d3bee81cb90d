"""Renewals: what is due, and granting it (rule 27)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from creditdesk.api.context import ApiContext, Route, json_success
from creditdesk.api.ledger.endpoints import LedgerPost, LedgerWrite, ParsedLedgerWrite, WriteRequest
from creditdesk.api.ledger.params import DRY_RUN, SINCE
from creditdesk.api.openapi_operations import page_schema, read_operation
from creditdesk.api.query_params import DEFAULT_PAGE_SIZE, PAGE, SIZE
from creditdesk.api.responses import json_response
from creditdesk.auth.permission import require_named_role
from creditdesk.entities.roles import CORRECT_ROLE, READ_ROLE
from creditdesk.ledger.actions import document_amount
from creditdesk.ledger.idempotency import SavedResponse
from creditdesk.ledger.journal.transaction import LedgerContext
from creditdesk.ledger.operations.renewals import MAX_GRANTS, DueRenewal, find_due_renewals, run_renewals
from creditdesk.schema.actions import ActionResult
from creditdesk.schema.conversions import format_datetime
from creditdesk.schema.counted_texts import counted_text
from creditdesk.schema.params import Params
from creditdesk.schema.service import RequestContext

_DUE_SCHEMA: Final = {
    "type": "object",
    "properties": {
        "Key": {"type": "string"},
        "CoworkerContractId": {"type": "integer"},
        "CoworkerId": {"type": "integer"},
        "Kind": {"type": "string"},
        "BenefitId": {"type": "integer"},
        "Amount": {"type": "number"},
        "ValidFrom": {"type": "string", "format": "date-time"},
        "ExpireDate": {"type": "string", "format": "date-time"},
    },
}


class RunRenewals(LedgerPost):
    """POST that grants the renewals that are due, at most MAX_GRANTS, oldest period first. A dry run lists them.

    Due contracts are searched before the transaction, which reads and locks only those: other writes would
    wait for a search over many contracts.
    """

    def __init__(self, ledger: LedgerContext) -> None:
        super().__init__(CORRECT_ROLE, (DRY_RUN, SINCE))
        self._ledger = ledger

    async def submit(
        self, api: ApiContext, parsed: ParsedLedgerWrite, context: RequestContext, fingerprint: str
    ) -> SavedResponse:
        since = parsed.params[SINCE].date() if parsed.params[SINCE] else None
        due = await api.store.read_detached(
            lambda session: find_due_renewals(session, context, context.now, since=since)
        )

        async def run(request: WriteRequest) -> ActionResult:
            return await _run(request, due)

        return await LedgerWrite(self._ledger, self.role, self.params, run).submit(api, parsed, context, fingerprint)


async def _run(request: WriteRequest, due: Sequence[DueRenewal]) -> ActionResult:
    params = request.params
    oldest = due[:MAX_GRANTS]
    is_partial = len(due) > MAX_GRANTS
    if params[DRY_RUN]:
        message = (
            f"{len(due)} renewals are due. One run grants the first {MAX_GRANTS}."
            if is_partial
            else counted_text(len(due), "{} renewal is due.", "{} renewals are due.")
        )
        return ActionResult(message, [_format_due(each) for each in oldest])
    done = await run_renewals(
        request.session,
        request.context,
        request.ledger,
        {each.contract.id for each in oldest},
        since=params[SINCE].date() if params[SINCE] else None,
        limit=MAX_GRANTS,
    )
    value = [{**_format_due(granted), "CreditId": credit_id} for granted, credit_id in done]
    return ActionResult(
        f"{len(done)} renewals were granted. More may be due: run it again."
        if is_partial
        else counted_text(len(done), "{} renewal was granted.", "{} renewals were granted."),
        value,
    )


def due_renewals_route() -> Route:
    """The path that lists due renewals."""
    path = "/api/ledger/renewals"
    operation = read_operation(path, "The renewals that are due", READ_ROLE, (PAGE, SIZE))
    return Route("GET", path, _get_due, operation | json_success(page_schema(_DUE_SCHEMA)))


async def _get_due(api: ApiContext, request: Request, context: RequestContext, _id: int) -> Response:
    """A page of what is due, oldest period first."""
    require_named_role(context.principal, READ_ROLE)
    params = Params((PAGE, SIZE), request.query_params)
    params.raise_errors()
    page, size = params[PAGE] or 1, min(params[SIZE] or DEFAULT_PAGE_SIZE, MAX_GRANTS)
    # Reads every contract and its grants, which takes long if there are many.
    due = await api.store.read_detached(lambda session: find_due_renewals(session, context, context.now))
    return json_response(
        200,
        {
            "Records": [_format_due(each) for each in due[(page - 1) * size : page * size]],
            "CurrentPage": page,
            "PageSize": size,
            "TotalItems": len(due),
            "HasNextPage": page * size < len(due),
        },
    )


def _format_due(due: DueRenewal) -> dict[str, Any]:
    return {
        "Key": due.key,
        "CoworkerContractId": due.contract.id,
        "CoworkerId": due.contract.coworker_id,
        "Kind": due.benefit.mapping.account_type.value,
        "BenefitId": due.benefit.id,
        "Amount": document_amount(due.benefit.mapping, due.amount),
        "ValidFrom": format_datetime(due.period.valid_from(due.clock.zone)),
        "ExpireDate": format_datetime(due.period.expires(due.clock.zone)),
    }
