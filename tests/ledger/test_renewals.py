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
from creditdesk.ledger.journal.balances import balance, balances
from creditdesk.ledger.journal.mapping import MONEY
from creditdesk.ledger.operations.corrections import adjust
from creditdesk.ledger.operations.renewals import due_renewals, run_renewals
from tests.ledger.town import NOON, Town, money


async def on_plan(town: Town) -> int:
    tariff = await town.add(
        Tariff, Name="Hot desk", BusinessId=town.business, CurrencyId=town.currency
    )
    await town.add(
        TariffBookingCredit, Name="Rooms", TariffId=tariff, Credit=money("30.00"),
        ServiceRenewalTime=2, CaneBeUsedForBookings=True,
        ElegibleResourceTypes=(town.room_type,),
    )  # fmt: skip
    await town.add(
        TariffExtraService, TariffId=tariff, ExtraServiceId=town.rate, UsesIncluded=120,
        ServiceRenewalTime=2,
    )  # fmt: skip
    return await town.add(
        CoworkerContract, IssuedById=town.business, CoworkerId=town.customer, TariffId=tariff,
        StartDate=datetime(2026, 1, 15, tzinfo=UTC), BillingDay=15, Quantity=1, Active=True,
    )  # fmt: skip


async def run(town: Town):
    async with town.store.writing() as unit:
        return await run_renewals(unit, town.call(), town.desk)


async def test_rule_27_a_period_is_granted_once_whatever_runs_beside_it(town: Town):
    await on_plan(town)
    done = await asyncio.gather(run(town), run(town))
    assert sorted(len(granted) for granted in done) == [0, 2]
    assert await run(town) == []
    (credit,) = await town.rows(CoworkerBookingCredit)
    assert credit["RemainingCredit"] == money("30.00")
    assert credit["ValidFrom"] == datetime(2026, 3, 1, tzinfo=UTC)
    assert credit["ExpireDate"] == datetime(2026, 4, 1, tzinfo=UTC)
    whole = await town.get(CoworkerBookingCredit, credit["Id"])
    assert whole["ElegibleResourceTypes"] == (town.room_type,)
    (time,) = await town.rows(CoworkerExtraService)
    assert (time["RemainingUses"], time["IsFromTariff"]) == (120, True)


async def test_rule_27_a_missed_run_catches_up_period_by_period(town: Town):
    await on_plan(town)
    await run(town)
    town.now = datetime(2026, 6, 2, tzinfo=UTC)
    async with town.store.reading() as reading:
        due = await due_renewals(reading, town.call(), town.now)
    assert [d.period.starts.month for d in due] == [4, 4, 5, 5, 6, 6]
    assert len(await run(town)) == 6
    ends = [c["ExpireDate"].month for c in await town.rows(CoworkerBookingCredit)]
    assert ends == [4, 5, 6, 7]


async def test_rule_4_a_balance_at_an_instant_and_as_it_was_known(town: Town):
    credit = await town.add_money("10.00")
    account = (MONEY.kind, credit)
    await town.use(credit, "1.00")
    town.now = NOON + timedelta(days=2)
    async with town.store.writing() as unit:
        early = NOON + timedelta(days=1)
        await adjust(unit, account, money("5.00"), "late", town.call(), town.desk, early)
    async with town.store.reading() as reading:
        one, two = NOON + timedelta(days=1), NOON + timedelta(days=2)
        assert await balance(reading, account, one) == money("9.00")
        assert await balance(reading, account, two) == money("14.00")
        assert await balance(reading, account, one, two) == money("14.00")
        assert await balance(reading, account, one, one) == money("9.00")


async def test_balances_tell_what_lapses_soon(town: Town):
    await town.add_money("10.00", ExpireDate=NOON)
    await town.add_money("20.00", ExpireDate=NOON + timedelta(days=5))
    await town.add_time(60)
    async with town.store.reading() as reading:
        found = await balances(reading, town.customer, town.call(), lapsing_days=7)
    assert [(b.remaining, b.available, b.lapsing) for b in found] == [
        (money("10.00"), 0, 0),
        (money("20.00"), money("20.00"), money("20.00")),
        (60, 60, 0),
    ]
