"""The breakage estimate: how much sold credit will probably never be used. It is not a posting.

The proportional method (ASC 606-10-55-46 to 49, IFRS 15 B44 to B47): what is expected to expire is
recognised in proportion to what is used.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

from creditdesk.ledger.journal.entry import from_epoch_microseconds
from creditdesk.ledger.rules.amounts import DECIMALS, Amount, currency_digits, round_amount
from creditdesk.ledger.rules.credit import CreditType
from creditdesk.ledger.rules.funding import FundingKind
from creditdesk.reports.footer import report_footer
from creditdesk.reports.ledger_view import LedgerView
from creditdesk.reports.liability import Holding, holdings
from creditdesk.reports.result import Cell, CellType, ReportColumn, ReportResult, ReportSection, label, to_decimal
from creditdesk.reports.utilisation import percent
from creditdesk.reports.values import CohortSum, ReportCredit

MIN_EXPIRED_CREDITS: Final = 30
"""The number of fully expired credits of a product below which no rate is estimated."""

TOO_FEW: Final = label(f"fewer than {MIN_EXPIRED_CREDITS} expired credits: no estimate")
PROPORTIONAL: Final = label("proportional")

BREAKAGE_COLUMNS: Final = (
    ReportColumn("Product", "Product or plan"),
    ReportColumn("Month", "Month", CellType.TEXT, "The local month in which the cohort was granted."),
    ReportColumn("Kind", "Kind"),
    ReportColumn("Unit", "Unit"),
    ReportColumn("Credits", "Credits", CellType.COUNT),
    ReportColumn("Granted", "Granted", CellType.AMOUNT, "The credits' totals."),
    ReportColumn("Used", "Used", CellType.AMOUNT),
    ReportColumn("Expired", "Expired", CellType.AMOUNT),
    ReportColumn("RatePercent", "Rate %", CellType.PERCENT, "Expired ÷ granted of all expired credits of the product."),
    ReportColumn("Method", "Method"),
    ReportColumn(
        "Expected", "Expected breakage", CellType.AMOUNT, "Rate × granted; what has expired, once everything has."
    ),
    ReportColumn("Recognised", "Recognised to date", CellType.AMOUNT, "Expected × used ÷ (granted − expected)."),
    ReportColumn("Deferred", "Deferred", CellType.AMOUNT, "Granted − used − recognised."),
)
_CREDIT_COLUMNS: Final = (
    ReportColumn("CustomerId", "Customer", CellType.ID),
    ReportColumn("Customer", "Customer name"),
    ReportColumn("Kind", "Kind"),
    ReportColumn("Unit", "Unit"),
    ReportColumn("CreditId", "Credit", CellType.ID),
    ReportColumn("CreditName", "Credit name"),
    ReportColumn("Granted", "Granted", CellType.AMOUNT, "The credit's total."),
    ReportColumn("Used", "Used", CellType.AMOUNT),
    ReportColumn("Expired", "Expired", CellType.AMOUNT),
)
_NOTE: Final = label("An estimate, not a posting. Sources: ASC 606-10-55-46 to 49; IFRS 15 B44 to B47.")

_Product = tuple[str, CreditType, str]


@dataclass(frozen=True, slots=True)
class BreakageEstimate:
    """What a cohort is expected to leave unused, what of it is recognised, and what stays deferred."""

    expected: Amount
    recognised: Amount
    deferred: Amount


def estimate_breakage(granted: Amount, used: Amount, rate: Fraction, digits: int) -> BreakageEstimate:
    """The proportional method for a cohort that has not expired; `digits` are those of its unit."""
    expected = round_amount(granted * rate, digits)
    likely = granted - expected
    recognised = expected if likely <= 0 else min(expected, round_amount(Fraction(expected * used, likely), digits))
    return BreakageEstimate(expected, recognised, granted - used - recognised)


def breakage(view: LedgerView) -> ReportResult:
    """One row for each product and month of grant; paid credit unless the request names a funding.

    A request for one cohort returns its row, with the rate of the whole product, and lists its credits.
    """
    wanted = view.request.funding or FundingKind.PAID
    cohorts: dict[tuple[_Product, str], list[CohortSum]] = defaultdict(list)
    for each in (*view.cohorts, *_cohort_sums(view)):
        if each.credit.funding is wanted and each.original > 0:
            cohorts[_product(each.credit), each.month].append(each)
    rates = _rates(cohorts)
    if view.request.cohort is not None:
        wanted_name = view.request.cohort.strip().lower()
        cohorts = {key: found for key, found in cohorts.items() if _cohort_name(*key).lower() == wanted_name}
    rows = [_row(product, month, members, rates.get(product)) for (product, month), members in sorted(cohorts.items())]
    credits_ = [_credit_row(each) for _, members in sorted(cohorts.items()) for each in members]
    return ReportResult(
        name="breakage",
        title="Breakage estimate",
        subtitle=f"How much {wanted.value} credit will probably never be used",
        columns=BREAKAGE_COLUMNS,
        rows=tuple(rows),
        footer=report_footer(view, {}, [_NOTE]),
        sections=(ReportSection("Credits of the row", _CREDIT_COLUMNS, tuple(credits_)),)
        if view.request.cohort
        else (),
    )


def _cohort_name(product: _Product, month: str) -> str:
    return f"{month} {product[0]}".strip()


def _cohort_sums(view: LedgerView) -> Iterator[CohortSum]:
    for each in holdings(view):
        position = each.position
        yield CohortSum(each.credit, _month(view, each), 1, each.original, position.remaining, position.is_expired)


def _credit_row(found: CohortSum) -> tuple[Cell, ...]:
    """One credit of a cohort, with its share of the cohort's amounts."""
    credit = found.credit
    amounts = (found.original, found.original - found.remaining, found.expired)
    shown = (to_decimal(amount, credit.unit, is_money=credit.is_money) for amount in amounts)
    head = (credit.customer_id, credit.customer_name, credit.credit_type.value, credit.unit)
    return (*head, credit.id, credit.description, *shown)


def _product(credit: ReportCredit) -> _Product:
    return (credit.product or credit.plan or credit.description, credit.credit_type, credit.unit)


def _month(view: LedgerView, holding: Holding) -> str:
    if holding.granted is None:
        return ""
    zone = view.locations[holding.credit.business_id].zone
    return f"{from_epoch_microseconds(holding.granted).astimezone(zone):%Y-%m}"


def _number(members: Iterable[CohortSum]) -> int:
    return sum(each.credits for each in members)


def _rates(cohorts: dict[tuple[_Product, str], list[CohortSum]]) -> dict[_Product, Fraction]:
    """The share that expired of each product with enough fully expired credits."""
    expired: dict[_Product, list[CohortSum]] = defaultdict(list)
    for (product, _), members in cohorts.items():
        expired[product] += [each for each in members if each.is_expired]
    return {
        product: Fraction(sum(each.expired for each in members), sum(each.original for each in members))
        for product, members in expired.items()
        if _number(members) >= MIN_EXPIRED_CREDITS
    }


def _row(product: _Product, month: str, members: list[CohortSum], rate: Fraction | None) -> tuple[Cell, ...]:
    name, kind, unit = product
    is_money = kind is CreditType.MONEY
    granted = sum(each.original for each in members)
    used = granted - sum(each.remaining for each in members)
    expired = sum(each.expired for each in members)
    head = (name, month, kind.value, unit, _number(members))
    amounts = tuple(to_decimal(amount, unit, is_money=is_money) for amount in (granted, used, expired))
    if all(each.is_expired for each in members):
        estimate = BreakageEstimate(expired, expired, granted - used - expired)
    elif rate is None:
        return (*head, *amounts, None, TOO_FEW, None, None, None)
    else:
        # Uses are whole: their digits are those of a ten-thousandth.
        estimate = estimate_breakage(granted, used, rate, currency_digits(unit) if is_money else DECIMALS)
    shown = (estimate.expected, estimate.recognised, estimate.deferred)
    rate_cell = None if rate is None else percent(rate.numerator, rate.denominator)
    return (*head, *amounts, rate_cell, PROPORTIONAL, *(to_decimal(each, unit, is_money=is_money) for each in shown))
