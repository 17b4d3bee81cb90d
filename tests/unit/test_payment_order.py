"""The order of payment: one test per number of rule 18."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from msgspec.structs import replace

from creditdesk.ledger.rules.burn_down import breadth, payment_order_key
from creditdesk.ledger.rules.credit import (
    Credit,
    CreditKey,
    CreditLimits,
    CreditType,
    Customer,
    Rate,
)
from creditdesk.ledger.rules.units import ChargePeriod

CREATED = datetime(2026, 1, 1, tzinfo=UTC)
LATER = CREATED + timedelta(microseconds=1)
OWNER = Customer(id=7)
EIGHT: dict[str, Any] = {"customer_id": 8}

MONEY = Credit(
    kind=CreditType.MONEY,
    id=5,
    customer_id=7,
    business_id=3,
    currency="EUR",
    remaining=10,
    created=CREATED,
    limits=CreditLimits(for_bookings=True),
)
TIME = replace(MONEY, kind=CreditType.TIME, limits=CreditLimits(), rate=Rate(1, ChargePeriod.MINUTES))
PRINTING = replace(TIME, kind=CreditType.PRINTING)
UNIVERSAL = CreditLimits(for_bookings=True, for_events=True, universal=True)


def goes_before(first: Credit, second: Credit) -> bool:
    assert payment_order_key(first, OWNER) != payment_order_key(second, OWNER)
    return payment_order_key(first, OWNER) < payment_order_key(second, OWNER)


def test_rule_18_1_own_credit_before_team_credit() -> None:
    shared_time = replace(TIME, **EIGHT, team_id=1, priority=1, expires=CREATED)

    assert goes_before(MONEY, shared_time)
    assert goes_before(replace(MONEY, team_id=9), replace(MONEY, **EIGHT, team_id=1))


def test_rule_18_1_teams_in_id_order() -> None:
    of_team_2 = replace(MONEY, **EIGHT, team_id=2)
    of_team_10 = replace(TIME, **EIGHT, team_id=10, priority=1)

    assert goes_before(of_team_2, of_team_10)
    assert goes_before(replace(MONEY, **EIGHT, team_id=None), of_team_2)


@pytest.mark.parametrize("units", [TIME, PRINTING])
def test_rule_18_2_time_and_printing_before_money(units: Credit) -> None:
    assert goes_before(replace(units, priority=90), replace(MONEY, priority=1, expires=CREATED))


def test_rule_18_3_lower_priority_number_first() -> None:
    assert MONEY.priority == 50
    assert goes_before(replace(MONEY, priority=49), replace(MONEY, expires=CREATED))
    assert goes_before(replace(MONEY, expires=CREATED), replace(MONEY, priority=51))


def test_rule_18_4_earliest_expiry_first() -> None:
    narrow = CreditLimits(for_bookings=True, resource_types=frozenset({1}))

    assert goes_before(
        replace(MONEY, limits=UNIVERSAL, expires=CREATED),
        replace(MONEY, limits=narrow, expires=LATER),
    )
    assert goes_before(
        replace(MONEY, limits=UNIVERSAL, expires=datetime(9999, 1, 1, tzinfo=UTC)),
        replace(MONEY, limits=narrow),
    )


def test_rule_18_5_narrower_before_wider() -> None:
    widening = [
        CreditLimits(universal=True, products=frozenset({1})),
        CreditLimits(for_bookings=True),
        CreditLimits(for_bookings=True, for_events=True),
        CreditLimits(universal=True),
    ]
    credits_ = [replace(MONEY, limits=limits, paid=place == 0) for place, limits in enumerate(widening)]

    for narrower, wider in pairwise(credits_):
        assert goes_before(narrower, wider)
    assert breadth(replace(MONEY, limits=CreditLimits(for_events=True))) == 1
    assert breadth(replace(MONEY, limits=UNIVERSAL)) == 3
    assert breadth(TIME) == breadth(PRINTING) == 0


@pytest.mark.parametrize(
    "listed",
    [
        {"resource_types": frozenset({1})},
        {"event_categories": frozenset({1})},
        {"products": frozenset({1})},
        {"passes": frozenset({1})},
        {"tariffs": frozenset({1})},
        {"applies_to_charges": True},
    ],
)
def test_rule_18_5_any_list_narrows_a_credit(listed: dict[str, Any]) -> None:
    assert breadth(replace(MONEY, limits=replace(UNIVERSAL, **listed))) == 0


def test_rule_18_6_free_before_paid() -> None:
    assert goes_before(replace(MONEY, valid_from=LATER), replace(MONEY, paid=True))


def test_rule_18_7_earliest_start_then_creation_then_id() -> None:
    assert goes_before(replace(MONEY, created=LATER), replace(MONEY, valid_from=CREATED))
    assert goes_before(replace(MONEY, valid_from=CREATED, created=LATER), replace(MONEY, valid_from=LATER))
    assert goes_before(replace(MONEY, id=6), replace(MONEY, created=LATER))
    assert goes_before(MONEY, replace(MONEY, id=6))


def test_rule_18_equal_ids_of_two_types_are_ordered() -> None:
    assert goes_before(PRINTING, TIME)


def test_rule_25_previously_used_credits_first() -> None:
    used = replace(MONEY, **EIGHT, team_id=1)

    assert goes_before(TIME, used)
    assert payment_order_key(used, OWNER, [used.key]) < payment_order_key(TIME, OWNER, [used.key])
    assert payment_order_key(TIME, OWNER, [CreditKey(CreditType.MONEY, 99)]) < payment_order_key(
        used, OWNER, [CreditKey(CreditType.MONEY, 99)]
    )
