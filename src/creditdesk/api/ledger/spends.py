"""Previews and spends of baskets: requests that arrive while a batch runs share the next one."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from creditdesk.api.context import ApiContext
from creditdesk.api.ledger.endpoints import (
    LedgerPost,
    LedgerWrite,
    ParsedLedgerWrite,
    WriteRequest,
    result_body,
)
from creditdesk.api.ledger.params import BASKET, parse_basket
from creditdesk.entities.roles import READ_ROLE, SPEND_ROLE
from creditdesk.ledger.basket_search import execute_with_search
from creditdesk.ledger.batching import BatchQueue
from creditdesk.ledger.idempotency import SavedResponse, scoped_key
from creditdesk.ledger.journal.transaction import LedgerContext
from creditdesk.ledger.loaders.sources import BasketRequest
from creditdesk.ledger.operations.basket_batch import BasketSpend, preview_baskets, spend_baskets
from creditdesk.ledger.operations.draw import SpendResult
from creditdesk.ledger.rules.burn_down import Allocation
from creditdesk.schema.actions import CommandResult
from creditdesk.schema.errors import DomainError, raise_first_error
from creditdesk.schema.params import Params
from creditdesk.schema.repository import ReadSession, Store
from creditdesk.schema.service import RequestContext


class PreviewBasket(LedgerWrite):
    """What a spend would do now. Only a request with a key writes: its response is stored."""

    def __init__(self, store: Store, ledger: LedgerContext) -> None:
        super().__init__(ledger, READ_ROLE, BASKET, _preview)
        self._queue: BatchQueue[ReadSession, BasketRequest, Allocation] = BatchQueue(
            store.read_session, self._preview_batch
        )

    async def _preview_batch(
        self, session: ReadSession, baskets: Sequence[BasketRequest], _must_wait: int
    ) -> list[Allocation | DomainError]:
        return await preview_baskets(session, baskets, self.ledger)

    async def submit(
        self,
        api: ApiContext,
        parsed: ParsedLedgerWrite,
        context: RequestContext,
        fingerprint: str,
    ) -> SavedResponse:
        if context.idempotency_key is not None:
            return await super().submit(api, parsed, context, fingerprint)
        basket = _basket_request(parsed.params, context)
        allocation = await execute_with_search(
            self.ledger.solutions, lambda: self._queue.submit(basket)
        )
        return SavedResponse(200, result_body(_preview_result(allocation), context))


class SpendBasket(LedgerPost):
    """Pays for sources with credit, once for a key (rule 32)."""

    def __init__(self, store: Store, ledger: LedgerContext) -> None:
        super().__init__(SPEND_ROLE, BASKET)
        self._ledger = ledger
        self._queue = BatchQueue(store.write_session, partial(spend_baskets, ledger=ledger))

    async def submit(
        self,
        api: ApiContext,  # noqa: ARG002 - the signature of every write
        parsed: ParsedLedgerWrite,
        context: RequestContext,
        fingerprint: str,
    ) -> SavedResponse:
        basket = _basket_request(parsed.params, context)
        spend = BasketSpend(
            basket, fingerprint, lambda done: result_body(_spend_result(done), context)
        )
        key = scoped_key(context)
        # The same key again waits for the first request, and then gets its response.
        conflict_keys = frozenset({*basket.conflict_keys, *((key,) if key else ())})
        return await execute_with_search(
            self._ledger.solutions,
            lambda: self._queue.submit(
                spend, conflict_keys=conflict_keys, idempotent=key is not None
            ),
        )


def _basket_request(params: Params, context: RequestContext) -> BasketRequest:
    buyer, items = parse_basket(params)
    return BasketRequest(buyer, tuple(items), context)


async def _preview(request: WriteRequest) -> CommandResult:
    basket = _basket_request(request.params, request.context)
    results = await preview_baskets(request.session, [basket], request.ledger)
    (allocation,) = raise_first_error(results)
    return _preview_result(allocation)


def _preview_result(allocation: Allocation) -> CommandResult:
    return CommandResult("Nothing was changed.", {"Allocation": allocation.to_document()})


def _spend_result(done: SpendResult) -> CommandResult:
    value = {"AllocationId": done.stored.allocation_group, "Allocation": done.stored.document}
    return CommandResult("The spend was successfully made.", value)
