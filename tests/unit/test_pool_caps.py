"""What a member may still draw from a team's pool, and the reported reasons (rule 16)."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from msgspec import structs

from creditdesk.ledger.rules.burn_down import Allocation, allocate
from creditdesk.ledger.rules.credit import (
    Credit,
    CreditLimits,
    CreditType,
    Customer,
    Pool,
    Rate,
    Source,
    SourceKind,
    TeamSharing,
)
from creditdesk.ledger.rules.pool_caps import (
    CapPeriod,
    MemberCap,
    PoolDraw,
    apply_caps,
    caps_by_position,
    period_start,
    remaining_after,
)
from creditdesk.ledger.rules.units import ChargePeriod
from creditdesk.settings import LedgerSettings

NOW = datetime(2026, 6, 10, 12, tzinfo=UTC)
LONDON = ZoneInfo("Europe/London")
EURO = 1_0000
MEMBER = Customer(7, teams=(TeamSharing(4, shares_money=True, shares_extra_services=True),))
MONEY_POOL = Pool(4, CreditType.MONEY, "EUR")


def shared(number: int, euros: int, **changes: Any) -> Credit:
    """Money credit of customer 8, who pays for team 4."""
    credit = Credit(
        CreditType.MONEY, number, 8, 3, "EUR", euros * EURO,
        datetime(2026, 1, 1, tzinfo=UTC), limits=CreditLimits(for_bookings=True), team_id=4,
    )  # fmt: skip
    return structs.replace(credit, **changes)


def shared_time(number: int, minutes: int) -> Credit:
    rate = Rate(9, ChargePeriod.MINUTES, resource_types=frozenset({40}))
    return shared(number, 0, kind=CreditType.TIME, remaining=minutes, limits=CreditLimits(), rate=rate)


def shared_printing(number: int, uses: int) -> Credit:
    rate = Rate(9, ChargePeriod.USES)
    return shared(number, 0, kind=CreditType.PRINTING, remaining=uses, limits=CreditLimits(), rate=rate)


def booking(number: int = 1, euros: int = 20) -> Source:
    return Source(
        SourceKind.BOOKING, number, 7, 3, "EUR", euros * EURO,
        starts=NOW, ends=NOW + timedelta(hours=1), resource_type=40,
    )  # fmt: skip


def cap(most: int, pool: Pool = MONEY_POOL, **changes: Any) -> MemberCap:
    return replace(MemberCap(pool, most, CapPeriod.MONTH, LONDON), **changes)


def paid(*credits_: Credit, caps: list[MemberCap], sources: list[Source]) -> Allocation:
    return allocate(sources, apply_caps(credits_, caps, NOW), MEMBER, LedgerSettings(), NOW)


def reported_reasons(allocation: Allocation) -> dict[str, str]:
    return {str(c.credit): c.reason.value for c in allocation.sources[0].considered}


@pytest.mark.parametrize(
    ("period", "starts"),
    [
        (CapPeriod.DAY, datetime(2026, 6, 9, 23, tzinfo=UTC)),
        (CapPeriod.WEEK, datetime(2026, 6, 7, 23, tzinfo=UTC)),
        (CapPeriod.MONTH, datetime(2026, 5, 31, 23, tzinfo=UTC)),
        (CapPeriod.QUARTER, datetime(2026, 3, 31, 23, tzinfo=UTC)),
        (CapPeriod.YEAR, datetime(2026, 1, 1, tzinfo=UTC)),
    ],
)
def test_period_starts_at_local_midnight(period: CapPeriod, starts: datetime) -> None:
    assert period_start(period, NOW, LONDON) == starts


def test_uses_count_from_the_start_of_the_period() -> None:
    starts = period_start(CapPeriod.MONTH, NOW, LONDON)
    before, first = PoolDraw(starts - timedelta(microseconds=1), 30), PoolDraw(starts, 20)

    assert cap(100, draws=(before, first)).remaining(NOW) == 80


def test_cap_resets_in_the_next_period() -> None:
    drawn = cap(100, draws=(PoolDraw(NOW, 90),))

    assert drawn.remaining(NOW) == 10
    assert drawn.remaining(NOW + timedelta(days=30)) == 100


def test_holds_count_in_every_period_until_released() -> None:
    holding = cap(100, held={5: 60, 6: 10})

    assert holding.remaining(NOW) == holding.remaining(NOW + timedelta(days=30)) == 30
    assert holding.remaining(NOW, {5}) == 90


def test_lowest_of_several_caps_counts() -> None:
    caps = [cap(100), cap(20, period=CapPeriod.DAY), cap(50, period=CapPeriod.WEEK)]

    (credit,) = apply_caps([shared(1, 90)], caps, NOW)

    assert credit.member_cap_left == 20


def test_cap_covers_one_team_type_and_currency() -> None:
    others = [
        shared(1, 9, team_id=5),
        shared_time(2, 60),
        shared(3, 9, currency="GBP"),
        shared(4, 9, team_id=None),
    ]

    assert apply_caps(others, [cap(10)], NOW) == tuple(others)


def test_rule_16_cap_covers_the_whole_pool() -> None:
    found = paid(shared(1, 6), shared(2, 50), caps=[cap(10 * EURO)], sources=[booking(euros=20)])

    assert [p.taken for p in found.sources[0].parts] == [6 * EURO, 4 * EURO]
    assert found.sources[0].uncovered == 10 * EURO


def test_rule_16_cap_covers_the_whole_basket() -> None:
    sources = [booking(1), booking(2)]

    found = paid(shared(1, 30), shared(2, 30), caps=[cap(25 * EURO)], sources=sources)

    assert sum(found.taken_by_credit().values()) == 25 * EURO


def test_rule_19_capped_credit_has_member_cap_reason() -> None:
    sources = [booking(euros=20)]

    found = paid(shared(1, 50), shared(2, 50), caps=[cap(10 * EURO)], sources=sources)
    assert reported_reasons(found) == {"money/1": "used", "money/2": "member_cap"}

    found = paid(shared(1, 50), caps=[cap(10 * EURO, draws=(PoolDraw(NOW, 12 * EURO),))], sources=sources)
    assert reported_reasons(found) == {"money/1": "member_cap"}

    found = paid(shared(1, 50), shared(2, 50), caps=[cap(20 * EURO)], sources=sources)
    assert reported_reasons(found) == {"money/1": "used", "money/2": "not_needed"}


def test_rule_19_cap_below_one_interval_has_member_cap_reason() -> None:
    pool = Pool(4, CreditType.TIME, "")

    found = paid(shared_time(1, 60), caps=[cap(10, pool)], sources=[booking()])
    assert reported_reasons(found) == {"time/1": "member_cap"}

    found = paid(shared_time(1, 10), caps=[cap(40, pool)], sources=[booking()])
    assert reported_reasons(found) == {"time/1": "less_than_a_step"}

    found = paid(shared_time(1, 30), shared_time(2, 30), caps=[cap(40, pool)], sources=[booking()])
    assert reported_reasons(found) == {"time/1": "used", "time/2": "member_cap"}


def test_rule_21_cap_below_a_print_job_prevents_it() -> None:
    job = structs.replace(booking(), kind=SourceKind.PRINT_JOB, print_units=10)
    pool = Pool(4, CreditType.PRINTING, "")
    credits_ = [shared_printing(1, 6), shared_printing(2, 6)]

    found = paid(*credits_, caps=[cap(9, pool)], sources=[job])
    assert reported_reasons(found) == {"printing/1": "member_cap", "printing/2": "member_cap"}

    found = paid(*credits_, caps=[cap(10, pool)], sources=[job])
    assert [p.taken for p in found.sources[0].parts] == [6, 4]

    found = paid(*credits_, caps=[cap(20, pool)], sources=[structs.replace(job, print_units=13)])
    assert reported_reasons(found) == {
        "printing/1": "print_needs_whole",
        "printing/2": "print_needs_whole",
    }


def test_released_hold_of_the_source_does_not_count() -> None:
    (seen,) = apply_caps([shared(1, 50)], [cap(30 * EURO, held={9: 20 * EURO})], NOW, {9})
    assert seen.member_cap_left == 30 * EURO


def test_each_pool_has_its_own_cap() -> None:
    time_pool = Pool(4, CreditType.TIME, "")
    credits_ = apply_caps(
        [shared(1, 50), shared_time(2, 600)],
        [cap(30 * EURO), cap(60, time_pool)],
        NOW,
    )
    found = caps_by_position(credits_)
    assert sorted((sorted(each.credits), each.limit) for each in found) == [
        ([0], 30 * EURO), ([1], 60),
    ]  # fmt: skip
    assert remaining_after(found, []) == {0: 30 * EURO, 1: 60}


@pytest.mark.parametrize("left", [0, -5 * EURO])
def test_exhausted_cap_leaves_nothing(left: int) -> None:
    (found,) = caps_by_position([shared(1, 50, member_cap_left=left)])
    assert found.limit == 0
