"""Previews and spends of many baskets at once, each answered for itself (rules 19, 31, 32).

A constant number of statements, however many baskets: lock what is paid, read, decide, write. This
module must not know the wire.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from creditdesk.ledger.batching import PUT_OFF, PutOff
from creditdesk.ledger.idempotency import Answer, KeyId, earlier_answers, key_id, store_answers
from creditdesk.ledger.journal.transaction import Desk
from creditdesk.ledger.loaders.dataloader import at_once
from creditdesk.ledger.loaders.sources import AskedBasket
from creditdesk.ledger.operations.baskets import Basket, baskets_to_draw, read_baskets
from creditdesk.ledger.operations.draw import (
    Drawing,
    Drawn,
    find_held,
    lock_held,
    lock_sources,
    preview,
    spend_all,
)
from creditdesk.ledger.rules.burn_down import Allocation
from creditdesk.schema.errors import Refusal
from creditdesk.schema.repository import Reading, Unit

_NO_KEY: Final[KeyId] = (0, "")


@dataclass(frozen=True, slots=True)
class BasketSpend:
    """A spend on a basket. The answer is made inside the transaction and, where the call has a
    key, kept under `fingerprint` (rule 32).
    """

    basket: AskedBasket
    fingerprint: str
    render: Callable[[Drawn], bytes]


async def preview_baskets(
    reading: Reading, baskets: Sequence[AskedBasket], desk: Desk
) -> list[Allocation | Refusal]:
    """What a spend on each basket would do now; nothing is changed (rule 19)."""
    read = await read_baskets(reading, baskets)
    return [
        preview(basket, desk.policy, asked.call.now) if isinstance(basket, Basket) else basket
        for asked, basket in zip(baskets, read, strict=True)
    ]


async def spend_baskets(
    unit: Unit, spends: Sequence[BasketSpend], urgent: int, desk: Desk
) -> list[Answer | Refusal | PutOff]:
    """Carries out spends on baskets that have no marks in common, in their order.

    A call that was answered before gets the same bytes again. A refusal undoes no neighbour. All
    but the first `urgent` are put off where another unit holds something that they pay.
    """
    needed = [each for spend in spends[:urgent] for each in spend.basket.asked]
    wished = [each for spend in spends[urgent:] for each in spend.basket.asked]
    missed = await lock_sources(unit, needed, if_free=wished)
    put_off = [
        place >= urgent and any(each.key in missed for each in spend.basket.asked)
        for place, spend in enumerate(spends)
    ]
    locked = [spend for spend, later in zip(spends, put_off, strict=True) if not later]
    answers = iter(await _spend_locked(unit, locked, desk))
    return [PUT_OFF if later else next(answers) for later in put_off]


async def _spend_locked(
    unit: Unit, spends: Sequence[BasketSpend], desk: Desk
) -> list[Answer | Refusal]:
    begun = await _begun(unit, spends, desk)
    drawings = [each for each in begun if isinstance(each, Drawing)]
    drawn = iter(await spend_all(unit, drawings, desk))
    ended = [next(drawn) if isinstance(each, Drawing) else each for each in begun]
    answers = [
        Answer(200, spend.render(each)) if isinstance(each, Drawn) else each
        for spend, each in zip(spends, ended, strict=True)
    ]
    await store_answers(
        unit,
        [
            (spend.basket.call, spend.fingerprint, answer)
            for spend, each, answer in zip(spends, ended, answers, strict=True)
            if isinstance(each, Drawn) and isinstance(answer, Answer)
        ],
    )
    return answers


async def _begun(
    unit: Unit, spends: Sequence[BasketSpend], desk: Desk
) -> list[Drawing | Answer | Refusal]:
    """Each spend as it is to be drawn, with the holds it settles; or how it has ended already."""
    keys = {each.key for spend in spends for each in spend.basket.asked}
    # Read after the locks: who waited for one may find that the same call has been answered.
    earlier, found = await at_once(
        unit,
        lambda finding: earlier_answers(finding, [(s.basket.call, s.fingerprint) for s in spends]),
        lambda finding: find_held(finding, keys),
    )
    holds = await lock_held(unit, keys, found)
    baskets = await baskets_to_draw(unit, [spend.basket for spend in spends])
    begun: list[Drawing | Answer | Refusal] = []
    for spend, basket in zip(spends, baskets, strict=True):
        call = spend.basket.call
        if answered := earlier.get(key_id(call) or _NO_KEY):
            begun.append(answered)
        elif isinstance(basket, Refusal):
            begun.append(basket)
        else:
            own = dict.fromkeys(source.key for source in basket.sources)
            settles = [hold for key in own for hold in holds[key]]
            begun.append(Drawing(basket, call, desk.policy, settles))
    return begun
