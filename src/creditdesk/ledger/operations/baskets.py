"""Baskets: what one customer is to pay, and every credit that may pay for it.

Loads any number of baskets in a constant number of round trips.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from msgspec import structs

from creditdesk.ledger.journal.accounts import LockedAccount
from creditdesk.ledger.journal.mapping import (
    AccountKey,
    account_key,
    unknown_reference,
)
from creditdesk.ledger.journal.transaction import JournalTransaction
from creditdesk.ledger.loaders.coverage import covered_amounts
from creditdesk.ledger.loaders.credits import load_credits
from creditdesk.ledger.loaders.dataloader import gather_loads
from creditdesk.ledger.loaders.items import BasketRequest, Buyer, ItemRequest, load_sources
from creditdesk.ledger.loaders.payers import Payers, load_payers
from creditdesk.ledger.loaders.pool_caps import PoolMember, load_caps
from creditdesk.ledger.rules.amounts import Amount
from creditdesk.ledger.rules.credit import Credit, Customer, Source, SourceKey, SourceKind
from creditdesk.ledger.rules.pool_caps import MemberCap, apply_caps
from creditdesk.schema.errors import ValidationError, raise_first_error
from creditdesk.schema.repository import Finder, ReadSession, WriteSession
from creditdesk.schema.service import RequestContext


@dataclass(frozen=True, slots=True)
class Basket:
    """Sources of one customer and the credits that may pay for them, as loaded."""

    owner: Customer
    sources: tuple[Source, ...]
    credits: tuple[Credit, ...]
    caps: tuple[MemberCap, ...] = ()

    @property
    def accounts(self) -> tuple[AccountKey, ...]:
        return tuple(account_key(credit.key) for credit in self.credits)

    def with_locked_balances(
        self, journal: JournalTransaction, released_holds: Collection[int] = ()
    ) -> tuple[Credit, ...]:
        """The credits with their locked balances; credits that no longer exist are left out.

        The holds with the ids `released_holds` count toward no cap.
        """
        now = [
            _with_locked_balances(credit, locked)
            for credit in self.credits
            if (locked := journal.accounts.get(account_key(credit.key))) is not None
        ]
        return apply_caps(now, self.caps, journal.now, released_holds)


def _with_locked_balances(credit: Credit, locked: LockedAccount) -> Credit:
    state = locked.state
    paid = state.funding.kind.counts_as_paid
    now = (locked.remaining, locked.reserved, locked.overdraft, state.priority, paid, locked.is_granted)
    if now == (credit.remaining, credit.held, credit.overdraft, credit.priority, credit.paid, credit.is_granted):
        return credit
    return structs.replace(
        credit,
        remaining=locked.remaining,
        held=locked.reserved,
        overdraft=locked.overdraft,
        priority=state.priority,
        paid=paid,
        is_granted=locked.is_granted,
    )


async def load_basket(
    session: ReadSession, buyer: Buyer, items: Sequence[ItemRequest], context: RequestContext
) -> Basket:
    """One basket. Raises ValidationError for what is missing or invisible to the principal."""
    request = BasketRequest(buyer, tuple(items), context)
    (basket,) = raise_first_error(await load_baskets(session, [request]))
    return basket


async def load_basket_for_update(
    session: WriteSession, buyer: Buyer, items: Sequence[ItemRequest], context: RequestContext
) -> Basket:
    """One basket that is to be spent or held. Raises ValidationError as `load_basket` does."""
    request = BasketRequest(buyer, tuple(items), context)
    (basket,) = raise_first_error(await load_baskets_for_update(session, [request]))
    return basket


async def load_baskets(session: ReadSession, requests: Sequence[BasketRequest]) -> list[Basket | ValidationError]:
    """The basket of each request, or its error."""
    return await _load(session, requests, None)


async def load_baskets_for_update(
    session: WriteSession, requests: Sequence[BasketRequest]
) -> list[Basket | ValidationError]:
    """The baskets as `load_baskets` returns them, for the session that is to spend them.

    Locks the caps of all baskets, before any account. Credits come without their account states,
    which the lock of the account reads.
    """
    return await _load(session, requests, session)


async def _load(
    session: ReadSession, requests: Sequence[BasketRequest], lock_in: WriteSession | None
) -> list[Basket | ValidationError]:
    if not requests:
        return []
    customers = {request.buyer.customer_id for request in requests}
    (payers, credits_), sources, covered = await gather_loads(
        session,
        lambda finder: _load_payer_credits(
            finder,
            customers,
            max(request.context.now for request in requests),
            skip_states=lock_in is not None,
        ),
        lambda finder: load_sources(finder, requests),
        lambda finder: covered_amounts(finder, set(_net_priced_keys(requests))),
    )
    loaded = [
        _build_basket(request, payers.get(request.buyer.customer_id), found, covered, credits_)
        for request, found in zip(requests, sources, strict=True)
    ]
    return await _apply_caps(session, requests, payers, loaded, lock_in)


async def _load_payer_credits(
    finder: Finder, customer_ids: Collection[int], now: datetime, *, skip_states: bool
) -> tuple[dict[int, Payers], dict[int, tuple[Credit, ...]]]:
    """The payers of each customer, and the credits of all payers by customer id."""
    payers = await load_payers(finder, customer_ids, now)
    payer_ids = {payer_id for each in payers.values() for payer_id in each.payer_ids}
    return payers, await load_credits(finder, payer_ids, now, skip_states=skip_states)


async def _apply_caps(
    session: ReadSession,
    requests: Sequence[BasketRequest],
    payers: Mapping[int, Payers],
    loaded: Sequence[Basket | ValidationError],
    lock_in: WriteSession | None,
) -> list[Basket | ValidationError]:
    """The baskets with the caps that apply to their customers (rule 16)."""
    members = [
        PoolMember(
            payers[basket.owner.id],
            basket.credits,
            request.context.now,
            [source.key for source in basket.sources] if request.ignore_covered else (),
        )
        for request, basket in zip(requests, loaded, strict=True)
        if isinstance(basket, Basket)
    ]
    caps = iter(await load_caps(session, members, lock_in=lock_in))
    return [
        _with_caps(basket, next(caps), request.context) if isinstance(basket, Basket) else basket
        for request, basket in zip(requests, loaded, strict=True)
    ]


def _with_caps(basket: Basket, caps: tuple[MemberCap, ...], context: RequestContext) -> Basket:
    return replace(basket, credits=apply_caps(basket.credits, caps, context.now), caps=caps)


def _net_priced_keys(requests: Iterable[BasketRequest]) -> Iterable[SourceKey]:
    """The items whose price is reduced by what earlier spends cover."""
    for request in requests:
        for item in request.items:
            # One kind of pass is sold to many: what covers one covers nothing of the next.
            sold_once = item.kind is not SourceKind.TIME_PASS
            if item.amount is None and sold_once and not request.ignore_covered:
                yield item.key


def _build_basket(
    request: BasketRequest,
    payers: Payers | None,
    sources: tuple[Source, ...] | ValidationError,
    covered: Mapping[SourceKey, Amount],
    credits_: Mapping[int, Sequence[Credit]],
) -> Basket | ValidationError:
    principal = request.context.principal
    if payers is None or not payers.visible_to(principal):
        return unknown_reference("Coworker", request.buyer.customer_id)
    if isinstance(sources, ValidationError):
        return sources
    net_priced = set(_net_priced_keys([request]))
    return Basket(
        payers.owner,
        tuple(
            structs.replace(source, price=source.price_less(covered[source.key]))
            if source.key in net_priced
            else source
            for source in sources
        ),
        tuple(
            _with_team(credit, payers)
            for payer_id in payers.payer_ids
            for credit in credits_[payer_id]
            if principal.sees_location(credit.business_id)
        ),
    )


def _with_team(credit: Credit, payers: Payers) -> Credit:
    """The credit with the team that shares it, unless it is the customer's own."""
    team_id = payers.team_by_payer.get(credit.customer_id)
    return credit if team_id is None else structs.replace(credit, team_id=team_id)
