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
from creditdesk.entities.ledger.benefit_grant import GrantKey
from creditdesk.ledger.journal.context import Clockwork, read_clocks
from creditdesk.ledger.journal.mapping import MONEY, TIME, Side, may_see, new_record, where
from creditdesk.ledger.journal.transaction import Desk
from creditdesk.ledger.operations.corrections import grant
from creditdesk.ledger.operations.rollover import Renewed, lock_granted, roll_over, roll_overs
from creditdesk.ledger.rules.calendar import local_date
from creditdesk.ledger.rules.renewal import (
    Period,
    ServiceRenewalTime,
    period_of,
    periods_due,
    renewal_key,
)
from creditdesk.schema.entity import Record
from creditdesk.schema.repository import Reading, Unit
from creditdesk.schema.service import Call

_LISTS = (
    "ElegibleResourceTypes", "ElegibleProducts", "ElegibleTariffs", "ElegiblePasses",
    "EventCategories",
)  # fmt: skip
_FLAGS = (
    "CaneBeUsedForBookings", "CaneBeUsedForEvents", "IsUniversalCredit", "AppliesToCharges",
)  # fmt: skip
_FROM_TARIFF = {"IsFromTariff": True}


@dataclass(frozen=True, slots=True)
class Due:
    """One period of one benefit of one contract that has not been granted."""

    side: Side
    contract: Record
    benefit: Record
    period: Period
    clock: Clockwork

    @property
    def benefit_name(self) -> str:
        return f"{self.side.kind.value}/{self.benefit['Id']}"

    @property
    def key(self) -> str:
        return renewal_key(str(self.contract["Id"]), self.benefit_name, self.period)

    @property
    def amount(self) -> int:
        """What the period grants, in the credit's smallest step."""
        granted: int = self.benefit["Credit" if self.side is MONEY else "UsesIncluded"]
        return granted


async def due_renewals(
    reading: Reading,
    call: Call,
    now: datetime,
    *,
    since: date | None = None,
    contract_ids: Sequence[int] | None = None,
) -> list[Due]:
    """What is due at `now` on active contracts that the caller may see, oldest period first.

    A benefit that was granted before catches up period by period. One that never was begins with
    the period of today, or with that of `since`, so taking over old contracts grants no past.
    """
    wanted: dict[str, Any] = {"Active": True}
    if contract_ids is not None:
        wanted["Id"] = tuple(contract_ids)
    contracts = [
        c
        for c in await reading.find(CoworkerContract, where(CoworkerContract, **wanted))
        if may_see(call.caller, c["IssuedById"]) and c["StartDate"] is not None
    ]
    if not contracts:
        return []
    clocks = await read_clocks(reading, [c["IssuedById"] for c in contracts])
    benefits = await _benefits(reading, tuple({c["TariffId"] for c in contracts}))
    last = await _last_granted(reading, tuple(c["Id"] for c in contracts))
    found = []
    for contract in contracts:
        clock = clocks.get(contract["IssuedById"], Clockwork())
        for side, benefit in benefits.get(contract["TariffId"], ()):
            name = f"{side.kind.value}/{benefit['Id']}"
            before = last.get((contract["Id"], name))
            for period in _periods(contract, benefit, clock, now, before, since):
                found.append(Due(side, contract, benefit, period, clock))
    return sorted(found, key=lambda due: (due.period.starts, due.contract["Id"], due.benefit_name))


async def run_renewals(
    unit: Unit,
    call: Call,
    desk: Desk,
    *,
    since: date | None = None,
    contract_ids: Sequence[int] | None = None,
) -> list[tuple[Due, int]]:
    """Grants what is due, each period once whatever is run beside it; gives the new credits' ids."""
    now = desk.clock()
    if contract_ids is None:
        found = await due_renewals(unit, call, now, since=since)
        contract_ids = list({due.contract["Id"] for due in found})
    # Whoever runs at the same time waits here, and then finds the keys.
    await unit.lock(CoworkerContract, sorted(contract_ids))
    found = await due_renewals(unit, call, now, since=since, contract_ids=contract_ids)
    rolling = await roll_overs(unit, {due.benefit_name: due.side for due in found})
    await lock_granted(unit, contract_ids, rolling, desk)
    granted = []
    for due in found:
        record = await _grant_record(unit, due)
        reason = f"renewal {due.key}"
        (credit_id,) = await grant(unit, due.side, [record], call, desk, reason=reason)
        starts = due.period.valid_from(due.clock.zone)
        key = {
            "Key": due.key,
            "ContractId": due.contract["Id"],
            "Benefit": due.benefit_name,
            "PeriodStart": starts,
            "CreditKind": due.side.kind.value,
            "CreditId": credit_id,
        }
        await unit.insert(GrantKey, [new_record(GrantKey, key, call.now, call.caller.email)])
        granted.append((due, credit_id))
        if due.benefit_name in rolling:
            renewed = Renewed(
                due.side, due.contract["Id"], due.benefit_name, starts, due.key, record
            )
            await roll_over(unit, renewed, rolling[due.benefit_name], call, desk)
    return granted


def _periods(
    contract: Record,
    benefit: Record,
    clock: Clockwork,
    now: datetime,
    before: datetime | None,
    since: date | None,
) -> list[Period]:
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
    first = period_of(renewal, max(started, since or today), started, billing_day)
    return [period for period in periods if period.starts >= first.starts]


async def _benefits(
    reading: Reading, tariff_ids: Sequence[int]
) -> dict[int, list[tuple[Side, Record]]]:
    found: dict[int, list[tuple[Side, Record]]] = {}
    for side, entity in ((MONEY, TariffBookingCredit), (TIME, TariffExtraService)):
        listed = await reading.find(entity, where(entity, TariffId=tuple(tariff_ids)))
        whole = await reading.many(entity, [benefit["Id"] for benefit in listed])
        for benefit_id in sorted(whole):
            found.setdefault(whole[benefit_id]["TariffId"], []).append((side, whole[benefit_id]))
    return found


async def _last_granted(
    reading: Reading, contract_ids: Sequence[int]
) -> dict[tuple[int, str], datetime]:
    last: dict[tuple[int, str], datetime] = {}
    for key in await reading.find(GrantKey, where(GrantKey, ContractId=tuple(contract_ids))):
        name = (key["ContractId"], key["Benefit"])
        last[name] = max(last.get(name, key["PeriodStart"]), key["PeriodStart"])
    return last


async def _grant_record(reading: Reading, due: Due) -> Record:
    values: Record = {
        "CoworkerId": due.contract["CoworkerId"],
        "BusinessId": due.contract["IssuedById"],
        "CoworkerContractUniqueId": due.contract["UniqueId"],
        "ValidFrom": due.period.valid_from(due.clock.zone),
        "ExpireDate": due.period.expires(due.clock.zone),
        due.side.total: due.amount,
    }
    mark = {"TariffBookingCreditId": due.benefit["Id"]} if due.side is MONEY else _FROM_TARIFF
    return values | mark | await granted_values(reading, due.side, due.benefit)


async def granted_values(reading: Reading, side: Side, benefit: Record) -> Record:
    """What a credit takes over from the benefit of a plan or a product, beside its amount."""
    if side is MONEY:
        return {name: benefit[name] for name in (*_LISTS, *_FLAGS)} | {
            "Description": benefit["Name"]
        }
    rate = await reading.get(ExtraService, benefit["ExtraServiceId"])
    return {
        "ExtraServiceId": benefit["ExtraServiceId"],
        "ChargePeriod": rate["ChargePeriod"] if rate else 1,
        "Free": True,
        "Price": 0,
    }
