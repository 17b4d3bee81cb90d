"""Writes that the ledger's queue executes, many in one transaction: uses, previews, spends."""

from __future__ import annotations

from creditdesk.api.context import ApiContext
from creditdesk.api.ledger.endpoints import (
    LedgerPost,
    LedgerWrite,
    ParsedLedgerWrite,
    WriteRequest,
    result_body,
)
from creditdesk.api.ledger.params import BASKET, parse_basket
from creditdesk.api.write_handlers import EntityWrite, find_missing_references, record_body
from creditdesk.api.write_pipeline import WriteInput
from creditdesk.entities.roles import READ_ROLE, SPEND_ROLE
from creditdesk.ledger.idempotency import SavedResponse
from creditdesk.ledger.journal.transaction import LedgerContext
from creditdesk.ledger.loaders.items import BasketRequest
from creditdesk.ledger.operations.baskets import load_basket
from creditdesk.ledger.operations.draw import SpendResult, preview
from creditdesk.ledger.operations.spend_queue import SpendQueue
from creditdesk.ledger.rules.burn_down import Allocation
from creditdesk.schema.actions import ActionResult
from creditdesk.schema.entity import Entity
from creditdesk.schema.params import Params
from creditdesk.schema.service import RequestContext
from creditdesk.schema.validation import ParsedWrite, parse_create


class CreateUse(EntityWrite[ParsedWrite]):
    """POST on one of the two use histories (rules 7 to 10)."""

    verb = "create"

    def __init__(self, entity: type[Entity], queue: SpendQueue) -> None:
        super().__init__(entity)
        self._queue = queue

    def parse(self, write_input: WriteInput) -> ParsedWrite:
        return parse_create(self.entity, write_input.values())

    async def submit(
        self, api: ApiContext, parsed: ParsedWrite, context: RequestContext, fingerprint: str
    ) -> SavedResponse:
        if parsed.errors:
            # Nothing will be written: report unknown references together with the other errors.
            async with api.store.read_session(snapshot=False) as session:
                parsed.resolve(await find_missing_references(session, parsed.reference_checks, context))
        return await self._queue.post(
            self.entity,
            parsed.resolve({}),
            context,
            fingerprint,
            lambda created: record_body(self.entity, created, "created"),
        )


class PreviewBasket(LedgerWrite):
    """What a spend would do now. Only a request with a key writes: its response is stored."""

    def __init__(self, ledger: LedgerContext, queue: SpendQueue) -> None:
        super().__init__(ledger, READ_ROLE, BASKET, _preview)
        self._queue = queue

    async def submit(
        self,
        api: ApiContext,
        parsed: ParsedLedgerWrite,
        context: RequestContext,
        fingerprint: str,
    ) -> SavedResponse:
        if context.idempotency_key is not None:
            return await super().submit(api, parsed, context, fingerprint)
        allocation = await self._queue.preview(_basket_request(parsed.params, context))
        return SavedResponse(200, result_body(_preview_result(allocation), context))


class SpendBasket(LedgerPost):
    """Pays for sources with credit, once for a key (rule 32)."""

    def __init__(self, queue: SpendQueue) -> None:
        super().__init__(SPEND_ROLE, BASKET)
        self._queue = queue

    async def submit(
        self,
        api: ApiContext,  # noqa: ARG002 - the signature of every write
        parsed: ParsedLedgerWrite,
        context: RequestContext,
        fingerprint: str,
    ) -> SavedResponse:
        return await self._queue.spend_basket(
            _basket_request(parsed.params, context),
            fingerprint,
            lambda result: result_body(_spend_result(result), context),
        )


def _basket_request(params: Params, context: RequestContext) -> BasketRequest:
    buyer, items = parse_basket(params)
    return BasketRequest(buyer, tuple(items), context)


async def _preview(request: WriteRequest) -> ActionResult:
    buyer, items = parse_basket(request.params)
    basket = await load_basket(request.session, buyer, items, request.context)
    return _preview_result(preview(basket, request.ledger, request.context.now))


def _preview_result(allocation: Allocation) -> ActionResult:
    return ActionResult("Nothing was changed.", {"Allocation": allocation.to_document()})


def _spend_result(result: SpendResult) -> ActionResult:
    value = {"AllocationId": result.stored.allocation_group, "Allocation": result.stored.document}
    return ActionResult("The spend was successfully made.", value)
