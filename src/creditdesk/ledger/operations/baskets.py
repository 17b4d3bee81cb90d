"""A basket: what one customer has to pay, and every credit that may be looked at for it.

Reads records into the pure core's values, for many baskets at once in a constant number of
exchanges with the store. This module must not decide who pays.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from msgspec import structs

from creditdesk.ledger.journal.mapping import AccountKey, account_key, unknown_reference
from creditdesk.ledger.journal.transaction import JournalTransaction, LockedAccount
from creditdesk.ledger.loaders.coverage import covered_amounts
from creditdesk.ledger.loaders.credits import load_credits
from creditdesk.ledger.loaders.dataloader import gather_loads
from creditdesk.ledger.loaders.payers import Payers, load_payers
from creditdesk.ledger.loaders.pool_caps import PoolMember, load_caps
from creditdesk.ledger.loaders.sources import BasketRequest, Buyer, ItemRequest, load_sources
from creditdesk.ledger.rules.amounts import Amount
from creditdesk.ledger.rules.credit import Credit, Customer, Source, SourceKey, SourceKind
from creditdesk.ledger.rules.pool_caps import MemberCap, apply_caps
from creditdesk.schema.errors import ValidationError, raise_first_error
from creditdesk.schema.repository import Finder, ReadSession, WriteSession
from creditdesk.schema.service import RequestContext


@dataclass(frozen=True, slots=True)
class Basket:
    """Sources of one customer, and the credits it reaches, as they were read."""

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
        """The credits with the balances they have under lock; those that are gone left out.

        What the holds in `let_go` held counts against no cap.
        """
        now = [
            _with_locked_balances(credit, locked)
            for credit in self.credits
            if (locked := journal.accounts.get(account_key(credit.key))) is not None
        ]
        return apply_caps(now, self.caps, journal.now, released_holds)


def _with_locked_balances(credit: Credit, locked: LockedAccount) -> Credit:
    priority, paid = locked.state.priority, locked.state.paid
    now = (locked.remaining, locked.held, locked.overdraft, priority, paid)
    if now == (credit.remaining, credit.held, credit.overdraft, credit.priority, credit.paid):
        return credit
    return structs.replace(
        credit,
        remaining=locked.remaining,
        held=locked.held,
        overdraft=locked.overdraft,
        priority=priority,
        paid=paid,
    )


async def load_basket(
    session: ReadSession, buyer: Buyer, asked: Sequence[ItemRequest], context: RequestContext
) -> Basket:
    """One basket as the caller may see it. Raises Invalid for what is not there for the caller."""
    asked_basket = BasketRequest(buyer, tuple(asked), context)
    (basket,) = raise_first_error(await load_baskets(session, [asked_basket]))
    return basket


async def load_basket_for_update(
    session: WriteSession, buyer: Buyer, asked: Sequence[ItemRequest], context: RequestContext
) -> Basket:
    """One basket that is to be drawn or held. Raises Invalid for what is not there."""
    asked_basket = BasketRequest(buyer, tuple(asked), context)
    (basket,) = raise_first_error(await load_baskets_for_update(session, [asked_basket]))
    return basket


async def load_baskets(
    session: ReadSession, baskets: Sequence[BasketRequest]
) -> list[Basket | ValidationError]:
    """Each basket as its caller may see it, or why it is refused."""
    return await _load(session, baskets, None)


async def load_baskets_for_update(
    session: WriteSession, baskets: Sequence[BasketRequest]
) -> list[Basket | ValidationError]:
    """Each basket as `read_baskets` gives it, in the unit that is to draw on the credits.

    The caps are locked, before the credits and for all baskets together. Credits come without what
    only their states tell: their own lock brings it.
    """
    return await _load(session, baskets, session)


async def _load(
    session: ReadSession, baskets: Sequence[BasketRequest], lock_in: WriteSession | None
) -> list[Basket | ValidationError]:
    if not baskets:
        return []
    customers = {basket.buyer.customer_id for basket in baskets}
    (payers, credits_), sources, covered = await gather_loads(
        session,
        lambda finding: _load_payer_credits(finding, customers, to_lock=lock_in is not None),
        lambda finding: load_sources(finding, baskets),
        lambda finding: covered_amounts(finding, set(_net_priced_keys(baskets))),
    )
    read = [
        _build_basket(basket, payers.get(basket.buyer.customer_id), found, covered, credits_)
        for basket, found in zip(baskets, sources, strict=True)
    ]
    return await _apply_caps(session, baskets, payers, read, lock_in)


async def _load_payer_credits(
    finder: Finder, customer_ids: Collection[int], *, to_lock: bool
) -> tuple[dict[int, Payers], dict[int, tuple[Credit, ...]]]:
    """How far each customer reaches, and the credits of all who may pay, by whose they are."""
    reaches = await load_payers(finder, customer_ids)
    people = {person for reach in reaches.values() for person in reach.payer_ids}
    return reaches, await load_credits(finder, people, skip_states=to_lock)


async def _apply_caps(
    session: ReadSession,
    baskets: Sequence[BasketRequest],
    payers: Mapping[int, Payers],
    loaded: Sequence[Basket | ValidationError],
    lock_in: WriteSession | None,
) -> list[Basket | ValidationError]:
    """The baskets with the caps that hold for their customers (rule 16)."""
    members = [
        PoolMember(
            payers[basket.owner.id],
            basket.credits,
            asked.context.now,
            [source.key for source in basket.sources] if asked.ignore_covered else (),
        )
        for asked, basket in zip(baskets, loaded, strict=True)
        if isinstance(basket, Basket)
    ]
    caps = iter(await load_caps(session, members, lock_in=lock_in))
    return [
        _with_caps(basket, next(caps), asked.context) if isinstance(basket, Basket) else basket
        for asked, basket in zip(baskets, loaded, strict=True)
    ]


def _with_caps(basket: Basket, caps: tuple[MemberCap, ...], context: RequestContext) -> Basket:
    return replace(basket, credits=apply_caps(basket.credits, caps, context.now), caps=caps)


def _net_priced_keys(baskets: Iterable[BasketRequest]) -> Iterable[SourceKey]:
    """The sources of which only what is not covered yet is part of the basket."""
    for basket in baskets:
        for each in basket.items:
            # A kind of pass is sold to many: what one paid covers nothing for the next.
            sold_once = each.kind is not SourceKind.TIME_PASS
            if each.amount is None and sold_once and not basket.ignore_covered:
                yield each.key


def _build_basket(
    basket: BasketRequest,
    payers: Payers | None,
    sources: tuple[Source, ...] | ValidationError,
    covered: Mapping[SourceKey, Amount],
    credits_: Mapping[int, Sequence[Credit]],
) -> Basket | ValidationError:
    caller = basket.context.principal
    if payers is None or not payers.visible_to(caller):
        return unknown_reference("Coworker", basket.buyer.customer_id)
    if isinstance(sources, ValidationError):
        return sources
    settled = set(_net_priced_keys([basket]))
    return Basket(
        payers.owner,
        tuple(
            structs.replace(source, price=max(0, source.price - covered[source.key]))
            if source.key in settled
            else source
            for source in sources
        ),
        tuple(
            _with_team(credit, payers)
            for person in payers.payer_ids
            for credit in credits_[person]
            if caller.sees_location(credit.business_id)
        ),
    )


def _with_team(credit: Credit, payers: Payers) -> Credit:
    """The credit as it is reached: through a team where it is not the customer's own."""
    team_id = payers.team_by_payer.get(credit.customer_id)
    return credit if team_id is None else structs.replace(credit, team_id=team_id)
