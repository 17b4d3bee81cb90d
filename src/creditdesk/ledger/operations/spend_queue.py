"""The queue of spends: requests that arrive at the same moment share one transaction (rule 31)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from creditdesk.ledger.basket_search import execute_with_search
from creditdesk.ledger.batching import BatchQueue
from creditdesk.ledger.idempotency import SavedResponse, scoped_key
from creditdesk.ledger.journal.mapping import MAPPINGS_BY_HISTORY
from creditdesk.ledger.journal.transaction import LedgerContext
from creditdesk.ledger.loaders.items import BasketRequest
from creditdesk.ledger.loaders.uses import posted_use
from creditdesk.ledger.operations.baskets import Basket, load_baskets
from creditdesk.ledger.operations.draw import SpendResult, preview
from creditdesk.ledger.operations.spend_batch import (
    BasketSpend,
    Response,
    Spend,
    UseSpend,
    execute_batch,
)
from creditdesk.ledger.rules.assignment import SearchRequired
from creditdesk.ledger.rules.burn_down import Allocation
from creditdesk.schema.entity import Entity, Record
from creditdesk.schema.errors import DomainError
from creditdesk.schema.repository import ReadSession, Store, WriteSession
from creditdesk.schema.service import RequestContext


class SpendQueue:
    """Executes posted uses and spends on baskets, a batch of them in one transaction.

    A single request is a batch of one; there is no second path. Previews share read sessions in
    the same way.
    """

    def __init__(self, store: Store, ledger: LedgerContext) -> None:
        self._ledger = ledger
        self._spends = BatchQueue[WriteSession, Spend, SavedResponse](store.write_session, self._execute)
        self._previews = BatchQueue[ReadSession, BasketRequest, Allocation](store.read_session, self._preview)

    async def post(
        self,
        entity: type[Entity],
        record: Mapping[str, Any],
        context: RequestContext,
        fingerprint: str,
        render: Callable[[Record], bytes],
    ) -> SavedResponse:
        """Posts a record of one of the two use histories (rules 7 to 10, 32).

        The same key and fingerprint return the first response again. Raises ValidationError,
        IdempotencyKeyReused, or Conflict when a request with the same key is in the same batch.
        """
        mapping = MAPPINGS_BY_HISTORY[entity]
        use = posted_use(mapping, record)
        spend = UseSpend(mapping, use, context, fingerprint, render)
        return await self._spends.submit(spend, idempotent=context.idempotency_key is not None)

    async def spend_basket(
        self,
        request: BasketRequest,
        fingerprint: str,
        render: Callable[[SpendResult], bytes],
    ) -> SavedResponse:
        """Spends credit on a basket (rules 12 to 22, 32). Raises its DomainError.

        A request with the key of one that is under way waits for it and returns its response.
        """
        spend = BasketSpend(request, fingerprint, render)
        key = scoped_key(request.context)
        conflict_keys = frozenset({*request.conflict_keys, *((key,) if key else ())})
        return await execute_with_search(
            self._ledger.solutions,
            lambda: self._spends.submit(spend, conflict_keys=conflict_keys, idempotent=key is not None),
        )

    async def preview(self, request: BasketRequest) -> Allocation:
        """What a spend on the basket would do now; changes nothing (rule 19). Raises its error."""
        return await execute_with_search(self._ledger.solutions, lambda: self._previews.submit(request))

    async def _execute(self, session: WriteSession, spends: Sequence[Spend], must_wait: int) -> list[Response]:
        return await execute_batch(session, spends, must_wait, self._ledger)

    async def _preview(
        self, session: ReadSession, requests: Sequence[BasketRequest], _must_wait: int
    ) -> list[Allocation | DomainError]:
        baskets = await load_baskets(session, requests)
        return [
            self._preview_one(basket, request) if isinstance(basket, Basket) else basket
            for request, basket in zip(requests, baskets, strict=True)
        ]

    def _preview_one(self, basket: Basket, request: BasketRequest) -> Allocation | DomainError:
        try:
            return preview(basket, self._ledger, request.context.now)
        except SearchRequired as required:
            return required
