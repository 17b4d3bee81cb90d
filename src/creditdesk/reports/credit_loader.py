"""Loads the credits of a report, with the names, units and funding that reports show."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Final

from creditdesk.entities.enums import eChargePeriod
from creditdesk.ledger.journal.entry import AccountType, epoch_microseconds
from creditdesk.ledger.journal.mapping import MAPPINGS, AccountKey, CreditTypeMapping, state_id
from creditdesk.ledger.loaders.rows import find_by_id, find_by_unique_id, find_filtered
from creditdesk.ledger.rules.credit import CreditType
from creditdesk.ledger.rules.funding import FundingKind
from creditdesk.reports.entry_loader import EntryScope
from creditdesk.reports.rows import (
    CustomerRow,
    OriginRow,
    ProductSaleRow,
    ReportMoneyCreditRow,
    ReportRateRow,
    ReportTimeCreditRow,
)
from creditdesk.reports.values import Microseconds, ReportCredit
from creditdesk.schema.conversions import fold_case
from creditdesk.schema.query import Filter, where
from creditdesk.schema.repository import ReadSession

_UNITS: Final = {
    eChargePeriod.Minutes: "minute",
    eChargePeriod.Days: "day",
    eChargePeriod.Weeks: "week",
    eChargePeriod.Months: "month",
    eChargePeriod.Uses: "use",
    eChargePeriod.FourWeekMonths: "four-week month",
}
_PRINT: Final = "print"
DEFAULT_UNIT: Final = "use"
"""The unit of time credit without a rate."""


async def load_report_credits(
    session: ReadSession, scope: EntryScope, accounts: Collection[AccountKey] | None = None
) -> dict[AccountKey, ReportCredit]:
    """The credits of a scope, or only those of `accounts` in it. Leaves out booking charges (rule 5)."""
    money: list[ReportMoneyCreditRow] = []
    time: list[ReportTimeCreditRow] = []
    if AccountType.MONEY in scope.account_types:
        filters = _filters(scope, MAPPINGS[AccountType.MONEY], accounts)
        money = await find_filtered(session, ReportMoneyCreditRow, filters)
    if AccountType.TIME in scope.account_types:
        filters = _filters(scope, MAPPINGS[AccountType.TIME], accounts)
        found = await find_filtered(session, ReportTimeCreditRow, filters)
        time = [row for row in found if not (row.booking_id or row.booking_unique_id)]
    names = await find_by_id(session, CustomerRow, [*(r.coworker_id for r in money), *(r.coworker_id for r in time)])
    rates = await find_by_id(session, ReportRateRow, (row.extra_service_id for row in time))
    sold = [*(r.coworker_product_unique_id for r in money), *(r.coworker_product_unique_id for r in time)]
    sales = await find_by_unique_id(session, ProductSaleRow, sold)
    keys = [*((AccountType.MONEY, row.id) for row in money), *((AccountType.TIME, row.id) for row in time)]
    origins = await _load_origins(session, keys)
    credits_ = [
        *(_money_credit(row, names, sales, origins) for row in money),
        *(_time_credit(row, names, rates, sales, origins) for row in time),
    ]
    return {credit.account: credit for credit in credits_}


def _filters(
    scope: EntryScope, mapping: CreditTypeMapping, accounts: Collection[AccountKey] | None
) -> tuple[Filter, ...]:
    values: dict[str, object] = {"BusinessId": scope.locations or (0,)}
    if scope.customer is not None:
        values["CoworkerId"] = scope.customer
    if scope.account is not None:
        values["Id"] = scope.account[1]
    if accounts is not None:
        values["Id"] = [credit_id for kind, credit_id in accounts if kind is mapping.account_type] or (0,)
    return where(mapping.credit_entity, **values)


async def _load_origins(session: ReadSession, accounts: Sequence[AccountKey]) -> dict[AccountKey, OriginRow]:
    """The origin of each credit that has a stored state."""
    rows = await find_by_id(session, OriginRow, map(state_id, accounts))
    return {row.account: row for row in rows.values()}


def _money_credit(
    row: ReportMoneyCreditRow,
    names: dict[int, CustomerRow],
    sales: dict[str, ProductSaleRow],
    origins: dict[AccountKey, OriginRow],
) -> ReportCredit:
    origin = origins.get((AccountType.MONEY, row.id))
    return ReportCredit(
        account_type=AccountType.MONEY,
        id=row.id,
        business_id=row.business_id,
        customer_id=row.coworker_id,
        credit_type=CreditType.MONEY,
        unit=(row.business_currency_code or "").upper(),
        description=row.description or row.tariff_booking_credit_name or "",
        customer_name=_name(names, row.coworker_id),
        plan=row.tariff_booking_credit_name or "",
        product=_product(sales, row.coworker_product_unique_id),
        funding=origin.funding if origin else FundingKind.UNKNOWN,
        price=origin.price_paid if origin else None,
        price_currency=(row.business_currency_code or "").upper(),
        total=row.total_credit,
        remaining=row.remaining_credit,
        valid_from=_microseconds(row.valid_from),
        expires=_microseconds(row.expire_date),
        created=epoch_microseconds(row.created_on),
        continues=origin.granted_from if origin else None,
        benefit_key=_benefit_key(row.coworker_contract_unique_id, row.tariff_booking_credit_id, row.valid_from),
    )


def _time_credit(
    row: ReportTimeCreditRow,
    names: dict[int, CustomerRow],
    rates: dict[int, ReportRateRow],
    sales: dict[str, ProductSaleRow],
    origins: dict[AccountKey, OriginRow],
) -> ReportCredit:
    rate = rates.get(row.extra_service_id or 0)
    origin = origins.get((AccountType.TIME, row.id))
    credit_type, unit = time_unit(rate)
    return ReportCredit(
        account_type=AccountType.TIME,
        id=row.id,
        business_id=row.business_id,
        customer_id=row.coworker_id,
        credit_type=credit_type,
        unit=unit,
        description=row.description or (rate.name if rate else "") or "",
        customer_name=_name(names, row.coworker_id),
        plan=(rate.name or "") if rate and row.is_from_tariff else "",
        product=_product(sales, row.coworker_product_unique_id),
        funding=origin.funding if origin else FundingKind.UNKNOWN,
        price=row.price if origin is None or origin.price_paid is None else origin.price_paid,
        price_currency=(rate.currency_code or "").upper() if rate else "",
        total=row.total_uses,
        remaining=row.remaining_uses,
        valid_from=_microseconds(row.valid_from),
        expires=_microseconds(row.expire_date),
        overdraft=row.overdraft or 0,
        created=epoch_microseconds(row.created_on),
        continues=origin.granted_from if origin else None,
        benefit_key=_benefit_key(
            row.coworker_contract_unique_id, row.extra_service_id if row.is_from_tariff else None, row.valid_from
        ),
    )


def time_unit(rate: ReportRateRow | None) -> tuple[CreditType, str]:
    """The credit type of a rate, and the unit that one use of it stands for."""
    if rate is None:
        return CreditType.TIME, DEFAULT_UNIT
    if rate.is_printing_credit:
        return CreditType.PRINTING, _PRINT
    return CreditType.TIME, _UNITS[eChargePeriod(rate.charge_period)]


def _benefit_key(contract: str | None, benefit: int | None, valid_from: datetime | None) -> str:
    if not contract or not benefit or valid_from is None:
        return ""
    return f"{fold_case(contract)}/{benefit}/{valid_from.isoformat()}"


def _name(names: dict[int, CustomerRow], customer_id: int | None) -> str:
    found = names.get(customer_id or 0)
    return (found.full_name or "") if found else ""


def _product(sales: dict[str, ProductSaleRow], unique_id: str | None) -> str:
    found = sales.get(fold_case(unique_id)) if unique_id else None
    return (found.product_name or "") if found else ""


def _microseconds(instant: datetime | None) -> Microseconds | None:
    return None if instant is None else epoch_microseconds(instant)
