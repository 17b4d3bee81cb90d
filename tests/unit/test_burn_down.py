"""Allocation of a basket, and the document that explains it (rules 16 to 22, 25)."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from msgspec.structs import replace

from creditdesk.ledger.rules.burn_down import Allocation, allocate
from creditdesk.ledger.rules.credit import (
    Credit,
    CreditKey,
    CreditLimits,
    CreditType,
    Customer,
    Rate,
    Source,
    SourceKind,
    TeamSharing,
)
from creditdesk.ledger.rules.eligibility import ReasonCode
from creditdesk.ledger.rules.units import ChargePeriod
from creditdesk.settings import LedgerSettings

NOW = datetime(2026, 6, 10, 12, tzinfo=UTC)
STARTS = datetime(2026, 6, 20, 9, tzinfo=UTC)
OWNER = Customer(id=7)
EURO = 1_0000


def money(number: int, euros: float, **changes: Any) -> Credit:
    """A money credit that pays for bookings, events and everything else."""
    credit = Credit(
        kind=CreditType.MONEY,
        id=number,
        customer_id=7,
        business_id=3,
        currency="EUR",
        remaining=int(euros * EURO),
        created=datetime(2026, 1, 1, tzinfo=UTC),
        limits=CreditLimits(for_bookings=True, for_events=True, universal=True),
    )
    return replace(credit, **changes)


def time(number: int, uses: int, period: ChargePeriod = ChargePeriod.MINUTES, **changes: Any) -> Credit:
    """A time credit for meeting rooms, type 40."""
    rate = Rate(500 + number, period, price=12 * EURO, resource_types=frozenset({40}))
    credit = money(number, 0, kind=CreditType.TIME, remaining=uses, limits=CreditLimits(), rate=rate)
    return replace(credit, **changes)


def printing(number: int, uses: int, **changes: Any) -> Credit:
    rate = Rate(700, ChargePeriod.USES, price=EURO // 100)
    credit = money(number, 0, kind=CreditType.PRINTING, remaining=uses, limits=CreditLimits(), rate=rate)
    return replace(credit, **changes)


def booking(number: int = 1, euros: float = 20, hours: float = 1, **changes: Any) -> Source:
    source = Source(
        kind=SourceKind.BOOKING,
        id=number,
        customer_id=7,
        business_id=3,
        currency="EUR",
        price=int(euros * EURO),
        starts=STARTS,
        ends=STARTS + timedelta(hours=hours),
        resource_type=40,
    )
    return replace(source, **changes)


def print_job(units: int, euros: float) -> Source:
    return replace(booking(), kind=SourceKind.PRINT_JOB, price=int(euros * EURO), print_units=units)


def paid(
    sources: Source | list[Source],
    *credits_: Credit,
    owner: Customer = OWNER,
    policy: LedgerSettings | None = None,
    already_used: tuple[CreditKey, ...] = (),
) -> Allocation:
    basket = [sources] if isinstance(sources, Source) else sources
    return allocate(basket, credits_, owner, policy or LedgerSettings(), NOW, previously_used=already_used)


def parts(allocation: Allocation, place: int = 0) -> list[tuple[str, int, int]]:
    return [(str(p.credit), p.taken, p.covered) for p in allocation.sources[place].parts]


def reasons(allocation: Allocation, place: int = 0) -> dict[str, ReasonCode]:
    return {str(c.credit): c.reason for c in allocation.sources[place].considered}


# Rule 18


def test_rule_18_credits_pay_in_order() -> None:
    found = paid(booking(euros=50), money(3, 10), money(2, 30, priority=60), time(1, 15))

    assert parts(found) == [
        ("time/1", 15, 12_5000),
        ("money/3", 10 * EURO, 10 * EURO),
        ("money/2", 27_5000, 27_5000),
    ]
    assert found.sources[0].uncovered == 0
    assert paid(booking(euros=50), money(3, 10)).sources[0].uncovered == 40 * EURO


def test_rule_18_own_credit_pays_before_team_credit() -> None:
    owner = Customer(7, teams=(TeamSharing(4, shares_money=True, shares_extra_services=True),))
    shared = time(1, 600, customer_id=8, team_id=4)

    found = paid(booking(euros=20), shared, money(2, 5), owner=owner)

    assert parts(found) == [("money/2", 5 * EURO, 5 * EURO), ("time/1", 45, 15 * EURO)]


def test_rule_16_credit_shared_by_two_teams_pays_once() -> None:
    owner = Customer(7, teams=(TeamSharing(4, shares_money=True), TeamSharing(6, shares_money=True)))
    reached = money(1, 15, customer_id=8)
    ways = [replace(reached, team_id=6), replace(reached, team_id=4)]

    found = paid(booking(euros=50), *ways, owner=owner)

    assert parts(found) == [("money/1", 15 * EURO, 15 * EURO)]
    assert len(found.sources[0].considered) == 1


def test_rule_16_first_of_several_shares_counts() -> None:
    owner = Customer(7, teams=(TeamSharing(4, shares_money=True), TeamSharing(6)))
    reached = money(1, 15, customer_id=8)
    ways = [replace(reached, team_id=6), replace(reached, team_id=4)]

    assert parts(paid(booking(), *ways, owner=owner)) == [("money/1", 15 * EURO, 15 * EURO)]


def test_rule_16_member_draws_up_to_the_cap() -> None:
    assert parts(paid(booking(), money(1, 15, member_cap_left=4 * EURO))) == [("money/1", 4 * EURO, 4 * EURO)]


def test_rule_26_held_amount_is_not_available() -> None:
    assert parts(paid(booking(), money(1, 15, held=5 * EURO))) == [("money/1", 10 * EURO, 10 * EURO)]


# Rules 20 and 21


@pytest.mark.parametrize(
    ("period", "uses", "hours", "taken", "covered"),
    [
        (ChargePeriod.MINUTES, 600, 2, 120, 120),
        (ChargePeriod.MINUTES, 44, 2, 30, 30),
        (ChargePeriod.MINUTES, 45, 2, 45, 45),
        (ChargePeriod.MINUTES, 15, 2, 15, 15),
        (ChargePeriod.DAYS, 9, 2, 1, 120),
        (ChargePeriod.DAYS, 2, 3 * 24, 2, 60),
        (ChargePeriod.WEEKS, 1, 9 * 24, 1, 60),
        (ChargePeriod.MONTHS, 2, 70 * 24, 2, 80),
        (ChargePeriod.FOUR_WEEK_MONTHS, 1, 70 * 24, 1, 40),
        (ChargePeriod.USES, 3, 70 * 24, 1, 120),
    ],
)
def test_rule_21_partial_cover_is_in_whole_units(
    period: ChargePeriod, uses: int, hours: int, taken: int, covered: int
) -> None:
    found = paid(booking(euros=120, hours=hours), time(1, uses, period))

    assert parts(found) == [("time/1", taken, covered * EURO)]
    assert found.sources[0].uncovered == (120 - covered) * EURO


def test_rule_21_less_than_one_interval_pays_nothing() -> None:
    assert reasons(paid(booking(), time(1, 14))) == {"time/1": ReasonCode.LESS_THAN_A_STEP}
    assert reasons(paid(booking(interval_minutes=30), time(1, 29))) == {"time/1": ReasonCode.LESS_THAN_A_STEP}
    assert reasons(paid(booking(interval_minutes=10), time(1, 14))) == {"time/1": ReasonCode.USED}


def test_rule_20_night_pricing_counts_nights() -> None:
    stay = booking(euros=90, hours=48)

    assert parts(paid(stay, time(1, 3, ChargePeriod.DAYS))) == [("time/1", 3, 90 * EURO)]
    assert parts(paid(replace(stay, per_night=True), time(1, 3, ChargePeriod.DAYS))) == [("time/1", 2, 90 * EURO)]


def test_rule_20_end_of_summer_time_adds_an_hour() -> None:
    london = ZoneInfo("Europe/London")
    night = booking(
        euros=90,
        starts=datetime(2026, 10, 24, 22, tzinfo=london).astimezone(UTC),
        ends=datetime(2026, 10, 25, 6, tzinfo=london).astimezone(UTC),
        zone=london,
    )

    assert parts(paid(night, time(1, 600))) == [("time/1", 9 * 60, 90 * EURO)]


def test_rule_21_uncovered_price_is_proportional_and_rounded() -> None:
    three_days = booking(euros=100, hours=60)

    found = paid(three_days, time(1, 1, ChargePeriod.DAYS))

    assert parts(found) == [("time/1", 1, 33_3300)]
    assert found.sources[0].uncovered == 66_6700


@pytest.mark.parametrize(
    ("currency", "covered", "uncovered"),
    [("JPY", 33_0000, 67_0000), ("EUR", 33_3300, 66_6700), ("KWD", 33_3330, 66_6670)],
)
def test_rule_3_parts_and_uncovered_price_have_currency_digits(currency: str, covered: int, uncovered: int) -> None:
    three_days = booking(euros=100, hours=60, currency=currency)

    found = paid(three_days, time(1, 1, ChargePeriod.DAYS, currency=currency))

    assert parts(found) == [("time/1", 1, covered)]
    assert found.sources[0].uncovered == uncovered


def test_rule_3_exact_half_is_rounded() -> None:
    eight_days = booking(euros=100, hours=8 * 24 - 12, currency="JPY")

    found = paid(eight_days, time(1, 1, ChargePeriod.DAYS, currency="JPY"))

    assert parts(found) == [("time/1", 1, 12_0000)]
    assert found.sources[0].uncovered == 88_0000


@pytest.mark.parametrize(("currency", "taken"), [("JPY", 10_0000), ("EUR", 10_9900), ("KWD", 10_9990)])
def test_rule_3_money_credit_pays_in_currency_digits(currency: str, taken: int) -> None:
    found = paid(booking(currency=currency), money(1, 10.9999, currency=currency))

    assert parts(found) == [("money/1", taken, taken)]
    assert found.sources[0].uncovered == 20_0000 - taken


def test_rule_3_balance_below_the_smallest_amount_is_empty() -> None:
    found = paid(booking(currency="JPY"), money(1, 0.5, currency="JPY"))

    assert reasons(found) == {"money/1": ReasonCode.EMPTY}


@pytest.mark.parametrize(("currency", "taken"), [("JPY", 7_0000), ("KWD", 7_1420)])
def test_rule_3_member_cap_has_currency_digits(currency: str, taken: int) -> None:
    shared = money(1, 20, currency=currency, customer_id=8, team_id=5, member_cap_left=7_1428)
    member = Customer(7, teams=(TeamSharing(5, shares_money=True),))

    assert parts(paid(booking(currency=currency), shared, owner=member)) == [("money/1", taken, taken)]


def test_rule_21_print_job_is_all_or_nothing() -> None:
    job = print_job(units=50, euros=0.5)

    assert parts(paid(job, printing(1, 50))) == [("printing/1", 50, 5000)]
    assert reasons(paid(job, printing(1, 49))) == {"printing/1": ReasonCode.PRINT_NEEDS_WHOLE}
    assert parts(paid(job, printing(1, 49, overdraft=1))) == [("printing/1", 50, 5000)]
    assert parts(paid(job, printing(1, 30), printing(2, 30))) == [
        ("printing/1", 30, 3000),
        ("printing/2", 20, 2000),
    ]
    assert reasons(paid(job, printing(1, 30), printing(2, 19))) == {
        "printing/1": ReasonCode.PRINT_NEEDS_WHOLE,
        "printing/2": ReasonCode.PRINT_NEEDS_WHOLE,
    }


def test_rule_21_ineligible_credit_does_not_complete_a_print_job() -> None:
    found = paid(print_job(50, 0.5), printing(1, 30), printing(2, 30, currency="GBP"))

    assert reasons(found) == {
        "printing/1": ReasonCode.PRINT_NEEDS_WHOLE,
        "printing/2": ReasonCode.OTHER_CURRENCY,
    }


def test_rule_21_money_pays_print_job_beyond_printing_credit() -> None:
    found = paid(print_job(50, 0.5), printing(1, 49), money(2, 1))

    assert parts(found) == [("money/2", 5000, 5000)]
    assert parts(paid(print_job(50, 0.5), printing(1, 49), money(2, 0.3))) == [("money/2", 3000, 3000)]


# Rule 22


def test_rule_22_only_credit_with_the_flag_pays_the_credit_price() -> None:
    room = booking(euros=100, credit_price=80 * EURO)
    at_credit_price = money(1, 40, use_credit_price=True)

    found = paid(room, at_credit_price, money(2, 90))

    assert parts(found) == [("money/1", 40 * EURO, 50 * EURO), ("money/2", 50 * EURO, 50 * EURO)]
    assert [part.at_credit_price for part in found.sources[0].parts] == [True, False]
    assert parts(paid(room, money(1, 200))) == [("money/1", 100 * EURO, 100 * EURO)]


@pytest.mark.parametrize("credit_price", [None, 0])
def test_rule_22_rate_without_credit_price_charges_the_price(
    credit_price: int | None,
) -> None:
    room = booking(euros=20, credit_price=credit_price)

    found = paid(room, money(1, 40, use_credit_price=True))

    assert parts(found) == [("money/1", 20 * EURO, 20 * EURO)]
    assert not found.sources[0].parts[0].at_credit_price


def test_rule_22_rest_after_time_credit_is_paid_at_credit_price() -> None:
    room = booking(euros=100, hours=2, credit_price=80 * EURO)

    found = paid(room, time(1, 60), money(2, 90, use_credit_price=True))

    assert parts(found) == [("time/1", 60, 50 * EURO), ("money/2", 40 * EURO, 50 * EURO)]


# Rule 19


def test_rule_19_every_considered_credit_has_a_reason() -> None:
    found = paid(
        [booking(1, 20), booking(2, 20)],
        money(1, 20, priority=1),
        money(2, 50, priority=2, expires=STARTS),
        money(3, 0, priority=3),
        money(4, 5, priority=4),
    )

    assert reasons(found, 0) == {
        "money/1": ReasonCode.USED,
        "money/2": ReasonCode.EXPIRED,
        "money/3": ReasonCode.EMPTY,
        "money/4": ReasonCode.NOT_NEEDED,
    }
    assert reasons(found, 1) == {
        "money/1": ReasonCode.USED_ELSEWHERE,
        "money/2": ReasonCode.EXPIRED,
        "money/3": ReasonCode.EMPTY,
        "money/4": ReasonCode.USED,
    }
    assert [seen.rank for seen in found.sources[0].considered] == [1, 2, 3, 4]
    assert [seen.available for seen in found.sources[0].considered] == [
        20 * EURO,
        50 * EURO,
        0,
        5 * EURO,
    ]


def test_free_source_takes_no_credit() -> None:
    found = paid(booking(euros=0), time(1, 600), money(2, 5))

    assert parts(found) == []
    assert set(reasons(found).values()) == {ReasonCode.NOT_NEEDED}
    assert found.sources[0].uncovered == 0


def test_free_source_still_reports_ineligible_credit() -> None:
    assert reasons(paid(booking(euros=0), money(1, 5, currency="GBP"))) == {"money/1": ReasonCode.OTHER_CURRENCY}


# Several sources


def test_basket_uses_credit_that_only_one_source_accepts() -> None:
    room, desk = booking(1, 20), booking(2, 20, resource_type=41)
    rooms_only = CreditLimits(for_bookings=True, resource_types=frozenset({40}))

    found = paid([room, desk], money(1, 20, priority=1), money(2, 20, limits=rooms_only))

    assert parts(found, 0) == [("money/2", 20 * EURO, 20 * EURO)]
    assert parts(found, 1) == [("money/1", 20 * EURO, 20 * EURO)]
    assert found.taken_by_credit() == {
        CreditKey(CreditType.MONEY, 1): 20 * EURO,
        CreditKey(CreditType.MONEY, 2): 20 * EURO,
    }
    assert [key.id for key in found.taken_by_credit()] == [1, 2]


def test_credit_paying_several_sources_is_summed() -> None:
    found = paid([booking(1, 20), booking(2, 5)], money(1, 50))

    assert found.taken_by_credit() == {CreditKey(CreditType.MONEY, 1): 25 * EURO}
    assert [source.source.id for source in found.sources] == [1, 2]
    assert found.exact


def test_empty_basket_and_no_credits() -> None:
    assert paid([], money(1, 5)).sources == ()
    assert paid(booking(euros=20)).sources[0].uncovered == 20 * EURO


def test_basket_of_two_customers_is_rejected() -> None:
    with pytest.raises(ValueError, match="booking/2 is not of customer 7"):
        paid([booking(1), booking(2, customer_id=8)])


def test_rule_25_changed_booking_prefers_previous_credits() -> None:
    first, second = money(1, 20, priority=1), money(2, 20)

    assert parts(paid(booking(), first, second)) == [("money/1", 20 * EURO, 20 * EURO)]
    assert parts(paid(booking(), first, second, already_used=(second.key,))) == [("money/2", 20 * EURO, 20 * EURO)]


def test_settings_reach_every_check() -> None:
    elsewhere = money(1, 50, business_id=9)

    assert reasons(paid(booking(), elsewhere)) == {"money/1": ReasonCode.OTHER_LOCATION}
    assert parts(paid(booking(), elsewhere, policy=LedgerSettings(cross_location=True))) == [
        ("money/1", 20 * EURO, 20 * EURO)
    ]


# The document


def test_rule_19_document_is_complete_and_exact() -> None:
    room = booking(17, euros=50, hours=2, credit_price=40 * EURO)

    document = paid(room, time(1, 60), money(2, 10), money(3, 10, currency="GBP")).to_document()

    assert document == {
        "rules_version": 1,
        "customer_id": 7,
        "decided": "2026-06-10T12:00:00Z",
        "exact": True,
        "sources": [
            {
                "source": "booking/17",
                "currency": "EUR",
                "price": "50.0000",
                "credit_price": "40.0000",
                "uncovered": "15.0000",
                "parts": [
                    {
                        "credit": "time/1",
                        "taken": 60,
                        "covered": "25.0000",
                        "all_units": 120,
                        "rate": 501,
                        "charge_period": "minutes",
                        "unit_price": "12.0000",
                    },
                    {
                        "credit": "money/2",
                        "taken": "10.0000",
                        "covered": "10.0000",
                        "at_credit_price": False,
                    },
                ],
                "considered": [
                    {"credit": "time/1", "rank": 1, "available": 60, "reason": "used"},
                    {"credit": "money/2", "rank": 2, "available": "10.0000", "reason": "used"},
                    {
                        "credit": "money/3",
                        "rank": 3,
                        "available": "10.0000",
                        "reason": "other_currency",
                    },
                ],
            }
        ],
    }
    assert json.loads(json.dumps(document)) == document


def test_document_of_print_job_without_rate() -> None:
    document = paid(print_job(50, 0.5), printing(1, 60, rate=None)).to_document()

    assert document["sources"][0]["parts"] == [  # type: ignore[index]
        {"credit": "printing/1", "taken": 50, "covered": "0.5000", "all_units": 50}
    ]
    assert document["sources"][0]["credit_price"] is None  # type: ignore[index]


def test_allocation_is_independent_of_credit_order() -> None:
    basket = [booking(1, 20), booking(2, 35, hours=3)]
    credits_ = [time(1, 90), money(2, 10), money(3, 7.5, expires=STARTS + timedelta(days=1))]

    assert paid(basket, *credits_) == paid(basket, *reversed(credits_))


def test_taken_amounts_are_listed_in_payment_order() -> None:
    first, second = money(9, 5, expires=STARTS + timedelta(days=1)), money(2, 50)
    taken = paid(booking(euros=20), second, first).taken_by_credit()
    assert [str(credit) for credit in taken] == ["money/9", "money/2"]


def test_rule_12_charge_is_paid_by_currently_valid_credit() -> None:
    charge = replace(booking(), kind=SourceKind.CHARGE, starts=None, ends=None, resource_type=None)
    expired = money(1, 50, expires=NOW)
    valid = money(2, 50, expires=NOW + timedelta(seconds=1))
    allocation = paid(charge, expired, valid)
    assert [credit for credit, _, _ in parts(allocation)] == ["money/2"]
    assert reasons(allocation)["money/1"] is ReasonCode.EXPIRED


def test_rule_21_one_whole_print_job_rather_than_two_parts() -> None:
    jobs = [replace(print_job(30, 30), id=1), replace(print_job(20, 20), id=2)]
    allocation = paid(jobs, printing(1, 45))
    taken = [part.taken for source in allocation.sources for part in source.parts]
    assert taken == [30]
