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
from creditdesk.ledger.journal.balances import credit_balance_at, customer_balances
from creditdesk.ledger.journal.mapping import MONEY_MAPPING
from creditdesk.ledger.operations.corrections import adjust
from creditdesk.ledger.operations.renewals import find_due_renewals, run_renewals
from tests.ledger.town import NOON, LedgerBuilder, money


async def add_contract(town: LedgerBuilder) -> int:
    tariff = await town.add(
        Tariff, Name="Hot desk", BusinessId=town.business, CurrencyId=town.currency
    )
    await town.add(
        TariffBookingCredit, Name="Rooms", TariffId=tariff, Credit=money("30.00"),
        ServiceRenewalTime=2, CaneBeUsedForBookings=True,
        ElegibleResourceTypes=(town.resource_type,),
    )  # fmt: skip
    await town.add(
        TariffExtraService, TariffId=tariff, ExtraServiceId=town.rate, UsesIncluded=120,
        ServiceRenewalTime=2,
    )  # fmt: skip
    return await town.add(
        CoworkerContract, IssuedById=town.business, CoworkerId=town.customer, TariffId=tariff,
        StartDate=datetime(2026, 1, 15, tzinfo=UTC), BillingDay=15, Quantity=1, Active=True,
    )  # fmt: skip


async def run_due_renewals(town: LedgerBuilder):
    async with town.store.write_session() as session:
        return await run_renewals(session, town.request_context(), town.context)


async def test_rule_27_concurrent_runs_grant_a_period_once(town: LedgerBuilder):
    await add_contract(town)
    done = await asyncio.gather(run_due_renewals(town), run_due_renewals(town))
    assert sorted(len(granted) for granted in done) == [0, 2]
    assert await run_due_renewals(town) == []
    (credit,) = await town.find(CoworkerBookingCredit)
    assert credit["RemainingCredit"] == money("30.00")
    assert credit["ValidFrom"] == datetime(2026, 3, 1, tzinfo=UTC)
    assert credit["ExpireDate"] == datetime(2026, 4, 1, tzinfo=UTC)
    whole = await town.get(CoworkerBookingCredit, credit["Id"])
    assert whole["ElegibleResourceTypes"] == (town.resource_type,)
    (time,) = await town.find(CoworkerExtraService)
    assert (time["RemainingUses"], time["IsFromTariff"]) == (120, True)


async def test_rule_27_a_missed_run_catches_up_period_by_period(town: LedgerBuilder):
    await add_contract(town)
    await run_due_renewals(town)
    town.now = datetime(2026, 6, 2, tzinfo=UTC)
    async with town.store.read_session() as session:
        due = await find_due_renewals(session, town.request_context(), town.now)
    assert [d.period.starts.month for d in due] == [4, 4, 5, 5, 6, 6]
    assert len(await run_due_renewals(town)) == 6
    ends = [c["ExpireDate"].month for c in await town.find(CoworkerBookingCredit)]
    assert ends == [4, 5, 6, 7]


async def test_rule_4_a_balance_at_an_instant_and_as_known_then(town: LedgerBuilder):
    credit = await town.add_money_credit("10.00")
    account = (MONEY_MAPPING.account_type, credit)
    await town.post_use(credit, "1.00")
    town.now = NOON + timedelta(days=2)
    async with town.store.write_session() as session:
        early = NOON + timedelta(days=1)
        await adjust(
            session, account, money("5.00"), "late", town.request_context(), town.context, early
        )
    async with town.store.read_session() as session:
        one, two = NOON + timedelta(days=1), NOON + timedelta(days=2)
        assert await credit_balance_at(session, account, one) == money("9.00")
        assert await credit_balance_at(session, account, two) == money("14.00")
        assert await credit_balance_at(session, account, one, two) == money("14.00")
        assert await credit_balance_at(session, account, one, one) == money("9.00")


async def test_balances_show_what_expires_soon(town: LedgerBuilder):
    await town.add_money_credit("10.00", ExpireDate=NOON)
    await town.add_money_credit("20.00", ExpireDate=NOON + timedelta(days=5))
    await town.add_time_credit(60)
    async with town.store.read_session() as session:
        found = await customer_balances(
            session, town.customer, town.request_context(), expiring_within_days=7
        )
    assert [(b.remaining, b.available, b.expiring) for b in found] == [
        (money("10.00"), 0, 0),
        (money("20.00"), money("20.00"), money("20.00")),
        (60, 60, 0),
    ]
