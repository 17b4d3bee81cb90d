"""Ageing: when what is owed will expire, in bands and week by week."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from operator import itemgetter
from typing import Final

from creditdesk.ledger.journal.entry import from_epoch_microseconds
from creditdesk.ledger.rules.amounts import Amount
from creditdesk.ledger.rules.calendar import local_date
from creditdesk.ledger.rules.credit import CreditType
from creditdesk.reports.footer import report_footer
from creditdesk.reports.ledger_view import LedgerView
from creditdesk.reports.liability import holdings
from creditdesk.reports.result import Cell, CellType, ReportColumn, ReportResult, ReportSection, to_decimal
from creditdesk.reports.values import EXPIRY_BANDS, AgedAmount, ReportCredit

*_DAY_BANDS, _LATER, _NEVER = EXPIRY_BANDS
BAND_DAYS: Final = (7, 30, 90, 365)
"""The number of days after which each band ends; the last two have no end."""

_DAYS: Final = tuple(zip(BAND_DAYS, _DAY_BANDS, strict=True))
WEEKS_AHEAD: Final = 13
"""How many weeks the forecast shows."""

AGEING_COLUMNS: Final = (
    ReportColumn("Location", "Location"),
    ReportColumn("Kind", "Kind", CellType.TEXT, "money, time or printing."),
    ReportColumn("Unit", "Unit", CellType.TEXT, "The currency, or what one use is."),
    ReportColumn("Funding", "Funding"),
    ReportColumn("Plan", "Plan or product"),
    ReportColumn("Days7", "≤ 7 days", CellType.AMOUNT, "Outstanding that expires within 7 times 24 hours."),
    ReportColumn("Days30", "8–30 days", CellType.AMOUNT),
    ReportColumn("Days90", "31–90 days", CellType.AMOUNT),
    ReportColumn("Days365", "91–365 days", CellType.AMOUNT),
    ReportColumn("Later", "> 365 days", CellType.AMOUNT),
    ReportColumn("Never", "Never", CellType.AMOUNT, "Outstanding without an expiry."),
    ReportColumn("Outstanding", "Outstanding", CellType.AMOUNT, "The sum of the bands: the liability."),
    ReportColumn("Expired", "Expired", CellType.AMOUNT, "What remains on expired credit; not part of outstanding."),
)
_FORECAST_COLUMNS: Final = (
    ReportColumn("WeekFrom", "Week from", CellType.DATE, "The first local date of seven."),
    ReportColumn("Kind", "Kind"),
    ReportColumn("Unit", "Unit"),
    ReportColumn("Credits", "Credits", CellType.COUNT),
    ReportColumn("Expiring", "Expiring", CellType.AMOUNT, "What expires if none of it is used before."),
)


def ageing(view: LedgerView) -> ReportResult:
    """The outstanding amounts of every group by the time until they expire."""
    found = [*view.aged, *_aged_credits(view)]
    # Two locations may have one name.
    groups: dict[tuple[str, int, CreditType, str, str, str], dict[str, Amount]] = defaultdict(lambda: defaultdict(int))
    totals: dict[tuple[CreditType, str], dict[str, Amount]] = defaultdict(lambda: defaultdict(int))
    for each in found:
        credit = each.credit
        location = view.locations[credit.business_id].name
        plan = credit.plan or credit.product
        group = (location, credit.business_id, credit.credit_type, credit.unit, credit.funding.value, plan)
        for amounts in (groups[group], totals[credit.credit_type, credit.unit]):
            amounts[each.band] += each.outstanding
            amounts["Expired"] += each.expired
    return ReportResult(
        name="ageing",
        title="Ageing",
        subtitle="When what is owed will expire",
        columns=AGEING_COLUMNS,
        rows=tuple(
            (location, kind.value, unit, funding, plan, *_cells(kind, unit, amounts))
            for (location, _, kind, unit, funding, plan), amounts in sorted(groups.items(), key=itemgetter(0))
        ),
        totals=tuple(
            ("Total", kind.value, unit, "", "", *_cells(kind, unit, totals[kind, unit]))
            for kind, unit in sorted(totals)
        ),
        footer=report_footer(view, {}),
        sections=(ReportSection("Expiry forecast", _FORECAST_COLUMNS, tuple(_forecast_rows(view, found))),),
    )


def _aged_credits(view: LedgerView) -> Iterator[AgedAmount]:
    for each in holdings(view):
        credit, position = each.credit, each.position
        if not position.remaining:
            continue
        week = None
        if credit.expires is not None and not position.is_expired:
            now = from_epoch_microseconds(view.ends(credit, view.request.ends).expired_by)
            week = (from_epoch_microseconds(credit.expires) - now) // timedelta(weeks=1)
        yield AgedAmount(credit, expiry_band(view, credit), week, 1, position.outstanding, position.expired)


def expiry_band(view: LedgerView, credit: ReportCredit) -> str:
    """Which of EXPIRY_BANDS a credit's expiry is in, counted from the end of the report."""
    if credit.expires is None:
        return _NEVER
    return band_of(timedelta(microseconds=credit.expires - view.ends(credit, view.request.ends).expired_by))


def band_of(left: timedelta) -> str:
    """Which of EXPIRY_BANDS an expiry is in, by the time that is left until then."""
    return next((name for days, name in _DAYS if left <= timedelta(days=days)), _LATER)


def _cells(kind: CreditType, unit: str, amounts: dict[str, Amount]) -> tuple[Cell, ...]:
    bands = [amounts[band] for band in EXPIRY_BANDS]
    shown = (*bands, sum(bands), amounts["Expired"])
    return tuple(to_decimal(amount, unit, is_money=kind is CreditType.MONEY) for amount in shown)


def _forecast_rows(view: LedgerView, found: Sequence[AgedAmount]) -> list[tuple[Cell, ...]]:
    weeks: dict[tuple[date, CreditType, str], list[AgedAmount]] = defaultdict(list)
    for each in found:
        credit, week = each.credit, each.week
        if week is None or week >= WEEKS_AHEAD:
            continue
        now = from_epoch_microseconds(view.ends(credit, view.request.ends).expired_by)
        first = local_date(now, view.locations[credit.business_id].zone) + timedelta(weeks=week)
        weeks[first, credit.credit_type, credit.unit].append(each)
    return [
        (
            *(first, kind.value, unit, sum(each.credits for each in amounts)),
            to_decimal(sum(each.outstanding for each in amounts), unit, is_money=kind is CreditType.MONEY),
        )
        for (first, kind, unit), amounts in sorted(weeks.items())
    ]
