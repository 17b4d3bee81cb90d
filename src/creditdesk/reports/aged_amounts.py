"""Loads the view of an ageing report as of now: sums by group and by the time of expiry, and no credit by itself."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

from creditdesk.entities.billing.coworker_product import CoworkerProduct
from creditdesk.entities.ledger.account_state import AccountState
from creditdesk.ledger.journal.entry import AccountType
from creditdesk.ledger.journal.mapping import MAPPINGS, CreditTypeMapping
from creditdesk.ledger.loaders.expiry import without_charges
from creditdesk.ledger.loaders.rows import find_by_id
from creditdesk.ledger.rules.credit import CreditType
from creditdesk.ledger.rules.funding import FundingKind
from creditdesk.reports.ageing import BAND_DAYS, WEEKS_AHEAD
from creditdesk.reports.credit_loader import time_unit
from creditdesk.reports.ledger_view import LedgerView, LocationInfo
from creditdesk.reports.loader import is_wanted, load_locations, load_view, with_footer_facts
from creditdesk.reports.request import ReportRequest
from creditdesk.reports.rows import ProductNameRow, ReportRateRow
from creditdesk.reports.values import EXPIRY_BANDS, AgedAmount, ReportCredit
from creditdesk.schema.cross_checks import Pairing
from creditdesk.schema.grouped_sums import GroupedSum, InstantsPassed, Lookup
from creditdesk.schema.query import Comparison, Filter, where
from creditdesk.schema.repository import ReadSession

_RESOLUTION: Final = timedelta(microseconds=1)
_PRODUCT: Final = Lookup(CoworkerProduct, Pairing("UniqueId", "CoworkerProductUniqueId"), "ProductId")
_FUNDING: Final = {
    # An AccountState has the Id of `ledger.journal.mapping.state_id`.
    AccountType.MONEY: Lookup(AccountState, Pairing("Id", "Id", 2), "Funding"),
    AccountType.TIME: Lookup(AccountState, Pairing("Id", "Id", 2, 1), "Funding"),
}
_COLUMNS: Final = {
    AccountType.MONEY: ("BusinessId", "TariffBookingCreditName"),
    AccountType.TIME: ("BusinessId", "ExtraServiceId", "IsFromTariff"),
}


_PRODUCT_POSITION: Final = -3
"""Where a group has its product: before its funding and the instants passed."""


class _Span(NamedTuple):
    """The time from one instant to the next, in which all that expires is in one band and in one week."""

    band: str
    week: int | None
    is_expired: bool


async def load_ageing_view(session: ReadSession, request: ReportRequest) -> LedgerView:
    """The view of a request. Raises ValidationError for what does not exist for the caller.

    Of now and of whole locations the balances that the credits show are added up; every other view has each credit
    with its journal.
    """
    if request.is_of_past or not request.is_of_locations or request.expires is not None:
        return await load_view(session, request, only_end=True)
    locations = await load_locations(session, request)
    aged = [
        each
        for mapping in MAPPINGS.values()
        for each in await _load_aged(session, request.now, mapping, locations)
        if is_wanted(each.credit, request)
    ]
    view = LedgerView(request, locations, [], by_recording=True, aged=tuple(aged))
    return await with_footer_facts(session, view)


async def _load_aged(
    session: ReadSession, now: datetime, mapping: CreditTypeMapping, locations: dict[int, LocationInfo]
) -> list[AgedAmount]:
    """What the credits of a type hold that hold something."""
    spans = list(_spans(now))
    passed = InstantsPassed("ExpireDate", tuple(_instants(now)))
    by: list[str | Lookup | InstantsPassed] = [
        *_COLUMNS[mapping.account_type], _PRODUCT, _FUNDING[mapping.account_type], passed,
    ]  # fmt: skip
    entity, name = mapping.credit_entity, mapping.remaining_field
    remaining = entity.meta().columns[name]
    of_locations = (*where(entity, BusinessId=tuple(locations) or (0,)), *without_charges(mapping))
    found: list[GroupedSum] = []
    # What is owed is not lessened by the expiry of overdrawn credit: each sign has a sum of its own.
    for sign in (Filter(remaining, Comparison.AT_LEAST, 1), Filter(remaining, Comparison.AT_MOST, -1)):
        found += await session.sum_grouped(entity, name, by, (*of_locations, sign))
    names = await _load_names(session, mapping.account_type, found)
    aged = []
    for each in found:
        *terms, number = each.group
        span = _NEVER if number is None else spans[number]
        expired = max(each.total, 0) if span.is_expired else 0
        credit = _group_credit(mapping.account_type, terms, names, locations)
        aged.append(AgedAmount(credit, span.band, span.week, each.records, each.total - expired, expired))
    return aged


class _Names(NamedTuple):
    """What the ids of groups stand for."""

    products: dict[int, ProductNameRow]
    rates: dict[int, ReportRateRow]


async def _load_names(session: ReadSession, account_type: AccountType, found: list[GroupedSum]) -> _Names:
    products = await find_by_id(session, ProductNameRow, {each.group[_PRODUCT_POSITION] for each in found})
    rates = {}
    if account_type is AccountType.TIME:
        rates = await find_by_id(session, ReportRateRow, {each.group[1] for each in found})
    return _Names(products, rates)


def _group_credit(
    account_type: AccountType, terms: list[Any], names: _Names, locations: dict[int, LocationInfo]
) -> ReportCredit:
    """A credit with what all of a group have in common."""
    business_id, *own, product_id, funding = terms
    product = names.products.get(product_id or 0)
    if account_type is AccountType.MONEY:
        kind, unit = CreditType.MONEY, locations[business_id].currency.upper()
        plan = own[0]
    else:
        rate_id, is_from_tariff = own
        rate = names.rates.get(rate_id or 0)
        kind, unit = time_unit(rate)
        plan = rate.name if rate and is_from_tariff else ""
    return ReportCredit(
        account_type, 0, business_id, None, kind, unit,
        plan=plan or "",
        product=(product.name or "") if product else "",
        funding=FundingKind(funding) if funding else FundingKind.UNKNOWN,
    )  # fmt: skip


_NEVER: Final = _Span(EXPIRY_BANDS[-1], None, is_expired=False)


def _ends(now: datetime) -> Iterator[tuple[datetime, bool]]:
    """The last instants of all bands, and of the weeks of the forecast; whether it is of a week."""
    for days in (0, *BAND_DAYS):
        yield now + timedelta(days=days), False
    for week in range(1, WEEKS_AHEAD + 1):
        # A week ends before the instant at which the next one begins, a band with its last one.
        yield now + timedelta(weeks=week) - _RESOLUTION, True


def _instants(now: datetime) -> Iterator[datetime]:
    return (instant for instant, _ in sorted(_ends(now)))


def _spans(now: datetime) -> Iterator[_Span]:
    """The span of each number of instants passed, from none on."""
    band, week = 0, 0
    yield _Span(EXPIRY_BANDS[0], None, is_expired=True)
    for _, is_of_week in sorted(_ends(now)):
        band, week = (band, week + 1) if is_of_week else (band + 1, week)
        yield _Span(EXPIRY_BANDS[max(band - 1, 0)], week, is_expired=False)
