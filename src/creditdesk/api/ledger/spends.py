"""Previews and spends of baskets: those that are asked for at the same moment travel together.

Must not know how a basket is read or decided.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from starlette.requests import Request
from starlette.responses import Response

from creditdesk.api.ledger.context import (
    READ,
    SPEND,
    Body,
    Endpoint,
    Said,
    answer_of,
    called,
    read_body,
)
from creditdesk.api.ledger.params import Given, read_basket_body
from creditdesk.api.responses import JsonAnswer
from creditdesk.ledger.batching import Together
from creditdesk.ledger.idempotency import key_id
from creditdesk.ledger.journal.transaction import Desk
from creditdesk.ledger.loaders.sources import AskedBasket
from creditdesk.ledger.operations.basket_batch import BasketSpend, preview_baskets, spend_baskets
from creditdesk.ledger.operations.draw import Drawn
from creditdesk.ledger.rules.burn_down import Allocation
from creditdesk.schema.errors import Refusal
from creditdesk.schema.repository import Reading, Store
from creditdesk.schema.service import Call


def previews(store: Store, desk: Desk, limit_bytes: int, kept: Endpoint) -> Endpoint:
    """What a spend would do now. A call with a key is answered by `kept`, which keeps the answer:
    without one nothing is written (rule 32).
    """

    async def carry_out(
        reading: Reading, baskets: Sequence[AskedBasket], _urgent: int
    ) -> list[Allocation | Refusal]:
        return await preview_baskets(reading, baskets, desk)

    # A document of the paths is made without a store.
    together = Together(lambda: store.reading(), carry_out)  # noqa: PLW0108 - it may be none

    async def endpoint(request: Request) -> Response:
        call = called(request, READ)
        if call.key is not None:
            return await kept(request)
        basket = asked_basket(await read_body(request, limit_bytes), call)
        allocation = await together.ask(basket)
        return JsonAnswer(answer_of(previewed(allocation), call))

    return endpoint


def spends(store: Store, desk: Desk, limit_bytes: int) -> Endpoint:
    """Pays for sources with credit, once for a key (rule 32)."""
    together = Together(
        lambda: store.writing(),  # noqa: PLW0108 - a document of the paths is made without a store
        partial(spend_baskets, desk=desk),
    )

    async def endpoint(request: Request) -> Response:
        call = called(request, SPEND)
        body = await read_body(request, limit_bytes)
        basket = asked_basket(body, call)
        spend = BasketSpend(basket, body.fingerprint, lambda done: answer_of(_spent(done), call))
        key = key_id(call)
        # The same key again waits for the first, and then gets its answer.
        apart = frozenset({*basket.marks, *((key,) if key else ())})
        answer = await together.ask(spend, apart=apart, repeatable=key is not None)
        return JsonAnswer(answer.body, answer.status)

    return endpoint


def asked_basket(body: Body, call: Call) -> AskedBasket:
    """The basket that a body names. Raises Invalid."""
    whose, asked = read_basket_body(Given(body.values))
    return AskedBasket(whose, tuple(asked), call)


def previewed(allocation: Allocation) -> Said:
    return "Nothing was changed.", {"Allocation": allocation.to_document()}


def _spent(done: Drawn) -> Said:
    value = {"AllocationId": done.kept.group, "Allocation": done.kept.document}
    return "The spend was successfully made.", value
