"""Movements as accounting postings: one balanced journal for each day, location and unit."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from creditdesk.ledger.journal.entry import from_epoch_microseconds
from creditdesk.ledger.rules.amounts import Amount
from creditdesk.ledger.rules.credit import CreditType
from creditdesk.ledger.rules.funding import FundingKind
from creditdesk.reports.ledger_view import LedgerView
from creditdesk.reports.result import to_decimal
from creditdesk.reports.statement import view_movements
from creditdesk.reports.totals import grouped_totals
from creditdesk.reports.values import Flow


@dataclass(frozen=True, slots=True, order=True)
class LiabilityAccount:
    """What is owed at one location in one unit."""

    location: str
    kind: CreditType
    unit: str

    def number(self, amount: Amount) -> Decimal:
        return to_decimal(amount, self.unit, is_money=self.kind is CreditType.MONEY)


@dataclass(frozen=True, slots=True)
class Posting:
    """How much the liability rose by one kind of movement; negative where it fell."""

    flow: Flow
    funding: FundingKind
    amount: Decimal


@dataclass(frozen=True, slots=True)
class DailyJournal:
    """The postings of one local date to one liability account."""

    day: date
    account: LiabilityAccount
    postings: tuple[Posting, ...]


@dataclass(frozen=True, slots=True)
class LiabilityBalance:
    """What was owed before and after the period."""

    account: LiabilityAccount
    opening: Decimal
    closing: Decimal


def daily_journals(view: LedgerView) -> list[DailyJournal]:
    """The movements of the view's period, added up by local date, location, unit, kind and funding."""
    sums: dict[tuple[date, LiabilityAccount], dict[tuple[Flow, FundingKind], Amount]] = defaultdict(
        lambda: defaultdict(int)
    )
    for movement in view_movements(view):
        credit = movement.credit
        location = view.locations[credit.business_id]
        day = from_epoch_microseconds(movement.at).astimezone(location.zone).date()
        account = LiabilityAccount(location.name, credit.credit_type, credit.unit)
        sums[day, account][movement.flow, credit.funding] += movement.amount
    return [
        DailyJournal(
            day,
            account,
            tuple(
                Posting(flow, funding, account.number(amount))
                for (flow, funding), amount in sorted(sums[day, account].items())
                if amount
            ),
        )
        for day, account in sorted(sums)
    ]


def liability_balances(view: LedgerView) -> list[LiabilityBalance]:
    """What was owed at both ends of the period, for every account that ever held something."""
    request = view.request
    totals = grouped_totals(
        view,
        request.starts,
        request.ends,
        lambda c: LiabilityAccount(view.locations[c.business_id].name, c.credit_type, c.unit),
    )
    return [
        LiabilityBalance(account, account.number(each.opening), account.number(each.closing))
        for account, each in sorted(totals.items())
    ]
