"""Plan benefits: which periods are due, and granting each of them once (rule 27).

What is left of the grant before lapses by its own expiry, unless it rolls over. This module must not know the wire.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from creditdesk.entities.billing.coworker_contract import CoworkerContract
from creditdesk.entities.billing.extra_service import ExtraService
from creditdesk.entities.billing.tariff_booking_credit import TariffBookingCredit
from creditdesk.entities.billing.tariff_extra_service import TariffExtraService
from creditdesk.entities.ledger.benefit_grant import BenefitGrant
from creditdesk.ledger.journal.mapping import (
    MONEY_MAPPING,
    TIME_MAPPING,
    CreditTypeMapping,
    where,
)
from creditdesk.ledger.journal.transaction import LedgerContext
from creditdesk.ledger.loaders.use_references import LocationClock, load_location_clocks
from creditdesk.ledger.operations.corrections import grant
from creditdesk.ledger.operations.rollover import (
    RenewedGrant,
    load_rollovers,
    lock_granted_credits,
    roll_over,
)
from creditdesk.ledger.rules.calendar import local_date
from creditdesk.ledger.rules.renewal import (
    RenewalPeriod,
    ServiceRenewalTime,
    periods_due,
    renewal_key,
    renewal_period,
)
from creditdesk.schema.entity import Record
from creditdesk.schema.records import new_record
from creditdesk.schema.repository import ReadSession, WriteSession
from creditdesk.schema.service import RequestContext

_LIMIT_LISTS = (
    "ElegibleResourceTypes", "ElegibleProducts", "ElegibleTariffs", "ElegiblePasses",
    "EventCategories",
)  # fmt: skip
_LIMIT_FLAGS = (
    "CaneBeUsedForBookings", "CaneBeUsedForEvents", "IsUniversalCredit", "AppliesToCharges",
)  # fmt: skip
_TARIFF_VALUES = {"IsFromTariff": True}


@dataclass(frozen=True, slots=True)
class DueRenewal:
    """One period of one benefit of one contract that has not been granted."""

    mapping: CreditTypeMapping
    contract: Record
    benefit: Record
    period: RenewalPeriod
    clock: LocationClock

    @property
    def benefit_name(self) -> str:
        return f"{self.mapping.account_type.value}/{self.benefit['Id']}"

    @property
    def key(self) -> str:
        return renewal_key(str(self.contract["Id"]), self.benefit_name, self.period)

    @property
    def amount(self) -> int:
        """What the period grants, in the credit's smallest step."""
        granted: int = self.benefit["Credit" if self.mapping is MONEY_MAPPING else "UsesIncluded"]
        return granted


async def find_due_renewals(
    session: ReadSession,
    context: RequestContext,
    now: datetime,
    *,
    since: date | None = None,
    contract_ids: Sequence[int] | None = None,
) -> list[DueRenewal]:
    """What is due at `now` on active contracts that the caller may see, oldest period first.

    A benefit that was granted before catches up period by period. One that never was begins with
    the period of today, or with that of `since`, so taking over old contracts grants no past.
    """
    wanted: dict[str, Any] = {"Active": True}
    if contract_ids is not None:
        wanted["Id"] = tuple(contract_ids)
    contracts = [
        c
        for c in await session.find(CoworkerContract, where(CoworkerContract, **wanted))
        if context.principal.sees_location(c["IssuedById"]) and c["StartDate"] is not None
    ]
    if not contracts:
        return []
    clocks = await load_location_clocks(session, [c["IssuedById"] for c in contracts])
    benefits = await _load_benefits(session, tuple({c["TariffId"] for c in contracts}))
    last = await _load_last_granted(session, tuple(c["Id"] for c in contracts))
    found = []
    for contract in contracts:
        clock = clocks.get(contract["IssuedById"], LocationClock())
        for side, benefit in benefits.get(contract["TariffId"], ()):
            name = f"{side.account_type.value}/{benefit['Id']}"
            before = last.get((contract["Id"], name))
            for period in _periods_due(contract, benefit, clock, now, before, since):
                found.append(DueRenewal(side, contract, benefit, period, clock))
    return sorted(found, key=lambda due: (due.period.starts, due.contract["Id"], due.benefit_name))


async def run_renewals(
    session: WriteSession,
    context: RequestContext,
    ledger: LedgerContext,
    *,
    since: date | None = None,
    contract_ids: Sequence[int] | None = None,
) -> list[tuple[DueRenewal, int]]:
    """Grants what is due, each period once whatever is run beside it; gives the new credits' ids."""
    now = ledger.clock()
    if contract_ids is None:
        found = await find_due_renewals(session, context, now, since=since)
        contract_ids = list({due.contract["Id"] for due in found})
    # Whoever runs at the same time waits here, and then finds the keys.
    await session.lock(CoworkerContract, sorted(contract_ids))
    found = await find_due_renewals(session, context, now, since=since, contract_ids=contract_ids)
    rolling = await load_rollovers(session, {due.benefit_name: due.mapping for due in found})
    await lock_granted_credits(session, contract_ids, rolling, ledger)
    granted = []
    for due in found:
        record = await _credit_values(session, due)
        reason = f"renewal {due.key}"
        (credit_id,) = await grant(session, due.mapping, [record], context, ledger, reason=reason)
        starts = due.period.valid_from(due.clock.zone)
        key = {
            "Key": due.key,
            "ContractId": due.contract["Id"],
            "Benefit": due.benefit_name,
            "PeriodStart": starts,
            "CreditKind": due.mapping.account_type.value,
            "CreditId": credit_id,
        }
        await session.insert(
            BenefitGrant, [new_record(BenefitGrant, key, context.now, context.principal.email)]
        )
        granted.append((due, credit_id))
        if due.benefit_name in rolling:
            renewed = RenewedGrant(
                due.mapping, due.contract["Id"], due.benefit_name, starts, due.key, record
            )
            await roll_over(session, renewed, rolling[due.benefit_name], context, ledger)
    return granted


def _periods_due(
    contract: Record,
    benefit: Record,
    clock: LocationClock,
    now: datetime,
    before: datetime | None,
    since: date | None,
) -> list[RenewalPeriod]:
    renewal = ServiceRenewalTime(benefit["ServiceRenewalTime"])
    started = local_date(contract["StartDate"], clock.zone)
    today = local_date(now, clock.zone)
    if today < started:
        return []
    ended = contract["CancellationDate"]
    over = local_date(ended, clock.zone) if ended is not None else None
    billing_day = contract["BillingDay"] or None
    periods = periods_due(
        renewal,
        started,
        today,
        billing_day=billing_day,
        last_granted=local_date(before, clock.zone) if before is not None else None,
        ended=over,
    )
    if before is not None:
        return list(periods)
    first = renewal_period(renewal, max(started, since or today), started, billing_day)
    return [period for period in periods if period.starts >= first.starts]


async def _load_benefits(
    session: ReadSession, tariff_ids: Sequence[int]
) -> dict[int, list[tuple[CreditTypeMapping, Record]]]:
    found: dict[int, list[tuple[CreditTypeMapping, Record]]] = {}
    for side, entity in ((MONEY_MAPPING, TariffBookingCredit), (TIME_MAPPING, TariffExtraService)):
        listed = await session.find(entity, where(entity, TariffId=tuple(tariff_ids)))
        whole = await session.get_many(entity, [benefit["Id"] for benefit in listed])
        for benefit_id in sorted(whole):
            found.setdefault(whole[benefit_id]["TariffId"], []).append((side, whole[benefit_id]))
    return found


async def _load_last_granted(
    session: ReadSession, contract_ids: Sequence[int]
) -> dict[tuple[int, str], datetime]:
    last: dict[tuple[int, str], datetime] = {}
    for key in await session.find(
        BenefitGrant, where(BenefitGrant, ContractId=tuple(contract_ids))
    ):
        name = (key["ContractId"], key["Benefit"])
        last[name] = max(last.get(name, key["PeriodStart"]), key["PeriodStart"])
    return last


async def _credit_values(session: ReadSession, due: DueRenewal) -> Record:
    values: Record = {
        "CoworkerId": due.contract["CoworkerId"],
        "BusinessId": due.contract["IssuedById"],
        "CoworkerContractUniqueId": due.contract["UniqueId"],
        "ValidFrom": due.period.valid_from(due.clock.zone),
        "ExpireDate": due.period.expires(due.clock.zone),
        due.mapping.total_field: due.amount,
    }
    mark = (
        {"TariffBookingCreditId": due.benefit["Id"]}
        if due.mapping is MONEY_MAPPING
        else _TARIFF_VALUES
    )
    return values | mark | await benefit_credit_values(session, due.mapping, due.benefit)


async def benefit_credit_values(
    session: ReadSession, mapping: CreditTypeMapping, benefit: Record
) -> Record:
    """What a credit takes over from the benefit of a plan or a product, beside its amount."""
    if mapping is MONEY_MAPPING:
        return {name: benefit[name] for name in (*_LIMIT_LISTS, *_LIMIT_FLAGS)} | {
            "Description": benefit["Name"]
        }
    rate = await session.get(ExtraService, benefit["ExtraServiceId"])
    return {
        "ExtraServiceId": benefit["ExtraServiceId"],
        "ChargePeriod": rate["ChargePeriod"] if rate else 1,
        "Free": True,
        "Price": 0,
    }
