"""The liability: what is owed to members at an instant, by credit or by group."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from typing import Final

from creditdesk.ledger.journal.entry import EntryType, from_epoch_microseconds
from creditdesk.ledger.rules.amounts import Amount, round_to_currency
from creditdesk.ledger.rules.credit import CreditType
from creditdesk.reports.footer import report_footer
from creditdesk.reports.ledger_view import CreditHistory, LedgerView
from creditdesk.reports.result import Cell, CellType, ReportColumn, ReportResult, to_decimal
from creditdesk.reports.values import Cut, HeldSum, Microseconds, Position, ReportCredit, ReportEntry

_AMOUNTS: Final = (
    ReportColumn("Original", "Original", CellType.AMOUNT, "The credit's total at the instant."),
    ReportColumn("Used", "Used", CellType.AMOUNT, "Original less remaining."),
    ReportColumn("Remaining", "Remaining", CellType.AMOUNT, "The balance after the last entry."),
    ReportColumn("Held", "Held", CellType.AMOUNT, "The part of it that is reserved."),
    ReportColumn("Expired", "Expired", CellType.AMOUNT, "What remains of it but can no longer be used."),
    ReportColumn("NotYetValid", "Not yet valid", CellType.AMOUNT, "The part of outstanding that cannot be used yet."),
    ReportColumn("Outstanding", "Outstanding", CellType.AMOUNT, "Remaining less expired: what is owed."),
)
LIABILITY_COLUMNS: Final = (
    ReportColumn("Location", "Location"),
    ReportColumn("Kind", "Kind", CellType.TEXT, "money, time or printing."),
    ReportColumn("Unit", "Unit", CellType.TEXT, "The currency, or what one use is."),
    ReportColumn("Funding", "Funding", CellType.TEXT, "paid, plan, goodwill, migrated or unknown."),
    ReportColumn("Plan", "Plan or product"),
    ReportColumn("CustomerId", "Customer", CellType.ID),
    ReportColumn("Customer", "Customer name"),
    ReportColumn("CreditId", "Credit", CellType.ID),
    ReportColumn("CreditName", "Credit name"),
    ReportColumn("GrantedOn", "Granted", CellType.INSTANT),
    ReportColumn("ValidFrom", "Valid from", CellType.INSTANT),
    ReportColumn("ExpireDate", "Expires", CellType.INSTANT),
    *_AMOUNTS,
    ReportColumn("ValueCurrency", "Value in"),
    ReportColumn("PricePaid", "Price paid", CellType.AMOUNT),
    ReportColumn("Value", "Outstanding value", CellType.AMOUNT, "Money at face value; uses at price paid ÷ original."),
    ReportColumn("LastUse", "Last use", CellType.INSTANT),
)
_GROUP_COLUMNS: Final = (*LIABILITY_COLUMNS[:7], ReportColumn("Credits", "Credits", CellType.COUNT), *_AMOUNTS)


@dataclass(frozen=True, slots=True)
class Holding:
    """What one credit holds at the instant of a report."""

    credit: ReportCredit
    original: Amount
    position: Position
    not_yet_valid: Amount
    granted: Microseconds | None
    last_use: Microseconds | None

    @property
    def amounts(self) -> tuple[Amount, ...]:
        """The amounts in the order of the amount columns."""
        position = self.position
        used = self.original - position.remaining
        return (
            *(self.original, used, position.remaining, position.held),
            *(position.expired, self.not_yet_valid, position.outstanding),
        )


def holdings(view: LedgerView) -> list[Holding]:
    """What each credit that has entries by the end of the report holds then."""
    found = []
    for history in view.histories:
        cut = view.ends(history.credit, view.request.ends)
        newest = history.newest(cut.entries_before)
        if newest is not None:
            found.append(_holding(view, history, cut, newest))
    return found


def _holding(view: LedgerView, history: CreditHistory, cut: Cut, newest: ReportEntry) -> Holding:
    credit, position = history.credit, view.position(history, cut)
    uses = [e.at for e in history.entries if e.kind is EntryType.USE and e.at < cut.entries_before]
    is_future = credit.valid_from is not None and credit.valid_from > cut.expired_by
    return Holding(
        credit,
        newest.total_after,
        position,
        position.outstanding if is_future else 0,
        granted=credit.created,
        last_use=max(uses, default=history.last_use),
    )


def liability(view: LedgerView) -> ReportResult:
    """What every credit holds at the end of the request's period; leaves out credits that hold nothing."""
    found = [each for each in holdings(view) if each.position.remaining or each.position.held]
    sums = _held_sums(view, found)
    by = view.request.by
    is_single = by == "credit"
    rows = [_credit_row(view, each) for each in found] if is_single else _group_rows(view, sums, by)
    return ReportResult(
        name="liability",
        title="Liability",
        subtitle="What is owed to members in credit",
        columns=LIABILITY_COLUMNS if is_single else _GROUP_COLUMNS,
        rows=tuple(rows),
        totals=tuple(_total_rows(sums, is_single=is_single)),
        footer=report_footer(view, {}),
    )


def _credit_row(view: LedgerView, holding: Holding) -> tuple[Cell, ...]:
    credit = holding.credit
    price, value = _value(holding)
    return (
        view.locations[credit.business_id].name,
        credit.credit_type.value,
        credit.unit,
        credit.funding.value,
        credit.plan or credit.product,
        credit.customer_id,
        credit.customer_name,
        credit.id,
        credit.description,
        _instant(holding.granted),
        _instant(credit.valid_from),
        _instant(credit.expires),
        *(to_decimal(amount, credit.unit, is_money=credit.is_money) for amount in holding.amounts),
        value_currency(credit) if value is not None else "",
        price,
        value,
        _instant(holding.last_use),
    )


def value_currency(credit: ReportCredit) -> str:
    """The currency in which a credit's value is stated."""
    return credit.unit if credit.is_money else credit.price_currency


def outstanding_value(holding: Holding) -> Amount | None:
    """The value of what is outstanding: money at face value, uses at the price paid for each, if known."""
    credit, outstanding = holding.credit, holding.position.outstanding
    if credit.is_money:
        return outstanding
    if credit.price is None or not holding.original:
        return None
    return round_to_currency(Fraction(credit.price * outstanding, holding.original), credit.price_currency)


def _value(holding: Holding) -> tuple[Decimal | None, Decimal | None]:
    credit, value = holding.credit, outstanding_value(holding)
    currency = value_currency(credit)
    price = None if credit.price is None else to_decimal(credit.price, currency, is_money=True)
    return price, None if value is None else to_decimal(value, currency, is_money=True)


def _held_sums(view: LedgerView, found: list[Holding]) -> list[HeldSum]:
    sums = [*view.held, *(HeldSum(each.credit, 1, each.amounts) for each in found)]
    if view.totals is not None:
        for key, credit in view.totals.credits.items():
            totals = view.totals.totals(key, view.ends(credit, view.request.ends))
            if totals.credits:
                sums.append(HeldSum(credit, totals.credits, totals.amounts))
    return sums


def _group_rows(view: LedgerView, found: list[HeldSum], by: str) -> list[tuple[Cell, ...]]:
    keys: dict[str, Callable[[ReportCredit], tuple[Cell, ...]]] = {
        "customer": lambda c: ("", "", c.customer_id, c.customer_name),
        "plan": lambda c: ("", c.plan or c.product, None, ""),
        "funding": lambda c: (c.funding.value, "", None, ""),
        "kind": lambda _: ("", "", None, ""),
    }
    groups: dict[tuple[Cell, ...], list[HeldSum]] = defaultdict(list)
    for each in found:
        credit = each.credit
        # Two locations may have one name.
        location = (view.locations[credit.business_id].name, credit.business_id)
        groups[*location, credit.credit_type.value, credit.unit, *keys[by](credit)].append(each)
    return [(key[0], *key[2:], _number(groups[key]), *_sums(groups[key])) for key in sorted(groups, key=repr)]


def _number(found: list[HeldSum]) -> int:
    return sum(each.credits for each in found)


def _sums(found: list[HeldSum]) -> tuple[Decimal, ...]:
    credit = found[0].credit
    columns = zip(*(each.amounts for each in found), strict=True)
    return tuple(to_decimal(sum(column), credit.unit, is_money=credit.is_money) for column in columns)


def _total_rows(found: list[HeldSum], *, is_single: bool) -> list[tuple[Cell, ...]]:
    """One row for each kind and unit; the value of uses is not added to money."""
    units: dict[tuple[CreditType, str], list[HeldSum]] = defaultdict(list)
    for each in found:
        units[each.credit.credit_type, each.credit.unit].append(each)
    rows: list[tuple[Cell, ...]] = []
    for (kind, unit), members in sorted(units.items()):
        head: tuple[Cell, ...] = ("Total", kind.value, unit, "", "", None, "")
        if is_single:
            rows.append((*head, None, "", None, None, None, *_sums(members), "", None, None, None))
        else:
            rows.append((*head, _number(members), *_sums(members)))
    return rows


def _instant(at: Microseconds | None) -> datetime | None:
    return None if at is None else from_epoch_microseconds(at)
