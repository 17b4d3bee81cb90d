"""Previews and spends of many baskets at once, each answered for itself (rules 19, 31, 32).

A constant number of statements, however many baskets: lock what is paid, read, decide, write. This
module must not know the wire.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from creditdesk.ledger.batching import DEFERRED, Deferred
from creditdesk.ledger.idempotency import (
    SavedResponse,
    ScopedKey,
    find_responses,
    save_responses,
    scoped_key,
)
from creditdesk.ledger.journal.transaction import LedgerContext
from creditdesk.ledger.loaders.dataloader import gather_loads
from creditdesk.ledger.loaders.sources import BasketRequest
from creditdesk.ledger.operations.baskets import Basket, load_baskets, load_baskets_for_update
from creditdesk.ledger.operations.draw import (
    SpendPlan,
    SpendResult,
    execute_spends,
    find_holds,
    lock_holds,
    lock_sources,
    preview,
)
from creditdesk.ledger.rules.assignment import SearchRequired
from creditdesk.ledger.rules.burn_down import Allocation
from creditdesk.schema.errors import DomainError
from creditdesk.schema.repository import ReadSession, WriteSession

_NO_KEY_ID: Final[ScopedKey] = (0, "")


@dataclass(frozen=True, slots=True)
class BasketSpend:
    """A spend on a basket. The answer is made inside the transaction and, where the call has a
    key, kept under `fingerprint` (rule 32).
    """

    request: BasketRequest
    fingerprint: str
    render: Callable[[SpendResult], bytes]


async def preview_baskets(
    session: ReadSession, baskets: Sequence[BasketRequest], ledger: LedgerContext
) -> list[Allocation | DomainError]:
    """What a spend on each basket would do now; nothing is changed (rule 19)."""
    read = await load_baskets(session, baskets)
    return [
        _preview(basket, ledger, request) if isinstance(basket, Basket) else basket
        for request, basket in zip(baskets, read, strict=True)
    ]


def _preview(
    basket: Basket, ledger: LedgerContext, request: BasketRequest
) -> Allocation | SearchRequired:
    try:
        return preview(basket, ledger, request.context.now)
    except SearchRequired as required:
        return required


async def spend_baskets(
    session: WriteSession, spends: Sequence[BasketSpend], must_wait: int, ledger: LedgerContext
) -> list[SavedResponse | DomainError | Deferred]:
    """Carries out spends on baskets that have no marks in common, in their order.

    A call that was answered before gets the same bytes again. A refusal undoes no neighbour. All
    but the first `urgent` are put off where another unit holds something that they pay.
    """
    required_items = [each for spend in spends[:must_wait] for each in spend.request.items]
    optional_items = [each for spend in spends[must_wait:] for each in spend.request.items]
    missed = await lock_sources(session, required_items, skip_locked=optional_items)
    deferred = [
        place >= must_wait and any(each.key in missed for each in spend.request.items)
        for place, spend in enumerate(spends)
    ]
    locked = [spend for spend, later in zip(spends, deferred, strict=True) if not later]
    answers = iter(await _spend_locked(session, locked, ledger))
    return [DEFERRED if later else next(answers) for later in deferred]


async def _spend_locked(
    session: WriteSession, spends: Sequence[BasketSpend], ledger: LedgerContext
) -> list[SavedResponse | DomainError]:
    prepared = await _prepare(session, spends, ledger)
    plans = [each for each in prepared if isinstance(each, SpendPlan)]
    results = iter(await execute_spends(session, plans, ledger))
    outcomes = [next(results) if isinstance(each, SpendPlan) else each for each in prepared]
    responses = [
        SavedResponse(200, spend.render(each)) if isinstance(each, SpendResult) else each
        for spend, each in zip(spends, outcomes, strict=True)
    ]
    await save_responses(
        session,
        [
            (spend.request.context, spend.fingerprint, answer)
            for spend, each, answer in zip(spends, outcomes, responses, strict=True)
            if isinstance(each, SpendResult) and isinstance(answer, SavedResponse)
        ],
    )
    return responses


async def _prepare(
    session: WriteSession, spends: Sequence[BasketSpend], ledger: LedgerContext
) -> list[SpendPlan | SavedResponse | DomainError]:
    """Each spend as it is to be drawn, with the holds it settles; or how it has ended already."""
    keys = {each.key for spend in spends for each in spend.request.items}
    # Read after the locks: who waited for one may find that the same call has been answered.
    earlier, found = await gather_loads(
        session,
        lambda finding: find_responses(
            finding, [(s.request.context, s.fingerprint) for s in spends]
        ),
        lambda finding: find_holds(finding, keys),
    )
    holds = await lock_holds(session, keys, found)
    baskets = await load_baskets_for_update(session, [spend.request for spend in spends])
    prepared: list[SpendPlan | SavedResponse | DomainError] = []
    for spend, basket in zip(spends, baskets, strict=True):
        context = spend.request.context
        if answered := earlier.get(scoped_key(context) or _NO_KEY_ID):
            prepared.append(answered)
        elif isinstance(basket, DomainError):
            prepared.append(basket)
        else:
            own = dict.fromkeys(source.key for source in basket.sources)
            settles = [hold for key in own for hold in holds[key]]
            prepared.append(SpendPlan(basket, context, ledger, settles))
    return prepared
