"""Whether a credit may pay for a source, and the reason if not (rules 5, 12 to 17, 19, 28, 33)."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from creditdesk.ledger.rules.credit import (
    Credit,
    CreditKey,
    CreditLimits,
    CreditType,
    Customer,
    Rate,
    Source,
    SourceKey,
    SourceKind,
    TeamSharing,
    extra_service_type,
    format_utc,
)
from creditdesk.ledger.rules.eligibility import (
    ReasonCode,
    ineligibility_reason,
    required_validity_instant,
)
from creditdesk.ledger.rules.units import ChargePeriod
from creditdesk.settings import LedgerSettings, ValidityInstant

NOW = datetime(2026, 6, 10, 12, tzinfo=UTC)
STARTS = datetime(2026, 6, 20, 9, tzinfo=UTC)
INSTANT = timedelta(microseconds=1)

MONEY = Credit(
    kind=CreditType.MONEY,
    id=1,
    customer_id=7,
    business_id=3,
    currency="EUR",
    remaining=100_0000,
    created=datetime(2026, 1, 1, tzinfo=UTC),
    limits=CreditLimits(for_bookings=True, for_events=True, universal=True),
)
RATE = Rate(id=5, charge_period=ChargePeriod.MINUTES, price=5000, resource_types=frozenset({40, 41}))
TIME = replace(MONEY, kind=CreditType.TIME, id=2, remaining=60, limits=CreditLimits(), rate=RATE)
PRINTING = replace(TIME, kind=CreditType.PRINTING, id=3)
BOOKING = Source(
    kind=SourceKind.BOOKING,
    id=11,
    customer_id=7,
    business_id=3,
    currency="EUR",
    price=20_0000,
    starts=STARTS,
    ends=STARTS + timedelta(hours=1),
    resource_type=40,
)
EVENT = replace(BOOKING, kind=SourceKind.EVENT_ATTENDANCE, resource_type=None, event_categories=frozenset({80}))
THING = replace(BOOKING, kind=SourceKind.PRODUCT, starts=None, ends=None, resource_type=None)
PRODUCT = replace(THING, product_id=60)
TIME_PASS = replace(THING, kind=SourceKind.TIME_PASS, pass_id=61)
PLAN = replace(THING, kind=SourceKind.PLAN, tariff_id=62)
CHARGE = replace(THING, kind=SourceKind.CHARGE)
LINE = replace(THING, kind=SourceKind.INVOICE_LINE)
PRINT_JOB = replace(THING, kind=SourceKind.PRINT_JOB, print_units=50)
OWNER = Customer(id=7, plans=frozenset({62}))
POLICY = LedgerSettings()


def against(
    credit: Credit,
    source: Source = BOOKING,
    owner: Customer = OWNER,
    policy: LedgerSettings = POLICY,
    now: datetime = NOW,
) -> ReasonCode | None:
    return ineligibility_reason(credit, source, owner, policy, now)


def limited(**limits: Any) -> Credit:
    return replace(MONEY, limits=CreditLimits(**limits))


@pytest.mark.parametrize("credit", [MONEY, TIME])
def test_own_valid_credit_pays_for_a_booking(credit: Credit) -> None:
    assert against(credit) is None


# Rule 5


@pytest.mark.parametrize(
    ("booking_id", "unique_id", "printing", "kind"),
    [
        (9, None, False, CreditType.BOOKING_CHARGE),
        (None, "a-b", True, CreditType.BOOKING_CHARGE),
        (None, None, True, CreditType.PRINTING),
        (None, None, False, CreditType.TIME),
        (0, "", False, CreditType.TIME),
    ],
)
def test_rule_5_type_of_an_extra_service(
    booking_id: int | None, unique_id: str | None, printing: bool, kind: CreditType
) -> None:
    found = extra_service_type(booking_id=booking_id, booking_unique_id=unique_id, is_printing_credit=printing)

    assert found is kind


def test_rule_5_booking_charge_is_not_a_credit() -> None:
    charge = replace(TIME, kind=CreditType.BOOKING_CHARGE, customer_id=8, remaining=0)

    assert against(charge) is ReasonCode.BOOKING_CHARGE


# Rule 12


@pytest.mark.parametrize(
    ("valid_from", "expires", "reason"),
    [
        (None, None, None),
        (STARTS, None, None),
        (STARTS + INSTANT, None, ReasonCode.NOT_YET_VALID),
        (None, STARTS + INSTANT, None),
        (None, STARTS, ReasonCode.EXPIRED),
        (STARTS - INSTANT, STARTS + INSTANT, None),
    ],
)
@pytest.mark.parametrize("source", [BOOKING, EVENT])
def test_rule_12_credit_must_be_valid_at_service_start(
    source: Source, valid_from: datetime | None, expires: datetime | None, reason: ReasonCode | None
) -> None:
    assert against(replace(MONEY, valid_from=valid_from, expires=expires), source) is reason


@pytest.mark.parametrize("source", [PRODUCT, TIME_PASS, PLAN, CHARGE, LINE])
def test_rule_12_other_sources_need_credit_valid_now(source: Source) -> None:
    assert against(replace(MONEY, expires=NOW + INSTANT), source) is None
    assert against(replace(MONEY, expires=NOW), source) is ReasonCode.EXPIRED
    assert against(replace(MONEY, valid_from=NOW), source) is None
    assert against(replace(MONEY, valid_from=NOW + INSTANT), source) is ReasonCode.NOT_YET_VALID
    assert required_validity_instant(replace(source, starts=STARTS), POLICY, NOW) == NOW


def test_rule_12_validity_at_spend_time_setting() -> None:
    spend_time = LedgerSettings(validity_instant=ValidityInstant.SPEND_TIME)
    expires_before_the_booking = replace(MONEY, expires=NOW + INSTANT)

    assert against(expires_before_the_booking) is ReasonCode.EXPIRED
    assert against(expires_before_the_booking, policy=spend_time) is None


def test_rule_12_event_without_start_needs_credit_valid_now() -> None:
    assert required_validity_instant(replace(EVENT, starts=None), POLICY, NOW) == NOW
    assert required_validity_instant(EVENT, POLICY, NOW) == STARTS


def test_rule_28_expired_credit_is_unusable_at_once() -> None:
    assert against(replace(MONEY, expires=STARTS, remaining=1)) is ReasonCode.EXPIRED


# Rule 13


@pytest.mark.parametrize(
    ("limits", "source", "reason"),
    [
        ({"for_bookings": True}, BOOKING, None),
        ({"for_events": True, "universal": True}, BOOKING, ReasonCode.NOT_FOR_BOOKINGS),
        ({"for_bookings": True, "resource_types": {40, 50}}, BOOKING, None),
        ({"for_bookings": True, "resource_types": {50}}, BOOKING, ReasonCode.WRONG_RESOURCE_TYPE),
        ({"for_bookings": True, "event_categories": {99}}, BOOKING, None),
        ({"for_events": True}, EVENT, None),
        ({"for_bookings": True, "universal": True}, EVENT, ReasonCode.NOT_FOR_EVENTS),
        ({"for_events": True, "event_categories": {80, 81}}, EVENT, None),
        ({"for_events": True, "event_categories": {81}}, EVENT, ReasonCode.WRONG_EVENT_CATEGORY),
        ({"for_events": True, "resource_types": {50}}, EVENT, None),
    ],
)
def test_rule_13_bookings_and_events_need_flag_and_listed_type(
    limits: dict[str, Any], source: Source, reason: ReasonCode | None
) -> None:
    assert against(limited(**limits), source) is reason


@pytest.mark.parametrize("source", [PRODUCT, TIME_PASS, PLAN, CHARGE, LINE, PRINT_JOB])
def test_rule_13_other_sources_need_universal_credit(source: Source) -> None:
    assert against(limited(for_bookings=True, for_events=True), source) is ReasonCode.NOT_UNIVERSAL
    assert against(limited(universal=True), source) is None


LISTS: dict[str, dict[str, Any]] = {
    "products": {"products": {60}},
    "passes": {"passes": {61}},
    "tariffs": {"tariffs": {62}},
    "charges": {"applies_to_charges": True},
}


@pytest.mark.parametrize(
    ("source", "listed_by"),
    [
        (PRODUCT, "products"),
        (TIME_PASS, "passes"),
        (PLAN, "tariffs"),
        (CHARGE, "charges"),
        (PRINT_JOB, "charges"),
        (LINE, "charges"),
        (replace(LINE, product_id=60), "products"),
        (replace(LINE, pass_id=61), "passes"),
        (replace(LINE, tariff_id=62), "tariffs"),
        (replace(CHARGE, product_id=60), "charges"),
    ],
)
@pytest.mark.parametrize("limit", LISTS)
def test_rule_13_universal_credit_with_lists_pays_only_listed_items(source: Source, listed_by: str, limit: str) -> None:
    expected = None if limit == listed_by else ReasonCode.NOT_LISTED

    assert against(limited(universal=True, **LISTS[limit]), source) is expected


def test_rule_13_unlisted_product_is_rejected() -> None:
    assert against(limited(universal=True, products={99}), PRODUCT) is ReasonCode.NOT_LISTED
    assert against(limited(universal=True, passes={99}), TIME_PASS) is ReasonCode.NOT_LISTED
    assert against(limited(universal=True, tariffs={99}), PLAN) is ReasonCode.NOT_LISTED


# Rule 14


def test_rule_14_plans_on_non_universal_credit_limit_its_users() -> None:
    for_plan_holders = limited(for_bookings=True, tariffs={62})

    assert against(for_plan_holders) is None
    assert against(for_plan_holders, owner=Customer(7, plans=frozenset({63}))) is ReasonCode.WRONG_PLAN
    assert against(for_plan_holders, owner=Customer(7)) is ReasonCode.WRONG_PLAN


def test_rule_14_plans_on_universal_credit_do_not_limit_its_users() -> None:
    credit = limited(universal=True, for_bookings=True, tariffs={62})

    assert against(credit, owner=Customer(7)) is None
    assert against(credit, PLAN, owner=Customer(7)) is None


# Rule 15


def test_rule_15_time_credit_pays_resource_types_of_its_rate() -> None:
    assert against(TIME, replace(BOOKING, resource_type=41)) is None
    assert against(TIME, replace(BOOKING, resource_type=42)) is ReasonCode.WRONG_RESOURCE_TYPE
    assert against(TIME, replace(BOOKING, resource_type=None)) is ReasonCode.WRONG_RESOURCE_TYPE


def test_rule_15_rate_without_resource_types_pays_nothing() -> None:
    unset = replace(TIME, rate=replace(RATE, resource_types=frozenset()))

    assert against(unset) is ReasonCode.WRONG_RESOURCE_TYPE
    assert against(replace(TIME, rate=None)) is ReasonCode.WRONG_RATE


@pytest.mark.parametrize("source", [EVENT, PRODUCT, TIME_PASS, PLAN, CHARGE, LINE, PRINT_JOB])
def test_rule_15_time_credit_pays_only_bookings(source: Source) -> None:
    assert against(TIME, source) is ReasonCode.WRONG_RATE


def test_printing_credit_pays_only_print_jobs() -> None:
    assert against(PRINTING, PRINT_JOB) is None
    assert against(PRINTING, replace(PRINT_JOB, print_units=1)) is None
    assert against(PRINTING, replace(PRINT_JOB, print_units=0)) is ReasonCode.WRONG_RATE
    assert against(PRINTING, replace(CHARGE, print_units=50)) is ReasonCode.WRONG_RATE
    assert against(PRINTING) is ReasonCode.WRONG_RATE


@pytest.mark.parametrize("credit", [MONEY, TIME])
def test_rule_15_tentative_and_declining_bookings_take_no_credit(
    credit: Credit,
) -> None:
    assert against(credit, replace(BOOKING, tentative=True)) is ReasonCode.TENTATIVE
    assert against(credit, replace(BOOKING, refuses_credit=True)) is ReasonCode.CREDIT_DECLINED


# Rule 16


@pytest.mark.parametrize(
    ("team", "money", "time"),
    [
        (TeamSharing(4), False, False),
        (TeamSharing(4, shares_money=True), True, False),
        (TeamSharing(4, shares_extra_services=True), False, True),
        (TeamSharing(4, transfers_to_paying_member=True), True, True),
    ],
)
def test_rule_16_team_shares_the_selected_types(team: TeamSharing, money: bool, time: bool) -> None:
    owner = Customer(7, teams=(TeamSharing(3), team))
    shared: dict[str, Any] = {"customer_id": 8, "team_id": 4}

    assert against(replace(MONEY, **shared), owner=owner) is (None if money else ReasonCode.NOT_SHARED)
    for credit, source in ((TIME, BOOKING), (PRINTING, PRINT_JOB)):
        assert against(replace(credit, **shared), source, owner) is (None if time else ReasonCode.NOT_SHARED)


def test_rule_16_non_members_have_no_access() -> None:
    owner = Customer(7, teams=(TeamSharing(4, shares_money=True),))

    assert against(replace(MONEY, customer_id=8), owner=owner) is ReasonCode.NOT_SHARED
    assert against(replace(MONEY, customer_id=8, team_id=5), owner=owner) is ReasonCode.NOT_SHARED


def test_rule_16_own_credit_needs_no_team() -> None:
    assert against(replace(MONEY, team_id=4)) is None


def test_rule_16_member_without_cap_left_is_rejected() -> None:
    assert against(replace(MONEY, member_cap_left=100)) is None
    assert against(replace(MONEY, member_cap_left=99)) is ReasonCode.MEMBER_CAP
    assert against(replace(MONEY, member_cap_left=0)) is ReasonCode.MEMBER_CAP
    assert against(replace(MONEY, member_cap_left=-5)) is ReasonCode.MEMBER_CAP
    assert against(replace(MONEY, member_cap_left=0, remaining=0)) is ReasonCode.EMPTY


# Rule 17


def test_rule_17_currency_must_match() -> None:
    assert against(replace(MONEY, currency="GBP")) is ReasonCode.OTHER_CURRENCY


def test_rule_17_other_location_needs_the_setting() -> None:
    elsewhere = replace(MONEY, business_id=9)

    assert against(elsewhere) is ReasonCode.OTHER_LOCATION
    assert against(elsewhere, policy=LedgerSettings(cross_location=True)) is None


# Available amount


def test_credit_without_unreserved_balance_is_empty() -> None:
    assert against(replace(MONEY, remaining=100)) is None
    assert against(replace(MONEY, remaining=99)) is ReasonCode.EMPTY
    assert against(replace(MONEY, remaining=0)) is ReasonCode.EMPTY
    assert against(replace(MONEY, remaining=500, held=500)) is ReasonCode.EMPTY
    assert against(replace(MONEY, remaining=500, held=400)) is None


@pytest.mark.parametrize(
    ("changes", "available"),
    [
        ({"remaining": 60}, 60),
        ({"remaining": 60, "held": 20}, 40),
        ({"remaining": 60, "held": 80}, 0),
        ({"remaining": 60, "member_cap_left": 15}, 15),
        ({"remaining": 60, "member_cap_left": 90}, 60),
        ({"remaining": 60, "member_cap_left": -1}, 0),
        ({"remaining": 60, "held": 50, "member_cap_left": 15}, 10),
        ({"remaining": 60, "overdraft": 40}, 60),
        ({"remaining": 6000, "overdraft": 4000, "kind": CreditType.MONEY}, 6000),
        ({"remaining": 6099, "kind": CreditType.MONEY}, 6000),
        ({"remaining": 60, "overdraft": 40, "kind": CreditType.PRINTING}, 100),
        ({"remaining": 60, "overdraft": 40, "held": 90, "kind": CreditType.PRINTING}, 10),
    ],
)
def test_rules_16_26_and_33_available_amount(changes: dict[str, Any], available: int) -> None:
    assert replace(TIME, **changes).available == available


# Rule 19


def test_rule_19_first_failing_check_is_the_reason() -> None:
    everything_wrong = replace(
        MONEY,
        kind=CreditType.BOOKING_CHARGE,
        customer_id=8,
        business_id=9,
        currency="GBP",
        expires=NOW,
        valid_from=STARTS + INSTANT,
        limits=CreditLimits(tariffs=frozenset({99})),
        remaining=0,
        member_cap_left=0,
    )
    source = replace(BOOKING, tentative=True, refuses_credit=True)
    policy = POLICY
    reasons = []
    for source_fix, credit_fix in [
        ({}, {}),
        ({"tentative": False}, {}),
        ({"refuses_credit": False}, {}),
        ({}, {"kind": CreditType.MONEY}),
        ({}, {"customer_id": 7}),
        ({}, {"business_id": 3}),
        ({}, {"currency": "EUR"}),
        ({}, {"expires": None}),
        ({}, {"valid_from": None}),
        ({}, {"limits": CreditLimits()}),
        ({}, {"limits": CreditLimits(for_bookings=True)}),
        ({}, {"remaining": 100}),
        ({}, {"member_cap_left": None}),
    ]:
        source = replace(source, **source_fix)
        everything_wrong = replace(everything_wrong, **credit_fix)  # type: ignore[arg-type]
        reasons.append(against(everything_wrong, source, policy=policy))

    assert reasons == [
        ReasonCode.TENTATIVE,
        ReasonCode.CREDIT_DECLINED,
        ReasonCode.BOOKING_CHARGE,
        ReasonCode.NOT_SHARED,
        ReasonCode.OTHER_LOCATION,
        ReasonCode.OTHER_CURRENCY,
        ReasonCode.EXPIRED,
        ReasonCode.NOT_YET_VALID,
        ReasonCode.WRONG_PLAN,
        ReasonCode.NOT_FOR_BOOKINGS,
        ReasonCode.EMPTY,
        ReasonCode.MEMBER_CAP,
        None,
    ]


def test_rule_19_reason_codes() -> None:
    published = {
        "used",
        "expired",
        "not_yet_valid",
        "wrong_resource_type",
        "wrong_event_category",
        "not_universal",
        "not_listed",
        "other_location",
        "other_currency",
        "not_shared",
        "member_cap",
        "empty",
        "not_needed",
    }

    assert published <= {reason.value for reason in ReasonCode}
    assert all(reason.value == reason.name.lower() for reason in ReasonCode)


# Values


def test_keys_are_formatted_as_kind_and_id() -> None:
    assert str(MONEY.key) == "money/1"
    assert MONEY.key == CreditKey(CreditType.MONEY, 1)
    assert str(BOOKING.key) == "booking/11"
    assert BOOKING.key == SourceKey(SourceKind.BOOKING, 11)


@pytest.mark.parametrize(
    "changes",
    [{"starts": None}, {"ends": None}, {"ends": STARTS}, {"ends": STARTS - INSTANT}],
)
def test_booking_must_end_after_its_start(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="booking/11 does not end after it starts"):
        replace(BOOKING, **changes)


def test_negative_price_and_units_without_length_are_rejected() -> None:
    assert replace(PRODUCT, price=0).price == 0
    with pytest.raises(ValueError, match="product/11 has a price below zero"):
        replace(PRODUCT, price=-1)
    with pytest.raises(ValueError, match="product/11 has no length"):
        PRODUCT.units(ChargePeriod.DAYS)
    with pytest.raises(ValueError, match="event_attendance/11 has no length"):
        replace(EVENT, ends=None).units(ChargePeriod.DAYS)


def test_booking_units_use_the_location_settings() -> None:
    booking = replace(BOOKING, ends=STARTS + timedelta(minutes=50))

    assert booking.units(ChargePeriod.MINUTES) == 60
    assert replace(booking, interval_minutes=20).units(ChargePeriod.MINUTES) == 60
    assert replace(booking, interval_minutes=25).units(ChargePeriod.MINUTES) == 50
    assert replace(booking, ends=STARTS + timedelta(days=2)).units(ChargePeriod.DAYS) == 3
    nights = replace(booking, ends=STARTS + timedelta(days=2), per_night=True)
    assert nights.units(ChargePeriod.DAYS) == 2


def test_instants_are_formatted_in_utc() -> None:
    assert format_utc(NOW) == "2026-06-10T12:00:00Z"
    assert format_utc(None) is None


def test_default_settings() -> None:
    assert LedgerSettings() == LedgerSettings(ValidityInstant.SERVICE_START, False, 0, False)
    assert MONEY.priority == 50
    assert BOOKING.interval_minutes == 15
