"""Previews and spends of baskets: those that are asked for at the same moment travel together.

Must not know how a basket is read or decided.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from starlette.requests import Request
from starlette.responses import Response

from creditdesk.api.ledger.context import (
    READ_ROLE,
    SPEND_ROLE,
    ActionResult,
    LedgerHandler,
    ParsedBody,
    read_ledger_body,
    require_ledger_role,
    result_body,
)
from creditdesk.api.ledger.params import Params, parse_basket
from creditdesk.api.responses import JsonBytesResponse
from creditdesk.ledger.basket_search import execute_with_search
from creditdesk.ledger.batching import BatchQueue
from creditdesk.ledger.idempotency import scoped_key
from creditdesk.ledger.journal.transaction import LedgerContext
from creditdesk.ledger.loaders.sources import BasketRequest
from creditdesk.ledger.operations.basket_batch import BasketSpend, preview_baskets, spend_baskets
from creditdesk.ledger.operations.draw import SpendResult
from creditdesk.ledger.rules.burn_down import Allocation
from creditdesk.schema.errors import DomainError
from creditdesk.schema.repository import ReadSession, Store
from creditdesk.schema.service import RequestContext


def preview_handler(
    store: Store, desk: LedgerContext, limit_bytes: int, kept: LedgerHandler
) -> LedgerHandler:
    """What a spend would do now. A call with a key is answered by `kept`, which keeps the answer:
    without one nothing is written (rule 32).
    """

    async def carry_out(
        reading: ReadSession, baskets: Sequence[BasketRequest], _urgent: int
    ) -> list[Allocation | DomainError]:
        return await preview_baskets(reading, baskets, desk)

    # A document of the paths is made without a store.
    together = BatchQueue(lambda: store.read_session(), carry_out)  # noqa: PLW0108 - it may be none

    async def endpoint(request: Request) -> Response:
        call = require_ledger_role(request, READ_ROLE)
        if call.idempotency_key is not None:
            return await kept(request)
        basket = basket_request(await read_ledger_body(request, limit_bytes), call)
        allocation = await execute_with_search(desk.solutions, lambda: together.submit(basket))
        return JsonBytesResponse(result_body(preview_result(allocation), call))

    return endpoint


def spend_handler(store: Store, desk: LedgerContext, limit_bytes: int) -> LedgerHandler:
    """Pays for sources with credit, once for a key (rule 32)."""
    together = BatchQueue(
        lambda: store.write_session(),  # noqa: PLW0108 - a document of the paths is made without a store
        partial(spend_baskets, ledger=desk),
    )

    async def endpoint(request: Request) -> Response:
        call = require_ledger_role(request, SPEND_ROLE)
        body = await read_ledger_body(request, limit_bytes)
        basket = basket_request(body, call)
        spend = BasketSpend(
            basket, body.fingerprint, lambda done: result_body(_spend_result(done), call)
        )
        key = scoped_key(call)
        # The same key again waits for the first, and then gets its answer.
        apart = frozenset({*basket.conflict_keys, *((key,) if key else ())})
        answer = await execute_with_search(
            desk.solutions,
            lambda: together.submit(spend, conflict_keys=apart, idempotent=key is not None),
        )
        return JsonBytesResponse(answer.body, answer.status)

    return endpoint


def basket_request(body: ParsedBody, context: RequestContext) -> BasketRequest:
    """The basket that a body names. Raises Invalid."""
    whose, asked = parse_basket(Params(body.values))
    return BasketRequest(whose, tuple(asked), context)


def preview_result(allocation: Allocation) -> ActionResult:
    return "Nothing was changed.", {"Allocation": allocation.to_document()}


def _spend_result(done: SpendResult) -> ActionResult:
    value = {"AllocationId": done.stored.allocation_group, "Allocation": done.stored.document}
    return "The spend was successfully made.", value
