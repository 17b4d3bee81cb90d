"""The newest grants of many contracts show what is due, as all their grants do (rule 27)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import pytest

from creditdesk.entities.billing.coworker_contract import CoworkerContract
from creditdesk.entities.billing.tariff import Tariff
from creditdesk.entities.billing.tariff_booking_credit import TariffBookingCredit
from creditdesk.entities.ledger.benefit_grant import BenefitGrant
from creditdesk.ledger.loaders import benefits
from creditdesk.ledger.operations.renewals import find_due_renewals
from creditdesk.ledger.rules.renewal import ServiceRenewalTime
from creditdesk.schema.records import new_record
from tests.support.ledger_builder import ADMIN_PRINCIPAL, LedgerBuilder, money

TODAY = datetime(2026, 3, 29, 9, tzinfo=UTC)
"""The day on which clocks skip an hour at the location."""


async def add_plans(ledger: LedgerBuilder) -> dict[int, list[str]]:
    """A plan for each renewal and one with two benefits; their benefits' names."""
    plans: dict[int, list[str]] = {}
    kinds = list(ServiceRenewalTime)
    for renewals in [*([each] for each in kinds), [ServiceRenewalTime.YEAR, ServiceRenewalTime.WEEK]]:
        plan = await ledger.add(Tariff, Name="Desk", BusinessId=ledger.business, CurrencyId=ledger.currency)
        ids = [
            await ledger.add(
                TariffBookingCredit, Name="Rooms", TariffId=plan, Credit=money("9.00"), ServiceRenewalTime=each.value,
                CaneBeUsedForBookings=True,
            )
            for each in renewals
        ]  # fmt: skip
        plans[plan] = [f"money/{each}" for each in ids]
    return plans


def random_contract(random: Random, ledger: LedgerBuilder, plans: list[int]) -> dict[str, Any]:
    started = TODAY - timedelta(days=random.choice((0, 1, 20, 40, 400)), hours=random.randrange(24))
    paused = random.random() < 0.2
    return {
        "IssuedById": ledger.business, "CoworkerId": ledger.customer, "TariffId": random.choice(plans),
        "StartDate": random.choice((started, None)), "BillingDay": random.choice((None, 0, 1, 29, 31)), "Quantity": 1,
        "CancellationDate": random.choice((None, None, TODAY - timedelta(days=9))), "Active": True,
        "InPausedPeriod": paused, "InPausedPeriodFrom": TODAY - timedelta(days=3) if paused else None,
    }  # fmt: skip


def random_grants(random: Random, contracts: dict[int, list[str]]) -> list[dict[str, Any]]:
    """Grants of today's and earlier periods, some of them of terms that the contracts no longer have."""
    midnight = TODAY.replace(hour=0)
    return [
        {
            "Key": f"{contract}/{name}/{number}", "ContractId": contract, "Benefit": name, "CreditKind": "money",
            "CreditId": 1, "PeriodStart": midnight - timedelta(days=random.randrange(45), hours=random.randrange(2)),
        }
        for contract, names in contracts.items()
        for name in names
        for number in range(random.randrange(4))
    ]  # fmt: skip


async def test_rule_27_the_newest_grants_show_what_is_due(
    ledger: LedgerBuilder, monkeypatch: pytest.MonkeyPatch
) -> None:
    random = Random(27)
    plans = await add_plans(ledger)
    records = [random_contract(random, ledger, list(plans)) for _ in range(200)]
    async with ledger.store.write_session() as session:
        rows = [new_record(CoworkerContract, each, TODAY, ADMIN_PRINCIPAL.email) for each in records]
        ids = await session.insert(CoworkerContract, rows)
        names = {id_: plans[each["TariffId"]] for id_, each in zip(ids, records, strict=True)}
        grants = [new_record(BenefitGrant, each, TODAY, "job") for each in random_grants(random, names)]
        await session.insert(BenefitGrant, grants)
    context = ledger.request_context()
    for days in (0, 1, 3, 32):
        now = TODAY + timedelta(days=days)
        found = []
        async with ledger.store.read_session() as session:
            for least in (1, 10**6):
                monkeypatch.setattr(benefits, "MIN_CONTRACTS", least)
                found.append([each.key for each in await find_due_renewals(session, context, now)])
            named = [each.key for each in await find_due_renewals(session, context, now, contract_ids=ids)]
        assert found[0] == found[1] == named
        assert len({each.partition("/")[0] for each in named}) not in (0, len(ids))
