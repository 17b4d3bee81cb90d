"""Member caps on shared credit: how much of a pool a member may still draw (rule 16).

A pool is all credit of one kind of a team's paying member. A cap covers the whole pool.
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
    """The calendar period of a cap; the values are those of the API."""

    DAY = 1
    WEEK = 2
    MONTH = 3
    QUARTER = 4
    YEAR = 5


def period_start(period: CapPeriod, now: datetime, zone: ZoneInfo) -> datetime:
    """The start of the period that contains `now`, in local time; weeks start on Mondays."""
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
    """What one use took from a pool, net of reversals, and when it was recorded."""

    recorded: datetime
    amount: Amount


@dataclass(frozen=True, slots=True)
class MemberCap:
    """A cap on a pool and one member's draws on it, in the pool's smallest unit.

    `held` is what is held for the member now, by hold. It counts in every period.
    """

    pool: Pool
    limit: Amount
    period: CapPeriod
    zone: ZoneInfo
    draws: tuple[PoolDraw, ...] = ()
    held: Mapping[int, Amount] = field(default_factory=dict)

    def remaining(self, now: datetime, released_holds: Collection[int] = ()) -> Amount:
        """What the member may still draw at `now`, not counting the `released_holds`.

        Negative when the cap was lowered since, or a posted use exceeded it.
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
    """The credits with `member_cap_left` set; the lowest of several caps on a pool counts."""
    if not caps:
        return tuple(credits_)
    remaining: dict[Pool, Amount] = {}
    for cap in caps:
        of_this = cap.remaining(now, released_holds)
        remaining[cap.pool] = min(of_this, remaining.get(cap.pool, of_this))
    return tuple(
        replace(credit, member_cap_left=remaining[credit.pool]) if credit.pool in remaining else credit
        for credit in credits_
    )


def caps_by_position(ordered: Sequence[Credit]) -> list[Cap]:
    """One cap for each pool, over the positions of its capped credits."""
    capped: dict[Pool, list[int]] = {}
    for place, credit in enumerate(ordered):
        if credit.pool is not None and credit.member_cap_left is not None:
            capped.setdefault(credit.pool, []).append(place)
    return [Cap(frozenset(places), min(_cap_left(ordered[place]) for place in places)) for places in capped.values()]


def _cap_left(credit: Credit) -> Amount:
    return credit.payable(credit.member_cap_left or 0)


def capped_total(amounts: Mapping[int, Amount], caps: Sequence[Cap]) -> Amount:
    """The total of the amounts at these positions under the caps."""
    total = sum(amounts.values())
    for cap in caps:
        total -= max(0, sum(amounts[p] for p in cap.credits & amounts.keys()) - cap.limit)
    return total


def remaining_after(caps: Sequence[Cap], shares: Sequence[Share]) -> dict[int, Amount]:
    """What is left of the cap at each capped position after the shares."""
    remaining: dict[int, Amount] = {}
    for cap in caps:
        taken = sum(share.taken for share in shares if share.credit in cap.credits)
        remaining |= dict.fromkeys(cap.credits, cap.limit - taken)
    return remaining
