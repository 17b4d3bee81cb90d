"""Printing credit below zero, as far as it is allowed to and no further (rule 33)."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from beancount import loader

from creditdesk.audit.verify import verify
from creditdesk.entities.billing.coworker_booking_credit import CoworkerBookingCredit
from creditdesk.entities.billing.coworker_extra_service import CoworkerExtraService
from creditdesk.ledger.actions import ledger_commands
from creditdesk.ledger.journal.balances import Balance, balances
from creditdesk.ledger.journal.mapping import TIME, Account
from creditdesk.ledger.loaders.sources import Asked, Whose
from creditdesk.ledger.operations.baskets import basket_to_draw
from creditdesk.ledger.operations.corrections import adjust, expire, reverse, void
from creditdesk.ledger.operations.draw import Drawing, spend
from creditdesk.ledger.operations.holds import hold, release
from creditdesk.ledger.operations.set_overdraft import set_overdraft
from creditdesk.ledger.rules.credit import LedgerPolicy, SourceKind
from creditdesk.ledger.services import CreditWriter
from creditdesk.schema.errors import Conflict, Invalid
from creditdesk.schema.progress import Gathered
from creditdesk.schema.repository import Store
from creditdesk.storage.engine import open_store
from creditdesk.transfer.beancount import export_beancount
from creditdesk.transfer.export import export_records
from creditdesk.transfer.importer import Import
from tests.ledger.town import NOON, TIME_USE, Town


class Printer:
    """A customer's printing credit and the jobs it sends."""

    def __init__(self, town: Town, rate: int, credit: int) -> None:
        self.town, self.rate, self.credit, self.jobs = town, rate, credit, 0

    @property
    def account(self) -> Account:
        return (TIME.kind, self.credit)

    async def allow(self, limit: int, *credits_: int) -> None:
        async with self.town.store.writing() as unit:
            ids = credits_ or (self.credit,)
            await set_overdraft(unit, ids, limit, self.town.call(), self.town.desk)

    async def print(self, units: int) -> int:
        """Sends a job and gives how many uses it took: all or none (rule 21)."""
        self.jobs += 1
        asked = Asked(SourceKind.PRINT_JOB, self.jobs, print_units=units)
        call = self.town.call()
        async with self.town.store.writing() as unit:
            whose = Whose(self.town.customer, self.town.business)
            basket = await basket_to_draw(unit, whose, [asked], call)
            done, _ = await spend(unit, Drawing(basket, call, LedgerPolicy()), self.town.desk)
            return sum(done.taken_by_credit().values())

    async def left(self) -> int:
        return await self.town.uses_left(self.credit)

    async def balance(self) -> Balance:
        async with self.town.store.reading() as reading:
            (found,) = await balances(reading, self.town.customer, self.town.call())
            return found

    async def findings(self) -> list[str]:
        report = Gathered()
        await verify(self.town.store, report)
        return report.problems


@pytest.fixture
async def printer(town: Town) -> Printer:
    rate = await town.add_rate(5, "0.01", IsPrintingCredit=True)
    return Printer(town, rate, await town.add_time(10, ExtraServiceId=rate))


async def test_rule_33_it_is_off_by_default(printer: Printer):
    assert await printer.print(11) == 0
    assert await printer.print(10) == 10
    assert await printer.print(1) == 0


async def test_rule_33_jobs_are_printed_down_to_the_limit(printer: Printer):
    await printer.allow(20)
    assert await printer.print(25) == 25
    assert await printer.print(6) == 0
    assert await printer.print(5) == 5
    assert await printer.left() == -20
    assert await printer.findings() == []


async def test_rule_33_setting_it_is_a_line_of_its_own(printer: Printer):
    await printer.allow(20)
    (_, line) = await printer.town.lines("time", printer.credit)
    assert (line["Kind"], line["Amount"], line["Reason"]) == ("adjustment", 0, "overdraft 20")
    assert line["Actor"] == "admin@example.com"


async def test_rule_33_the_limit_never_falls_below_what_is_overdrawn_or_held(printer: Printer):
    await printer.allow(20)
    await printer.print(15)
    with pytest.raises(Invalid, match="5 that is overdrawn"):
        await printer.allow(4)
    with pytest.raises(Invalid, match="must not be negative"):
        await printer.allow(-1)
    await printer.allow(5)
    assert await printer.print(1) == 0


async def test_rule_33_only_printing_credit_has_one(printer: Printer):
    time = await printer.town.add_time(60)
    with pytest.raises(Invalid, match="is not printing credit"):
        await printer.allow(20, printer.credit, time)
    # Refused for one, refused for all.
    assert await printer.print(11) == 0


async def test_rule_33_a_posted_use_goes_down_to_the_limit_too(printer: Printer):
    await printer.print(10)
    with pytest.raises(Invalid, match="more than the 0 that remains"):
        await printer.town.use_time(printer.credit)
    await printer.allow(1)
    await printer.town.use_time(printer.credit)
    assert await printer.left() == -1
    with pytest.raises(Invalid, match="more than the 0 that remains"):
        await printer.town.use_time(printer.credit)


async def test_rule_2_the_database_itself_refuses_what_passes_the_limit(printer: Printer):
    await printer.allow(5)
    town, time = printer.town, await printer.town.add_time(60)
    money = await town.add_money("1.00")
    for entity, credit_id, values in (
        (CoworkerExtraService, printer.credit, {"RemainingUses": -6}),
        (CoworkerExtraService, printer.credit, {"RemainingUses": 11}),
        (CoworkerExtraService, printer.credit, {"Overdraft": -1}),
        (CoworkerExtraService, time, {"RemainingUses": -1}),
        (CoworkerBookingCredit, money, {"RemainingCredit": -1}),
    ):
        with pytest.raises(Conflict):
            async with town.store.writing() as unit:
                await unit.update(entity, [(credit_id, values)])
    async with town.store.writing() as unit:
        await unit.update(CoworkerExtraService, [(printer.credit, {"RemainingUses": -5})])


async def test_rule_33_many_jobs_at_once_stop_at_the_limit(printer: Printer):
    await printer.allow(20)
    assert sum(await asyncio.gather(*(printer.print(4) for _ in range(12)))) == 28
    assert await printer.left() == -18
    assert await printer.findings() == []


async def test_rule_33_lowering_the_limit_beside_jobs_keeps_both_true(printer: Printer):
    await printer.allow(20)

    async def lowered() -> bool:
        try:
            await printer.allow(0)
        except Invalid:
            return False
        return True

    off, *done = await asyncio.gather(lowered(), *(printer.print(4) for _ in range(6)))
    assert await printer.left() == 10 - sum(done)
    assert not off or await printer.left() >= 0
    assert await printer.findings() == []


async def test_rule_30_what_comes_back_makes_the_overdraft_good_first(printer: Printer):
    await printer.allow(20)
    await printer.print(8)
    await printer.print(12)
    uses = await printer.town.rows(TIME_USE)
    async with printer.town.store.writing() as unit:
        await reverse(unit, TIME, [uses[0]["Id"]], printer.town.call(), printer.town.desk)
    assert await printer.left() == -2
    assert await printer.findings() == []


async def test_rule_30_of_a_lapsed_credit_only_what_is_beyond_its_overdraft_goes_on(
    printer: Printer,
):
    town = printer.town
    await printer.allow(20)
    await printer.print(8)
    await printer.print(7)
    async with town.store.writing() as unit:
        await unit.update(CoworkerExtraService, [(printer.credit, {"ExpireDate": NOON})])
    town.policy = replace(town.policy, return_grace_days=7)
    first, _ = await town.rows(TIME_USE)
    async with town.store.writing() as unit:
        (back,) = await reverse(unit, TIME, [first["Id"]], town.call(), town.desk)
    assert back.reissued is not None
    granted = await town.get(CoworkerExtraService, back.reissued)
    assert (granted["TotalUses"], granted["RemainingUses"], granted["Overdraft"]) == (3, 3, None)
    assert await printer.left() == 0
    assert await printer.findings() == []


async def test_rule_2_corrections_go_up_from_below_zero_and_never_further_down(printer: Printer):
    town = printer.town
    await printer.allow(20)
    await printer.print(15)
    with pytest.raises(Invalid, match="more than the 0 that remains"):
        async with town.store.writing() as unit:
            await adjust(unit, printer.account, -1, "slip", town.call(), town.desk)
    async with town.store.writing() as unit:
        after = await adjust(unit, printer.account, 3, "goodwill", town.call(), town.desk)
    assert (after.remaining, after.total) == (-2, 10)
    assert await printer.findings() == []


async def test_rule_28_and_29_nothing_of_an_overdraft_lapses_or_is_voided(printer: Printer):
    town = printer.town
    await printer.allow(20)
    await printer.print(15)
    async with town.store.writing() as unit:
        (voided,) = await void(unit, [printer.account], "", town.call(), town.desk)
    assert (voided.removed, voided.used) == (0, 15)
    async with town.store.writing() as unit:
        await unit.update(CoworkerExtraService, [(printer.credit, {"ExpireDate": NOON})])
    async with town.store.writing() as unit:
        assert await expire(unit, TIME, town.call(), town.desk) == []
    assert await printer.print(1) == 0
    assert await printer.left() == -5


async def test_rule_28_an_overdrawn_credit_may_be_extended_and_topped_up(printer: Printer):
    town = printer.town
    await printer.allow(20)
    await printer.print(15)
    async with town.store.writing() as unit:
        await unit.update(CoworkerExtraService, [(printer.credit, {"ExpireDate": NOON})])
    for changes in (
        {"ExpireDate": NOON + timedelta(days=30)},
        {"TotalUses": 12},
        {"TotalUses": 22},
        {"TotalUses": 20},
    ):
        before = await town.get(CoworkerExtraService, printer.credit)
        async with town.store.writing() as unit:
            writer = CreditWriter(town.desk)
            await writer.update(unit, CoworkerExtraService, before, changes, town.call())
    assert await printer.left() == 5
    assert await printer.findings() == []


async def test_rule_6_an_overdrawn_total_does_not_fall(printer: Printer):
    town = printer.town
    await printer.allow(20)
    await printer.print(15)
    before = await town.get(CoworkerExtraService, printer.credit)
    for changes, sentence in (
        ({"TotalUses": 9}, "15 that is used"),
        ({"ExtraServiceId": town.uses_rate}, "while the credit has an overdraft"),
    ):
        with pytest.raises(Invalid, match=sentence):
            async with town.store.writing() as unit:
                writer = CreditWriter(town.desk)
                await writer.update(unit, CoworkerExtraService, before, changes, town.call())


async def test_rule_26_a_hold_may_lie_in_the_overdraft(printer: Printer):
    town = printer.town
    await printer.allow(20)
    async with town.store.writing() as unit:
        asked = Asked(SourceKind.PRINT_JOB, 900, print_units=25)
        whose = Whose(town.customer, town.business)
        basket = await basket_to_draw(unit, whose, [asked], town.call())
        held = (await hold(unit, basket, town.call(), town.desk)).group
    assert (await printer.balance()).available == 5
    with pytest.raises(Invalid, match="15 that is overdrawn"):
        await printer.allow(14)
    assert await printer.findings() == []
    async with town.store.writing() as unit:
        await release(unit, held or 0, town.call(), town.desk)
    assert await printer.print(30) == 30


async def test_a_balance_shows_what_may_be_printed_and_lapses_only_what_is_there(printer: Printer):
    await printer.allow(20)
    async with printer.town.store.writing() as unit:
        ends = {"ExpireDate": NOON + timedelta(days=3)}
        await unit.update(CoworkerExtraService, [(printer.credit, ends)])
    found = await printer.balance()
    assert (found.remaining, found.available, found.lapsing) == (10, 30, 10)
    await printer.print(12)
    found = await printer.balance()
    assert (found.remaining, found.available, found.lapsing) == (-2, 18, 0)


async def test_rule_34_a_balance_below_the_limit_is_a_finding(printer: Printer):
    await printer.allow(20)
    await printer.print(15)
    async with printer.town.store.writing() as unit:
        await unit.update(CoworkerExtraService, [(printer.credit, {"RemainingUses": -6})])
    (finding,) = await printer.findings()
    assert finding.endswith("remaining is -6 and the journal says -5")


async def test_the_command_sets_it_and_is_offered_on_time_and_printing_credit_only(
    printer: Printer,
):
    town = printer.town
    commands = ledger_commands(town.desk)
    offered = {name for name, each in commands.items() if "SET_OVERDRAFT" in {c.key for c in each}}
    assert offered == {"CoworkerExtraService"}
    run = next(c.run for c in commands["CoworkerExtraService"] if c.key == "SET_OVERDRAFT")
    async with town.store.writing() as unit:
        done = await run(unit, [printer.credit], {"Limit": 3}, town.call())
    assert done.message == "1 credits may go 3 uses below zero."
    assert await printer.print(13) == 13
    await town.add_time(1, ExtraServiceId=printer.rate)
    async with town.store.writing() as unit:
        await adjust(unit, printer.account, 3, "paid", town.call(), town.desk)
        done = await run(unit, [printer.credit], {"Limit": 0}, town.call())
    assert done.message == "1 credits have no overdraft."


async def test_a_strangers_checker_accepts_a_credit_that_crosses_zero_both_ways(
    printer: Printer, tmp_path: Path
):
    town = printer.town
    await printer.allow(30)
    for units in (4, 21, 3):
        await printer.print(units)
    for amount in (5, 40, -20):
        async with town.store.writing() as unit:
            await adjust(unit, printer.account, amount, "count", town.call(), town.desk)
    await printer.print(20)
    report, file = Gathered(), tmp_path / "credits.beancount"
    await export_beancount(town.store, file, report)
    _, faults, _ = loader.load_file(str(file))
    assert (faults, report.problems) == ([], [])
    assert f"Assets:Credit:Time{printer.credit}  {await printer.left()} ~ 0" in file.read_text()


@pytest.fixture
def other_database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    shutil.copy(request.getfixturevalue("sqlite_template"), tmp_path / "other.db")
    yield f"sqlite:///{tmp_path}/other.db"


async def test_an_overdrawn_credit_goes_out_and_comes_in_as_it_was(
    printer: Printer, other_database: str, tmp_path: Path
):
    await printer.allow(20)
    await printer.print(15)
    await export_records(printer.town.store, tmp_path / "first", Gathered())
    other: Store = await open_store(other_database)
    report = Gathered()
    await Import(other, report, NOON).run(tmp_path / "first")
    await verify(other, report)
    await export_records(other, tmp_path / "second", Gathered())
    assert report.problems == []
    name = "coworkerextraservices.jsonl"
    assert (tmp_path / "first" / name).read_bytes() == (tmp_path / "second" / name).read_bytes()
    changed: Any = (
        (tmp_path / "first" / name).read_text().replace('"Overdraft":20', '"Overdraft":90')
    )
    (tmp_path / "first" / name).write_text(changed)
    await Import(other, Gathered(), NOON).run(tmp_path / "first")
    async with other.reading() as reading:
        (credit,) = (await reading.many(CoworkerExtraService, [printer.credit])).values()
    assert credit["Overdraft"] == 20
    await other.close()
