"""Renewals and balances: rules 4 and 27, on both engines."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

from creditdesk.entities.billing.coworker_booking_credit import CoworkerBookingCredit
from creditdesk.entities.billing.coworker_contract import CoworkerContract
from creditdesk.entities.billing.coworker_extra_service import CoworkerExtraService
from creditdesk.entities.billing.tariff import Tariff
from creditdesk.entities.billing.tariff_booking_credit import TariffBookingCredit
from creditdesk.entities.billing.tariff_extra_service import TariffExtraService
from creditdesk.ledger.journal.mapping import MONEY_MAPPING
from creditdesk.ledger.loaders.balances import credit_balance_at, customer_balances
from creditdesk.ledger.operations.corrections import adjust
from creditdesk.ledger.operations.renewals import DueRenewal, find_due_renewals, run_renewals
from tests.support.ledger_builder import NOON, LedgerBuilder, money


async def add_contract(ledger: LedgerBuilder) -> int:
    tariff = await ledger.add(Tariff, Name="Hot desk", BusinessId=ledger.business, CurrencyId=ledger.currency)
    await ledger.add(
        TariffBookingCredit, Name="Rooms", TariffId=tariff, Credit=money("30.00"),
        ServiceRenewalTime=2, CaneBeUsedForBookings=True,
        ElegibleResourceTypes=(ledger.resource_type,),
    )  # fmt: skip
    await ledger.add(
        TariffExtraService, TariffId=tariff, ExtraServiceId=ledger.rate, UsesIncluded=120,
        ServiceRenewalTime=2,
    )  # fmt: skip
    return await ledger.add(
        CoworkerContract, IssuedById=ledger.business, CoworkerId=ledger.customer, TariffId=tariff,
        StartDate=datetime(2026, 1, 15, tzinfo=UTC), BillingDay=15, Quantity=1, Active=True,
    )  # fmt: skip


async def run_due_renewals(ledger: LedgerBuilder) -> list[tuple[DueRenewal, int]]:
    contract_ids = {contract["Id"] for contract in await ledger.find(CoworkerContract)}
    async with ledger.store.write_session() as session:
        return await run_renewals(session, ledger.request_context(), ledger.context, contract_ids)


async def test_rule_27_concurrent_runs_grant_a_period_once(ledger: LedgerBuilder) -> None:
    await add_contract(ledger)
    done = await asyncio.gather(run_due_renewals(ledger), run_due_renewals(ledger))
    assert sorted(len(granted) for granted in done) == [0, 2]
    assert await run_due_renewals(ledger) == []
    (credit,) = await ledger.find(CoworkerBookingCredit)
    assert credit["RemainingCredit"] == money("30.00")
    assert credit["ValidFrom"] == datetime(2026, 3, 1, tzinfo=UTC)
    assert credit["ExpireDate"] == datetime(2026, 4, 1, tzinfo=UTC)
    whole = await ledger.get(CoworkerBookingCredit, credit["Id"])
    assert whole["ElegibleResourceTypes"] == (ledger.resource_type,)
    (time,) = await ledger.find(CoworkerExtraService)
    assert (time["RemainingUses"], time["IsFromTariff"]) == (120, True)


async def test_rule_27_a_missed_run_catches_up_period_by_period(ledger: LedgerBuilder) -> None:
    await add_contract(ledger)
    await run_due_renewals(ledger)
    ledger.now = datetime(2026, 6, 2, tzinfo=UTC)
    async with ledger.store.read_session() as session:
        due = await find_due_renewals(session, ledger.request_context(), ledger.now)
    assert [d.period.starts.month for d in due] == [4, 4, 5, 5, 6, 6]
    assert len(await run_due_renewals(ledger)) == 6
    ends = [c["ExpireDate"].month for c in await ledger.find(CoworkerBookingCredit)]
    assert ends == [4, 5, 6, 7]


async def test_rule_4_a_balance_at_an_instant_and_as_known_then(ledger: LedgerBuilder) -> None:
    credit = await ledger.add_money_credit("10.00")
    account = (MONEY_MAPPING.account_type, credit)
    await ledger.post_use(credit, "1.00")
    ledger.now = NOON + timedelta(days=2)
    async with ledger.store.write_session() as session:
        early = NOON + timedelta(days=1)
        await adjust(session, account, money("5.00"), "late", ledger.request_context(), ledger.context, early)
    async with ledger.store.read_session() as session:
        one, two = NOON + timedelta(days=1), NOON + timedelta(days=2)
        assert await credit_balance_at(session, account, one) == money("9.00")
        assert await credit_balance_at(session, account, two) == money("14.00")
        assert await credit_balance_at(session, account, one, two) == money("14.00")
        assert await credit_balance_at(session, account, one, one) == money("9.00")


async def test_balances_show_what_expires_soon(ledger: LedgerBuilder) -> None:
    await ledger.add_money_credit("10.00", ExpireDate=NOON)
    await ledger.add_money_credit("20.00", ExpireDate=NOON + timedelta(days=5))
    await ledger.add_time_credit(60)
    async with ledger.store.read_session() as session:
        found = await customer_balances(session, ledger.customer, ledger.request_context(), expiring_within_days=7)
    assert [(b.remaining, b.available, b.expiring) for b in found] == [
        (money("10.00"), 0, 0),
        (money("20.00"), money("20.00"), money("20.00")),
        (60, 60, 0),
    ]
