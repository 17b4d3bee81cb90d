"""Sums of what the credits of locations hold now, computed in the database by the groups of a report."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from enum import Enum, auto
from typing import Any, Final, NamedTuple

from creditdesk.entities.billing.coworker_product import CoworkerProduct
from creditdesk.entities.ledger.account_state import AccountState
from creditdesk.ledger.journal.entry import AccountType
from creditdesk.ledger.journal.mapping import MAPPINGS, CreditTypeMapping, state_id
from creditdesk.ledger.loaders.expiry import without_charges
from creditdesk.ledger.loaders.rows import find_by_id
from creditdesk.ledger.rules.amounts import Amount
from creditdesk.ledger.rules.credit import CreditType
from creditdesk.ledger.rules.funding import FundingKind
from creditdesk.reports.credit_loader import time_unit
from creditdesk.reports.ledger_view import LocationInfo
from creditdesk.reports.loader import is_wanted
from creditdesk.reports.request import ReportRequest
from creditdesk.reports.rows import CustomerRow, ProductNameRow, ReportRateRow
from creditdesk.reports.values import ReportCredit
from creditdesk.schema.cross_checks import Pairing
from creditdesk.schema.grouped_sums import GroupedSum, GroupTerm, InstantsPassed, Lookup
from creditdesk.schema.query import Comparison, Filter, where
from creditdesk.schema.repository import ReadSession

_PRODUCT: Final = Lookup(CoworkerProduct, Pairing("UniqueId", "CoworkerProductUniqueId"), "ProductId")


class Counted(Enum):
    """Which credits a report counts: with something remaining, also with something held, or all with a total."""

    REMAINING = auto()
    HELD = auto()
    GRANTED = auto()


class CreditSum(NamedTuple):
    """What the credits of one group hold together. Overdrawn credits are in groups of their own.

    `credit` has the values that the group has in common; `passed` is, for each `InstantsPassed`, how many of its
    instants lie before the credits' time. `held` is the reserved part.
    """

    credit: ReportCredit
    passed: tuple[int | None, ...]
    credits: int
    original: Amount
    remaining: Amount
    held: Amount


async def sum_credits(
    session: ReadSession,
    request: ReportRequest,
    locations: Mapping[int, LocationInfo],
    by: Iterable[str],
    passed: Sequence[InstantsPassed],
    counted: Counted,
) -> list[CreditSum]:
    """The sums of credits, by location, unit, `by` and the instants passed.

    `by` may name plan, description, customer and funding; other names do not divide the groups.
    """
    chosen = {name for name, value in (("plan", request.plan), ("funding", request.funding)) if value is not None}
    reserved = await _reserved_credits(session) if counted is Counted.HELD else {}
    sums: list[CreditSum] = []
    for mapping in MAPPINGS.values():
        parts = _parts(mapping, counted, reserved.get(mapping.account_type, ()))
        terms = _terms(mapping, {*by, *chosen})
        found = await _sum_grouped(session, mapping, locations, [*terms.values(), *passed], parts)
        groups = [dict(zip(terms, each.group, strict=False)) for each in found]
        names = await _load_names(session, groups)
        for each, group in zip(found, groups, strict=True):
            credit = _group_credit(mapping.account_type, group, names, locations)
            original, remaining, scaled = each.totals
            instants = each.group[len(terms) :]
            sums.append(CreditSum(credit, instants, each.records, original, remaining, scaled // mapping.scale))
    return [each for each in sums if is_wanted(each.credit, request)]


async def _sum_grouped(
    session: ReadSession,
    mapping: CreditTypeMapping,
    locations: Iterable[int],
    by: Sequence[GroupTerm],
    parts: Iterable[tuple[Filter, ...]],
) -> list[GroupedSum]:
    """Total, remaining and scaled held amounts of a type's credits."""
    entity = mapping.credit_entity
    columns = (mapping.total_field, mapping.remaining_field, _state_value(mapping, "Held"))
    of_locations = (*where(entity, BusinessId=tuple(locations) or (0,)), *without_charges(mapping))
    return [each for part in parts for each in await session.sum_grouped(entity, columns, by, (*of_locations, *part))]


def _parts(mapping: CreditTypeMapping, counted: Counted, reserved: Sequence[int]) -> list[tuple[Filter, ...]]:
    """The filters of the sums, one for each sign: expired overdrawn credit must not reduce what is owed."""
    columns = mapping.credit_entity.meta().columns
    total, remaining = columns[mapping.total_field], columns[mapping.remaining_field]
    below = Filter(remaining, Comparison.AT_MOST, -1)
    if counted is Counted.GRANTED:
        granted = Filter(total, Comparison.AT_LEAST, 1)
        return [(granted, Filter(remaining, Comparison.AT_LEAST, 0)), (granted, below)]
    parts: list[tuple[Filter, ...]] = [(Filter(remaining, Comparison.AT_LEAST, 1),), (below,)]
    if reserved:
        parts.append(where(mapping.credit_entity, **{"Id": reserved, mapping.remaining_field: 0}))
    return parts


async def _reserved_credits(session: ReadSession) -> dict[AccountType, list[int]]:
    """The credits with held amounts; an overdraft can be held while nothing remains."""
    found: dict[AccountType, list[int]] = defaultdict(list)
    is_held = Filter(AccountState.meta().columns["Held"], Comparison.AT_LEAST, 1)
    for record in await session.find(AccountState, (is_held,), columns=("CreditKind", "CreditId")):
        found[AccountType(record["CreditKind"])].append(record["CreditId"])
    return found


def _state_value(mapping: CreditTypeMapping, name: str) -> Lookup:
    return Lookup(AccountState, Pairing("Id", "Id", 2, state_id((mapping.account_type, 0))), name)


def _terms(mapping: CreditTypeMapping, by: set[str]) -> dict[str, GroupTerm]:
    """The terms that group the credits of a type, by the names that `_group_credit` reads."""
    of_time = mapping.account_type is AccountType.TIME
    terms: dict[str, GroupTerm] = {"location": "BusinessId"}
    if of_time:
        terms["rate"] = "ExtraServiceId"
    if "plan" in by:
        terms["product"] = _PRODUCT
        terms["plan"] = "IsFromTariff" if of_time else "TariffBookingCreditName"
    if "description" in by:
        terms["description"] = "Description"
    if "customer" in by:
        terms["customer"] = "CoworkerId"
    if "funding" in by:
        terms["funding"] = _state_value(mapping, "Funding")
    return terms


class _Names(NamedTuple):
    """The names and rates behind the ids of groups."""

    products: dict[int, ProductNameRow]
    rates: dict[int, ReportRateRow]
    customers: dict[int, CustomerRow]


async def _load_names(session: ReadSession, groups: Sequence[Mapping[str, Any]]) -> _Names:
    def ids(name: str) -> set[int | None]:
        return {each.get(name) for each in groups}

    return _Names(
        await find_by_id(session, ProductNameRow, ids("product")),
        await find_by_id(session, ReportRateRow, ids("rate")),
        await find_by_id(session, CustomerRow, ids("customer")),
    )


def _group_credit(
    account_type: AccountType, terms: Mapping[str, Any], names: _Names, locations: Mapping[int, LocationInfo]
) -> ReportCredit:
    """A credit with the values that a group has in common."""
    plan, funding, customer_id = terms.get("plan"), terms.get("funding"), terms.get("customer")
    product = names.products.get(terms.get("product") or 0)
    customer = names.customers.get(customer_id or 0)
    if account_type is AccountType.MONEY:
        kind, unit = CreditType.MONEY, locations[terms["location"]].currency.upper()
        name = plan
    else:
        rate = names.rates.get(terms["rate"] or 0)
        kind, unit = time_unit(rate)
        name = rate.name if rate else ""
        plan = rate.name if rate and plan else ""
    return ReportCredit(
        account_type, 0, terms["location"], customer_id, kind, unit,
        description=terms.get("description") or name or "",
        customer_name=(customer.full_name or "") if customer else "",
        plan=plan or "",
        product=(product.name or "") if product else "",
        funding=FundingKind(funding) if funding else FundingKind.UNKNOWN,
    )  # fmt: skip
