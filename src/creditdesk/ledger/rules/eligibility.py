"""Whether a credit may pay for a source, and the reason when it may not (rules 12 to 17).

The checks run in the order of `ELIGIBILITY_CHECKS`: the source's own conditions first, the balance
last. So the reported reason is the first that a person would have to change.
"""

from collections.abc import Callable
from datetime import datetime
from enum import StrEnum

from msgspec import Struct

from creditdesk.ledger.rules.credit import (
    Credit,
    CreditLimits,
    CreditType,
    Customer,
    Rate,
    Source,
    SourceKind,
)
from creditdesk.settings import LedgerSettings, ValidityInstant


class ReasonCode(StrEnum):
    """The result for each credit that was considered for a source (rule 19)."""

    USED = "used"
    TENTATIVE = "tentative"
    CREDIT_DECLINED = "credit_declined"
    BOOKING_CHARGE = "booking_charge"
    NO_GRANT = "no_grant"
    NOT_SHARED = "not_shared"
    OTHER_LOCATION = "other_location"
    OTHER_CURRENCY = "other_currency"
    EXPIRED = "expired"
    NOT_YET_VALID = "not_yet_valid"
    WRONG_PLAN = "wrong_plan"
    WRONG_RATE = "wrong_rate"
    NOT_FOR_BOOKINGS = "not_for_bookings"
    NOT_FOR_EVENTS = "not_for_events"
    WRONG_RESOURCE_TYPE = "wrong_resource_type"
    WRONG_EVENT_CATEGORY = "wrong_event_category"
    NOT_UNIVERSAL = "not_universal"
    NOT_LISTED = "not_listed"
    EMPTY = "empty"
    MEMBER_CAP = "member_cap"
    # The codes below are known only after the whole basket is allocated.
    LESS_THAN_A_STEP = "less_than_a_step"
    PRINT_NEEDS_WHOLE = "print_needs_whole"
    USED_ELSEWHERE = "used_elsewhere"
    NOT_NEEDED = "not_needed"


class EligibilityQuery(Struct, frozen=True, gc=False):
    """One credit to be checked for one source."""

    credit: Credit
    source: Source
    customer: Customer
    settings: LedgerSettings
    now: datetime


def ineligibility_reason(
    credit: Credit, source: Source, customer: Customer, settings: LedgerSettings, now: datetime
) -> ReasonCode | None:
    """Why `credit` may not pay for `source` at `now`, or None when it may (rules 12 to 17)."""
    query = EligibilityQuery(credit, source, customer, settings, now)
    for test in ELIGIBILITY_CHECKS:
        if reason := test(query):
            return reason
    return None


def required_validity_instant(source: Source, settings: LedgerSettings, now: datetime) -> datetime:
    """When the credit must be valid: at the start of the service, else now (rule 12)."""
    if settings.validity_instant is ValidityInstant.SPEND_TIME or source.starts is None:
        return now
    if source.kind in (SourceKind.BOOKING, SourceKind.EVENT_ATTENDANCE):
        return source.starts
    return now


def source_accepts_credit(query: EligibilityQuery) -> ReasonCode | None:
    """No credit pays for a tentative booking, or for one that declines credit (rule 15)."""
    if query.source.tentative:
        return ReasonCode.TENTATIVE
    return ReasonCode.CREDIT_DECLINED if query.source.refuses_credit else None


def is_not_booking_charge(query: EligibilityQuery) -> ReasonCode | None:
    """A booking charge has no balance (rule 5)."""
    is_charge = query.credit.kind is CreditType.BOOKING_CHARGE
    return ReasonCode.BOOKING_CHARGE if is_charge else None


def has_grant(query: EligibilityQuery) -> ReasonCode | None:
    """A grant in the journal explains the credit (rule 38)."""
    return None if query.credit.is_granted else ReasonCode.NO_GRANT


def is_accessible(query: EligibilityQuery) -> ReasonCode | None:
    """The credit is the customer's own, or a team shares credit of its kind (rule 16)."""
    credit, customer = query.credit, query.customer
    if credit.customer_id == customer.id:
        return None
    team = None if credit.team_id is None else customer.team(credit.team_id)
    return None if team and team.shares(credit.kind) else ReasonCode.NOT_SHARED


def matches_location_and_currency(query: EligibilityQuery) -> ReasonCode | None:
    """Credit pays in its own location, unless cross-location use is on, and currency (rule 17)."""
    credit, source = query.credit, query.source
    if credit.business_id != source.business_id and not query.settings.cross_location:
        return ReasonCode.OTHER_LOCATION
    return None if credit.currency == source.currency else ReasonCode.OTHER_CURRENCY


def in_validity_window(credit: Credit, source: Source, settings: LedgerSettings, now: datetime) -> bool:
    """Whether the credit is valid at the instant that counts for the source (rules 12, 28)."""
    return _window_mismatch(credit, required_validity_instant(source, settings, now)) is None


def is_in_validity_window(query: EligibilityQuery) -> ReasonCode | None:
    """From `valid_from` on, and strictly before `expires` (rules 12, 28).

    Only the instants count, so expired credit is unusable at once, with or without its expiry entry.
    """
    instant = required_validity_instant(query.source, query.settings, query.now)
    return _window_mismatch(query.credit, instant)


def _window_mismatch(credit: Credit, instant: datetime) -> ReasonCode | None:
    if credit.expires is not None and credit.expires <= instant:
        return ReasonCode.EXPIRED
    if credit.valid_from is not None and credit.valid_from > instant:
        return ReasonCode.NOT_YET_VALID
    return None


def is_on_listed_plan(query: EligibilityQuery) -> ReasonCode | None:
    """Plans listed on a credit that is not universal limit who may use it (rule 14)."""
    limits = query.credit.limits
    if limits.universal or not limits.tariffs or limits.tariffs & query.customer.plans:
        return None
    return ReasonCode.WRONG_PLAN


def matches_source_kind(query: EligibilityQuery) -> ReasonCode | None:
    """Whether a credit of this kind may pay for a source of this kind (rules 13 to 15)."""
    credit, source = query.credit, query.source
    if credit.kind is CreditType.MONEY:
        return _money_mismatch(credit.limits, source)
    if credit.kind is CreditType.TIME:
        return _time_mismatch(credit.rate, source)
    prints = source.kind is SourceKind.PRINT_JOB and source.print_units > 0
    return None if prints else ReasonCode.WRONG_RATE


def has_balance(query: EligibilityQuery) -> ReasonCode | None:
    """The credit has something to pay with, and the member's cap allows it (rules 16, 26)."""
    if not query.credit.payable(query.credit.unreserved):
        return ReasonCode.EMPTY
    return None if query.credit.available > 0 else ReasonCode.MEMBER_CAP


ELIGIBILITY_CHECKS: tuple[Callable[[EligibilityQuery], ReasonCode | None], ...] = (
    source_accepts_credit,
    is_not_booking_charge,
    has_grant,
    is_accessible,
    matches_location_and_currency,
    is_in_validity_window,
    is_on_listed_plan,
    matches_source_kind,
    has_balance,
)


def _money_mismatch(limits: CreditLimits, source: Source) -> ReasonCode | None:
    match source.kind:
        case SourceKind.BOOKING:
            return _booking_mismatch(limits, source)
        case SourceKind.EVENT_ATTENDANCE:
            return _event_mismatch(limits, source)
        case _:
            return _other_mismatch(limits, source)


def _booking_mismatch(limits: CreditLimits, source: Source) -> ReasonCode | None:
    if not limits.for_bookings:
        return ReasonCode.NOT_FOR_BOOKINGS
    if limits.resource_types and source.resource_type not in limits.resource_types:
        return ReasonCode.WRONG_RESOURCE_TYPE
    return None


def _event_mismatch(limits: CreditLimits, source: Source) -> ReasonCode | None:
    if not limits.for_events:
        return ReasonCode.NOT_FOR_EVENTS
    if limits.event_categories and not limits.event_categories & source.event_categories:
        return ReasonCode.WRONG_EVENT_CATEGORY
    return None


def _other_mismatch(limits: CreditLimits, source: Source) -> ReasonCode | None:
    if not limits.universal:
        return ReasonCode.NOT_UNIVERSAL
    limited = limits.products or limits.passes or limits.tariffs or limits.applies_to_charges
    return ReasonCode.NOT_LISTED if limited and not _is_listed(limits, source) else None


def _is_listed(limits: CreditLimits, source: Source) -> bool:
    match _effective_kind(source):
        case SourceKind.PRODUCT:
            return source.product_id in limits.products
        case SourceKind.TIME_PASS:
            return source.pass_id in limits.passes
        case SourceKind.PLAN:
            return source.tariff_id in limits.tariffs
        case _:
            return limits.applies_to_charges


def _effective_kind(source: Source) -> SourceKind:
    """An invoice line is treated as what it sells; one that names nothing is a charge."""
    if source.kind is not SourceKind.INVOICE_LINE:
        return source.kind
    if source.product_id is not None:
        return SourceKind.PRODUCT
    if source.pass_id is not None:
        return SourceKind.TIME_PASS
    return SourceKind.CHARGE if source.tariff_id is None else SourceKind.PLAN


def _time_mismatch(rate: Rate | None, source: Source) -> ReasonCode | None:
    if source.kind is not SourceKind.BOOKING or rate is None:
        return ReasonCode.WRONG_RATE
    # A rate covers the resource types it lists; one that lists none covers none.
    return None if source.resource_type in rate.resource_types else ReasonCode.WRONG_RESOURCE_TYPE
