"""May this credit pay for that source? One question, one named reason when the answer is no.

The tests run in the order of `TESTS`, the source's own refusals first, the amount last, so the
reason a person reads is the one nearest to what they can change. This module must not know how
much is taken or which credit goes first.
"""

from collections.abc import Callable
from datetime import datetime
from enum import StrEnum

from msgspec import Struct

from creditdesk.ledger.rules.credit import (
    Credit,
    LedgerPolicy,
    Limits,
    Owner,
    PayingKind,
    Rate,
    Source,
    SourceKind,
    WindowTest,
)


class Reason(StrEnum):
    """What became of a credit that was considered for a source (rule 19)."""

    USED = "used"
    TENTATIVE = "tentative"
    CREDIT_DECLINED = "credit_declined"
    BOOKING_CHARGE = "booking_charge"
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
    # The rest is known only once the whole basket is allocated.
    LESS_THAN_A_STEP = "less_than_a_step"
    PRINT_NEEDS_WHOLE = "print_needs_whole"
    USED_ELSEWHERE = "used_elsewhere"
    NOT_NEEDED = "not_needed"


class Question(Struct, frozen=True, gc=False):
    """One credit held against one source."""

    credit: Credit
    source: Source
    owner: Owner
    policy: LedgerPolicy
    now: datetime


def reason_against(
    credit: Credit, source: Source, owner: Owner, policy: LedgerPolicy, now: datetime
) -> Reason | None:
    """Why `credit` may not pay for `source` at `now`, or None when it may (rules 12 to 17)."""
    question = Question(credit, source, owner, policy, now)
    for test in TESTS:
        if reason := test(question):
            return reason
    return None


def valid_at(source: Source, policy: LedgerPolicy, now: datetime) -> datetime:
    """The instant at which a credit must be valid: the start of a service, else now (rule 12)."""
    if policy.window_test is WindowTest.SPEND_TIME or source.starts is None:
        return now
    if source.kind in (SourceKind.BOOKING, SourceKind.EVENT_ATTENDANCE):
        return source.starts
    return now


def source_takes_credit(question: Question) -> Reason | None:
    """No credit pays a tentative booking or one that declined credit (rule 15)."""
    if question.source.tentative:
        return Reason.TENTATIVE
    return Reason.CREDIT_DECLINED if question.source.refuses_credit else None


def is_a_credit(question: Question) -> Reason | None:
    """A booking charge has no balance (rule 5)."""
    is_charge = question.credit.kind is PayingKind.BOOKING_CHARGE
    return Reason.BOOKING_CHARGE if is_charge else None


def within_reach(question: Question) -> Reason | None:
    """The customer's own credit, or that of a team which shares the kind (rule 16)."""
    credit, owner = question.credit, question.owner
    if credit.customer_id == owner.customer_id:
        return None
    team = None if credit.team_id is None else owner.team(credit.team_id)
    return None if team and team.shares(credit.kind) else Reason.NOT_SHARED


def same_place_and_currency(question: Question) -> Reason | None:
    """Credit stays in its location unless the network allows it, and in its currency (rule 17)."""
    credit, source = question.credit, question.source
    if credit.business_id != source.business_id and not question.policy.cross_location:
        return Reason.OTHER_LOCATION
    return None if credit.currency == source.currency else Reason.OTHER_CURRENCY


def within_window(question: Question) -> Reason | None:
    """From `valid_from` on, and strictly before `expires` (rules 12, 28).

    Only the instants count, so a lapsed credit is unusable at once, swept or not.
    """
    credit = question.credit
    instant = valid_at(question.source, question.policy, question.now)
    if credit.expires is not None and credit.expires <= instant:
        return Reason.EXPIRED
    if credit.valid_from is not None and credit.valid_from > instant:
        return Reason.NOT_YET_VALID
    return None


def on_a_listed_plan(question: Question) -> Reason | None:
    """Plans listed on a credit that is not universal limit who may use it (rule 14)."""
    limits = question.credit.limits
    if limits.universal or not limits.tariffs or limits.tariffs & question.owner.plans:
        return None
    return Reason.WRONG_PLAN


def fits(question: Question) -> Reason | None:
    """Whether a credit of this kind pays a source of this kind (rules 13 to 15)."""
    credit, source = question.credit, question.source
    if credit.kind is PayingKind.MONEY:
        return _money_fits(credit.limits, source)
    if credit.kind is PayingKind.TIME:
        return _time_fits(credit.rate, source)
    prints = source.kind is SourceKind.PRINT_JOB and source.print_units > 0
    return None if prints else Reason.WRONG_RATE


def has_amount(question: Question) -> Reason | None:
    """Something is left, and this member may still draw on it (rules 16, 26)."""
    if question.credit.unheld <= 0:
        return Reason.EMPTY
    return None if question.credit.available > 0 else Reason.MEMBER_CAP


TESTS: tuple[Callable[[Question], Reason | None], ...] = (
    source_takes_credit,
    is_a_credit,
    within_reach,
    same_place_and_currency,
    within_window,
    on_a_listed_plan,
    fits,
    has_amount,
)


def _money_fits(limits: Limits, source: Source) -> Reason | None:
    match source.kind:
        case SourceKind.BOOKING:
            return _booking_fits(limits, source)
        case SourceKind.EVENT_ATTENDANCE:
            return _event_fits(limits, source)
        case _:
            return _other_fits(limits, source)


def _booking_fits(limits: Limits, source: Source) -> Reason | None:
    if not limits.for_bookings:
        return Reason.NOT_FOR_BOOKINGS
    if limits.resource_types and source.resource_type not in limits.resource_types:
        return Reason.WRONG_RESOURCE_TYPE
    return None


def _event_fits(limits: Limits, source: Source) -> Reason | None:
    if not limits.for_events:
        return Reason.NOT_FOR_EVENTS
    if limits.event_categories and not limits.event_categories & source.event_categories:
        return Reason.WRONG_EVENT_CATEGORY
    return None


def _other_fits(limits: Limits, source: Source) -> Reason | None:
    if not limits.universal:
        return Reason.NOT_UNIVERSAL
    limited = limits.products or limits.passes or limits.tariffs or limits.applies_to_charges
    return Reason.NOT_LISTED if limited and not _listed(limits, source) else None


def _listed(limits: Limits, source: Source) -> bool:
    match _sold_as(source):
        case SourceKind.PRODUCT:
            return source.product_id in limits.products
        case SourceKind.TIME_PASS:
            return source.pass_id in limits.passes
        case SourceKind.PLAN:
            return source.tariff_id in limits.tariffs
        case _:
            return limits.applies_to_charges


def _sold_as(source: Source) -> SourceKind:
    """An invoice line counts as what it sells; one that names nothing is a charge."""
    if source.kind is not SourceKind.INVOICE_LINE:
        return source.kind
    if source.product_id is not None:
        return SourceKind.PRODUCT
    if source.pass_id is not None:
        return SourceKind.TIME_PASS
    return SourceKind.CHARGE if source.tariff_id is None else SourceKind.PLAN


def _time_fits(rate: Rate | None, source: Source) -> Reason | None:
    if source.kind is not SourceKind.BOOKING or rate is None:
        return Reason.WRONG_RATE
    # A rate names the types it covers; one that names none has not been set up, and covers none.
    return None if source.resource_type in rate.resource_types else Reason.WRONG_RESOURCE_TYPE
