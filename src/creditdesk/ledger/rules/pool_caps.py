"""Member caps on what teams share: how much of a pool a member may still draw (rule 16). Pure.

A pool is every credit of a team's paying member that is of one kind; a cap holds over all of it.
This module must not know where caps are declared or how draws are read.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from enum import IntEnum
from zoneinfo import ZoneInfo

from msgspec.structs import replace

from creditdesk.ledger.rules.amounts import Amount
from creditdesk.ledger.rules.calendar import local_date, start_of_day
from creditdesk.ledger.rules.credit import Credit, Pool
from creditdesk.ledger.rules.offers import Cap, Share


class CapPeriod(IntEnum):
    """How long a member draws against one cap, by the calendar; values as on the wire."""

    DAY = 1
    WEEK = 2
    MONTH = 3
    QUARTER = 4
    YEAR = 5


def period_start(period: CapPeriod, now: datetime, zone: ZoneInfo) -> datetime:
    """The instant at which the period of `now` began on the location's clock; weeks on Mondays."""
    day = local_date(now, zone)
    match period:
        case CapPeriod.DAY:
            first = day
        case CapPeriod.WEEK:
            first = day - timedelta(days=day.weekday())
        case CapPeriod.MONTH:
            first = day.replace(day=1)
        case CapPeriod.QUARTER:
            first = date(day.year, day.month - (day.month - 1) % 3, 1)
        case CapPeriod.YEAR:
            first = date(day.year, 1, 1)
    return start_of_day(first, zone)


@dataclass(frozen=True, slots=True)
class PoolDraw:
    """What one use took from a pool, less what came back of it, and when it was recorded."""

    recorded: datetime
    amount: Amount


@dataclass(frozen=True, slots=True)
class MemberCap:
    """A cap on a pool and one member's draws on it, in the pool's smallest step.

    `held` is what is held for the member now, by hold: it counts in whichever period it is in.
    """

    pool: Pool
    limit: Amount
    period: CapPeriod
    zone: ZoneInfo
    draws: tuple[PoolDraw, ...] = ()
    held: Mapping[int, Amount] = field(default_factory=dict)

    def remaining(self, now: datetime, released_holds: Collection[int] = ()) -> Amount:
        """What the member may still draw at `now` with the holds in `let_go` given back.

        Below zero when the cap was lowered meanwhile, or a posted use went past it.
        """
        starts = period_start(self.period, now, self.zone)
        drawn = sum(draw.amount for draw in self.draws if draw.recorded >= starts)
        held = sum(amount for hold_id, amount in self.held.items() if hold_id not in released_holds)
        return self.limit - drawn - held


def apply_caps(
    credits_: Sequence[Credit],
    caps: Sequence[MemberCap],
    now: datetime,
    released_holds: Collection[int] = (),
) -> tuple[Credit, ...]:
    """The credits with what their pool's caps leave of them; the lowest of several caps counts."""
    if not caps:
        return tuple(credits_)
    remaining: dict[Pool, Amount] = {}
    for cap in caps:
        of_this = cap.remaining(now, released_holds)
        remaining[cap.pool] = min(of_this, remaining.get(cap.pool, of_this))
    return tuple(
        replace(credit, member_cap_left=remaining[credit.pool])
        if credit.pool in remaining
        else credit
        for credit in credits_
    )


def caps_by_position(ordered: Sequence[Credit]) -> list[Cap]:
    """What the places of capped credits may give between them, one cap for each pool."""
    capped: dict[Pool, list[int]] = {}
    for place, credit in enumerate(ordered):
        if credit.pool is not None and credit.member_cap_left is not None:
            capped.setdefault(credit.pool, []).append(place)
    return [
        Cap(frozenset(places), min(_cap_left(ordered[place]) for place in places))
        for places in capped.values()
    ]


def _cap_left(credit: Credit) -> Amount:
    return credit.payable(credit.member_cap_left or 0)


def capped_total(amounts: Mapping[int, Amount], caps: Sequence[Cap]) -> Amount:
    """What these places give between them under the caps."""
    total = sum(amounts.values())
    for cap in caps:
        total -= max(0, sum(amounts[p] for p in cap.credits & amounts.keys()) - cap.limit)
    return total


def remaining_after(caps: Sequence[Cap], shares: Sequence[Share]) -> dict[int, Amount]:
    """What the member may still take of each capped place once the shares are taken."""
    remaining: dict[int, Amount] = {}
    for cap in caps:
        taken = sum(share.taken for share in shares if share.credit in cap.credits)
        remaining |= dict.fromkeys(cap.credits, cap.limit - taken)
    return remaining
