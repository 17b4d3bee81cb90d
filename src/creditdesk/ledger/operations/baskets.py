"""A basket: what one customer has to pay, and every credit that may be looked at for it.

Reads records into the pure core's values, for many baskets at once in a constant number of
exchanges with the store. This module must not decide who pays.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from msgspec import structs

from creditdesk.ledger.journal.mapping import Account, account_of, may_see, unknown
from creditdesk.ledger.journal.transaction import Book, Locked
from creditdesk.ledger.loaders.coverage import covered_of
from creditdesk.ledger.loaders.credits import read_credits, standing
from creditdesk.ledger.loaders.dataloader import at_once
from creditdesk.ledger.loaders.payers import Reach, read_reaches
from creditdesk.ledger.loaders.pool_caps import Member, read_caps
from creditdesk.ledger.loaders.sources import Asked, AskedBasket, Whose, read_sources
from creditdesk.ledger.rules.amounts import Amount
from creditdesk.ledger.rules.credit import Credit, Owner, Source, SourceKey, SourceKind
from creditdesk.ledger.rules.pool_caps import MemberCap, under_caps
from creditdesk.schema.errors import Invalid, none_refused
from creditdesk.schema.repository import Finding, Reading, Unit
from creditdesk.schema.service import Call


@dataclass(frozen=True, slots=True)
class Basket:
    """Sources of one customer, and the credits it reaches, as they were read."""

    owner: Owner
    sources: tuple[Source, ...]
    credits: tuple[Credit, ...]
    caps: tuple[MemberCap, ...] = ()

    @property
    def accounts(self) -> tuple[Account, ...]:
        return tuple(account_of(credit.key) for credit in self.credits)

    def as_locked(self, book: Book, let_go: Collection[int] = ()) -> tuple[Credit, ...]:
        """The credits with the balances they have under lock; those that are gone left out.

        What the holds in `let_go` held counts against no cap.
        """
        now = [
            _as_locked(credit, locked)
            for credit in self.credits
            if (locked := book.credits.get(account_of(credit.key))) is not None
        ]
        return under_caps(now, self.caps, book.now, let_go)


def _as_locked(credit: Credit, locked: Locked) -> Credit:
    priority, paid = standing(locked.state)
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


async def read_basket(reading: Reading, whose: Whose, asked: Sequence[Asked], call: Call) -> Basket:
    """One basket as the caller may see it. Raises Invalid for what is not there for the caller."""
    asked_basket = AskedBasket(whose, tuple(asked), call)
    (basket,) = none_refused(await read_baskets(reading, [asked_basket]))
    return basket


async def basket_to_draw(unit: Unit, whose: Whose, asked: Sequence[Asked], call: Call) -> Basket:
    """One basket that is to be drawn or held. Raises Invalid for what is not there."""
    asked_basket = AskedBasket(whose, tuple(asked), call)
    (basket,) = none_refused(await baskets_to_draw(unit, [asked_basket]))
    return basket


async def read_baskets(reading: Reading, baskets: Sequence[AskedBasket]) -> list[Basket | Invalid]:
    """Each basket as its caller may see it, or why it is refused."""
    return await _read(reading, baskets, None)


async def baskets_to_draw(unit: Unit, baskets: Sequence[AskedBasket]) -> list[Basket | Invalid]:
    """Each basket as `read_baskets` gives it, in the unit that is to draw on the credits.

    The caps are locked, before the credits and for all baskets together. Credits come without what
    only their states tell: their own lock brings it.
    """
    return await _read(unit, baskets, unit)


async def _read(
    reading: Reading, baskets: Sequence[AskedBasket], drawn_in: Unit | None
) -> list[Basket | Invalid]:
    if not baskets:
        return []
    customers = {basket.whose.customer_id for basket in baskets}
    (reaches, credits_), sources, covered = await at_once(
        reading,
        lambda finding: _reached_credits(finding, customers, to_lock=drawn_in is not None),
        lambda finding: read_sources(finding, baskets),
        lambda finding: covered_of(finding, set(_settled(baskets))),
    )
    read = [
        _basket(basket, reaches.get(basket.whose.customer_id), found, covered, credits_)
        for basket, found in zip(baskets, sources, strict=True)
    ]
    return await _under_caps(reading, baskets, reaches, read, drawn_in)


async def _reached_credits(
    finding: Finding, customer_ids: Collection[int], *, to_lock: bool
) -> tuple[dict[int, Reach], dict[int, tuple[Credit, ...]]]:
    """How far each customer reaches, and the credits of all who may pay, by whose they are."""
    reaches = await read_reaches(finding, customer_ids)
    people = {person for reach in reaches.values() for person in reach.people}
    return reaches, await read_credits(finding, people, to_lock=to_lock)


async def _under_caps(
    reading: Reading,
    baskets: Sequence[AskedBasket],
    reaches: Mapping[int, Reach],
    read: Sequence[Basket | Invalid],
    drawn_in: Unit | None,
) -> list[Basket | Invalid]:
    """The baskets with the caps that hold for their customers (rule 16)."""
    members = [
        Member(
            reaches[basket.owner.customer_id],
            basket.credits,
            asked.call.now,
            [source.key for source in basket.sources] if asked.as_unpaid else (),
        )
        for asked, basket in zip(baskets, read, strict=True)
        if isinstance(basket, Basket)
    ]
    caps = iter(await read_caps(reading, members, locked_in=drawn_in))
    return [
        _capped(basket, next(caps), asked.call) if isinstance(basket, Basket) else basket
        for asked, basket in zip(baskets, read, strict=True)
    ]


def _capped(basket: Basket, caps: tuple[MemberCap, ...], call: Call) -> Basket:
    return replace(basket, credits=under_caps(basket.credits, caps, call.now), caps=caps)


def _settled(baskets: Iterable[AskedBasket]) -> Iterable[SourceKey]:
    """The sources of which only what is not covered yet is part of the basket."""
    for basket in baskets:
        for each in basket.asked:
            # A kind of pass is sold to many: what one paid covers nothing for the next.
            sold_once = each.kind is not SourceKind.TIME_PASS
            if each.amount is None and sold_once and not basket.as_unpaid:
                yield each.key


def _basket(
    basket: AskedBasket,
    reach: Reach | None,
    sources: tuple[Source, ...] | Invalid,
    covered: Mapping[SourceKey, Amount],
    credits_: Mapping[int, Sequence[Credit]],
) -> Basket | Invalid:
    caller = basket.call.caller
    if reach is None or not reach.seen_by(caller):
        return unknown("Coworker", basket.whose.customer_id)
    if isinstance(sources, Invalid):
        return sources
    settled = set(_settled([basket]))
    return Basket(
        reach.owner,
        tuple(
            structs.replace(source, price=max(0, source.price - covered[source.key]))
            if source.key in settled
            else source
            for source in sources
        ),
        tuple(
            _reached(credit, reach)
            for person in reach.people
            for credit in credits_[person]
            if may_see(caller, credit.business_id)
        ),
    )


def _reached(credit: Credit, reach: Reach) -> Credit:
    """The credit as it is reached: through a team where it is not the customer's own."""
    team_id = reach.payers.get(credit.customer_id)
    return credit if team_id is None else structs.replace(credit, team_id=team_id)
