"""Benefits: the credit that plans and products bring, and what was granted of it (rule 27)."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from enum import IntEnum
from typing import Final, TypeVar

from msgspec import Struct

from creditdesk.entities.billing.product_booking_credit import ProductBookingCredit
from creditdesk.entities.billing.product_extra_service import ProductExtraService
from creditdesk.entities.billing.tariff import Tariff
from creditdesk.entities.billing.tariff_booking_credit import TariffBookingCredit
from creditdesk.entities.billing.tariff_extra_service import TariffExtraService
from creditdesk.entities.ledger.benefit_grant import BenefitGrant
from creditdesk.entities.ledger.benefit_rollover import BenefitRollover
from creditdesk.ledger.journal.mapping import MONEY_MAPPING, TIME_MAPPING, CreditTypeMapping
from creditdesk.ledger.loaders.rates import load_rates
from creditdesk.ledger.loaders.rows import AccountRow, TypedRow, find_rows, have_values
from creditdesk.ledger.rules.amounts import Amount
from creditdesk.ledger.rules.renewal import ExpirationType, RolloverLimit, ServiceRenewalTime
from creditdesk.ledger.rules.units import ChargePeriod
from creditdesk.schema.entity import Entity, Record
from creditdesk.schema.errors import StateConflict, UnknownStoredValue
from creditdesk.schema.query import Comparison, Filter, where
from creditdesk.schema.repository import Finder, ReadSession

_MONEY_VALUES: Final = (
    "CaneBeUsedForBookings", "CaneBeUsedForEvents", "IsUniversalCredit", "AppliesToCharges",
    "ElegibleResourceTypes", "ElegibleProducts", "ElegibleTariffs", "ElegiblePasses",
    "EventCategories",
)  # fmt: skip
"""The columns that a money credit copies from its benefit."""


MIN_CONTRACTS: Final = 200
"""The number of a benefit's contracts from which only the newest grants are searched for missing ones."""

_C = TypeVar("_C", bound=IntEnum)


class Benefit(Struct, frozen=True):
    """A benefit of a plan or a product.

    `credit_values` are the columns of the credits it grants, beside their amount and dates.
    `amount` is in the credit's smallest unit.
    """

    id: int
    mapping: CreditTypeMapping
    owner_id: int
    amount: Amount
    credit_values: Mapping[str, object]

    @property
    def name(self) -> str:
        """The benefit among those of all plans, for example `money/7`."""
        return f"{self.mapping.account_type.value}/{self.id}"


class PlanBenefit(Benefit, frozen=True):
    """A benefit of a plan, granted again in each period."""

    renewal: ServiceRenewalTime


class ProductBenefit(Benefit, frozen=True):
    """A benefit of a product, granted once when a sale of it becomes active.

    `lifetime` counts in units of `expiration`.
    """

    expiration: ExpirationType
    lifetime: int | None


class GrantRow(AccountRow, frozen=True, gc=False):
    """One credit that was granted of a benefit, under a key that is unique."""

    entity = BenefitGrant

    key: str
    contract_id: int
    benefit: str
    period_start: datetime


class _RolloverRow(TypedRow, frozen=True, gc=False):
    entity = BenefitRollover

    benefit: str
    cap: Amount
    periods: int


class PlanRow(TypedRow, frozen=True, gc=False):
    """How often a plan is invoiced: every so many months, or every so many weeks."""

    entity = Tariff

    invoice_every: int | None
    invoice_every_weeks: int | None


async def load_plan_benefits(finder: Finder, tariff_ids: Collection[int]) -> dict[int, list[PlanBenefit]]:
    """The benefits of plans by plan id; money before time, each by Id."""
    money_columns = ("TariffId", "Credit", "ServiceRenewalTime", "Name", *_MONEY_VALUES)
    time_columns = ("TariffId", "UsesIncluded", "ServiceRenewalTime", "ExtraServiceId")
    plans = {"TariffId": tuple(tariff_ids)}
    money = await _find(finder, TariffBookingCredit, money_columns, ("Credit", "ServiceRenewalTime"), **plans)
    time = await _find(finder, TariffExtraService, time_columns, ("UsesIncluded", "ServiceRenewalTime"), **plans)
    benefits = [
        *(
            PlanBenefit(
                record["Id"],
                MONEY_MAPPING,
                record["TariffId"],
                record["Credit"],
                {**_money_values(record), "TariffBookingCreditId": record["Id"]},
                _choice(ServiceRenewalTime, TariffBookingCredit, record),
            )
            for record in money
        ),
        *(
            PlanBenefit(
                record["Id"],
                TIME_MAPPING,
                record["TariffId"],
                record["UsesIncluded"],
                {**values, "IsFromTariff": True},
                _choice(ServiceRenewalTime, TariffExtraService, record),
            )
            for record, values in await _with_time_values(finder, time)
        ),
    ]
    found: dict[int, list[PlanBenefit]] = {}
    for benefit in benefits:
        found.setdefault(benefit.owner_id, []).append(benefit)
    return found


async def load_product_benefits(finder: Finder, product_id: int) -> list[ProductBenefit]:
    """The benefits of a product that grant something; money before time, each by Id."""
    life = ("ExpirationType", "ExpiresIn", "ExpireTimeInMonths", "ExpireTimeInWeeks")
    money = await _find(
        finder,
        ProductBookingCredit,
        ("Credit", "Name", *life, *_MONEY_VALUES),
        ("Credit",),
        ProductId=product_id,
    )
    time_columns = ("UsesIncluded", "ExtraServiceId", *life)
    time = await _find(finder, ProductExtraService, time_columns, ("UsesIncluded",), ProductId=product_id)
    return [
        *(
            ProductBenefit(
                record["Id"],
                MONEY_MAPPING,
                product_id,
                record["Credit"],
                _money_values(record),
                *_lifetime(ProductBookingCredit, record),
            )
            for record in money
            if record["Credit"] > 0
        ),
        *(
            ProductBenefit(
                record["Id"],
                TIME_MAPPING,
                product_id,
                record["UsesIncluded"],
                values,
                *_lifetime(ProductExtraService, record),
            )
            for record, values in await _with_time_values(finder, time)
            if record["UsesIncluded"] > 0
        ),
    ]


async def load_rollovers(finder: Finder, benefits: Mapping[str, CreditTypeMapping]) -> dict[str, RolloverLimit]:
    """The rollover of those benefits that have one, by benefit name."""
    return {
        row.benefit: RolloverLimit(row.cap // benefits[row.benefit].scale, row.periods)
        for row in await find_rows(finder, _RolloverRow, Benefit=tuple(benefits))
    }


async def find_rollover_ids(finder: Finder, benefit: str) -> list[int]:
    """The ids of what is stored about a benefit's rollover."""
    return [row.id for row in await find_rows(finder, _RolloverRow, Benefit=benefit)]


async def load_granted_keys(finder: Finder, keys: Iterable[str]) -> set[str]:
    """Those of the keys under which a credit was granted."""
    return {grant.key for grant in await find_rows(finder, GrantRow, Key=tuple(keys))}


async def load_grants(finder: Finder, contract_ids: Collection[int], benefits: Collection[str]) -> list[GrantRow]:
    """What contracts were granted of these benefits, by Id."""
    return await find_rows(finder, GrantRow, ContractId=tuple(contract_ids), Benefit=tuple(benefits))


async def find_lacking_grants(
    session: ReadSession, periods: Mapping[str, Mapping[datetime, Collection[int]]]
) -> set[int]:
    """The contracts that lack a grant of a benefit for a period that starts at an instant or later.

    `periods` are contracts by the benefit's name and the instant. Returns all contracts of a benefit that has fewer
    than `MIN_CONTRACTS`: reading their grants costs no more than this query.
    """
    starts = BenefitGrant.meta().columns["PeriodStart"]
    found: set[int] = set()
    for benefit, contracts in periods.items():
        if sum(map(len, contracts.values())) < MIN_CONTRACTS:
            found.update(*contracts.values())
            continue
        recent = (*where(BenefitGrant, Benefit=benefit), Filter(starts, Comparison.AT_LEAST, min(contracts)))
        granted = await session.find_grouped(BenefitGrant, "PeriodStart", "ContractId", recent)
        earlier = sorted(granted)
        since: set[int] = set()
        for instant in sorted(contracts, reverse=True):
            while earlier and earlier[-1] >= instant:
                since.update(granted[earlier.pop()])
            found.update(set(contracts[instant]) - since)
    return found


async def load_granted_periods(finder: Finder, contract_ids: Collection[int]) -> list[tuple[int, str, datetime]]:
    """The contract, the benefit and the start of the period of every grant of these contracts."""
    columns = ("ContractId", "Benefit", "PeriodStart")
    found = await finder.find(BenefitGrant, where(BenefitGrant, ContractId=tuple(contract_ids)), columns=columns)
    return [tuple(record.values()) for record in found]


async def _find(
    finder: Finder, entity: type[Entity], columns: tuple[str, ...], required: tuple[str, ...], **values: object
) -> list[Record]:
    """Benefits that have every `required` value; an imported one without grants nothing."""
    complete = (*where(entity, **values), *have_values(entity, *required))
    return await finder.find(entity, complete, columns=("Id", *columns))


def _money_values(record: Record) -> dict[str, object]:
    return {
        **{name: record[name] for name in _MONEY_VALUES},
        "Description": record["Name"],
    }


async def _with_time_values(finder: Finder, benefits: Collection[Record]) -> list[tuple[Record, dict[str, object]]]:
    """Each benefit of time credit with the values that its credits copy."""
    rates = await load_rates(finder, {record["ExtraServiceId"] for record in benefits})
    found = []
    for record in benefits:
        rate = rates.get(record["ExtraServiceId"])
        period = rate.charge_period if rate else ChargePeriod.MINUTES
        values = {
            "ExtraServiceId": record["ExtraServiceId"],
            "ChargePeriod": period.value,
            "Free": True,
            "Price": 0,
        }
        found.append((record, values))
    return found


def _lifetime(entity: type[Entity], record: Record) -> tuple[ExpirationType, int | None]:
    """The lifetime and its unit; the older fields apply if they are filled and the newer one is not."""
    if record["ExpiresIn"] is None:
        for name, expiration in (
            ("ExpireTimeInMonths", ExpirationType.MONTH),
            ("ExpireTimeInWeeks", ExpirationType.WEEK),
        ):
            if record[name]:
                return expiration, record[name]
    if record["ExpirationType"] is None:
        raise StateConflict(f"Benefit #{record['Id']} of the product has no ExpirationType: set it first.")
    return _choice(ExpirationType, entity, record), record["ExpiresIn"]


def _choice(kind: type[_C], entity: type[Entity], record: Record) -> _C:
    """The value of the column that has the name of its type."""
    value = record[kind.__name__]
    if value not in set(kind):
        raise UnknownStoredValue(entity.__name__, record["Id"], kind.__name__, value)
    return kind(value)
