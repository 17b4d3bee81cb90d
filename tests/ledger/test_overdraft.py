"""Printing credit below zero, down to its overdraft limit (rule 33)."""

from __future__ import annotations

import asyncio
import shutil
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from beancount import loader

from creditdesk.audit.verify import verify_ledger
from creditdesk.entities.billing.coworker_booking_credit import CoworkerBookingCredit
from creditdesk.entities.billing.coworker_extra_service import CoworkerExtraService
from creditdesk.ledger.actions import ledger_actions
from creditdesk.ledger.journal.mapping import TIME_MAPPING, AccountKey
from creditdesk.ledger.loaders.balances import CreditBalance, customer_balances
from creditdesk.ledger.loaders.items import Buyer, ItemRequest
from creditdesk.ledger.operations.baskets import load_basket_for_update
from creditdesk.ledger.operations.corrections import adjust, reverse, void
from creditdesk.ledger.operations.draw import SpendPlan
from creditdesk.ledger.operations.holds import create_hold, release_hold
from creditdesk.ledger.operations.set_overdraft import set_overdraft
from creditdesk.ledger.rules.credit import SourceKind
from creditdesk.ledger.services import CreditService
from creditdesk.schema.conversions import format_datetime
from creditdesk.schema.errors import Conflict, ValidationError
from creditdesk.schema.params import Params
from creditdesk.schema.repository import Store
from creditdesk.storage.engine import open_store
from creditdesk.transfer.beancount import export_beancount
from creditdesk.transfer.export import export_records
from creditdesk.transfer.importer import Importer
from tests.support.expiry import expire
from tests.support.ledger_builder import NOON, TIME_USE, LedgerBuilder
from tests.support.progress import CollectingReporter
from tests.support.spending import execute_spend


class Printer:
    """A customer's printing credit and the jobs it sends."""

    def __init__(self, ledger: LedgerBuilder, rate: int, credit: int) -> None:
        self.ledger, self.rate, self.credit, self.jobs = ledger, rate, credit, 0

    @property
    def account(self) -> AccountKey:
        return (TIME_MAPPING.account_type, self.credit)

    async def allow(self, limit: int, *credits_: int) -> None:
        async with self.ledger.store.write_session() as session:
            ids = credits_ or (self.credit,)
            await set_overdraft(session, ids, limit, self.ledger.request_context(), self.ledger.context)

    async def print(self, units: int) -> int:
        """Sends a print job and returns how many uses it took: all or none (rule 21)."""
        self.jobs += 1
        item = ItemRequest(SourceKind.PRINT_JOB, self.jobs, print_units=units)
        context = self.ledger.request_context()
        async with self.ledger.store.write_session() as session:
            buyer = Buyer(self.ledger.customer, self.ledger.business)
            basket = await load_basket_for_update(session, buyer, [item], context)
            result = await execute_spend(session, SpendPlan(basket, context, self.ledger.context), self.ledger.context)
            return sum(result.allocation.taken_by_credit().values())

    async def left(self) -> int:
        return await self.ledger.remaining_uses(self.credit)

    async def balance(self) -> CreditBalance:
        async with self.ledger.store.read_session() as session:
            (found,) = await customer_balances(session, self.ledger.customer, self.ledger.request_context())
            return found

    async def findings(self) -> list[str]:
        report = CollectingReporter()
        await verify_ledger(self.ledger.store, report)
        return report.problems


@pytest.fixture
async def printer(ledger: LedgerBuilder) -> Printer:
    rate = await ledger.add_rate(5, "0.01", IsPrintingCredit=True)
    return Printer(ledger, rate, await ledger.add_time_credit(10, ExtraServiceId=rate))


async def test_rule_33_it_is_off_by_default(printer: Printer) -> None:
    assert await printer.print(11) == 0
    assert await printer.print(10) == 10
    assert await printer.print(1) == 0


async def test_rule_33_jobs_are_printed_down_to_the_limit(printer: Printer) -> None:
    await printer.allow(20)
    assert await printer.print(25) == 25
    assert await printer.print(6) == 0
    assert await printer.print(5) == 5
    assert await printer.left() == -20
    assert await printer.findings() == []


async def test_rule_33_setting_the_limit_is_journaled(printer: Printer) -> None:
    await printer.allow(20)
    (_, line) = await printer.ledger.journal_lines("time", printer.credit)
    assert (line["Kind"], line["Amount"], line["Reason"]) == ("change", 0, "overdraft 20")
    assert (line["Cause"], line["Document"]) == ("overdraft_changed", '{"Overdraft":[0,20]}')
    assert line["Actor"] == "admin@example.com"


async def test_rule_33_the_limit_stays_above_the_overdrawn_and_held_amount(
    printer: Printer,
) -> None:
    await printer.allow(20)
    await printer.print(15)
    with pytest.raises(ValidationError, match="5 that is overdrawn"):
        await printer.allow(4)
    with pytest.raises(ValidationError, match="must not be negative"):
        await printer.allow(-1)
    await printer.allow(5)
    assert await printer.print(1) == 0


async def test_rule_33_only_printing_credit_has_one(printer: Printer) -> None:
    time = await printer.ledger.add_time_credit(60)
    with pytest.raises(ValidationError, match="is not printing credit"):
        await printer.allow(20, printer.credit, time)
    # An error for one credit is an error for all.
    assert await printer.print(11) == 0


async def test_rule_33_a_posted_use_goes_down_to_the_limit_too(printer: Printer) -> None:
    await printer.print(10)
    with pytest.raises(ValidationError, match="exceeds the remaining credit of 0"):
        await printer.ledger.post_time_use(printer.credit)
    await printer.allow(1)
    await printer.ledger.post_time_use(printer.credit)
    assert await printer.left() == -1
    with pytest.raises(ValidationError, match="exceeds the remaining credit of 0"):
        await printer.ledger.post_time_use(printer.credit)


async def test_rule_2_the_database_rejects_a_balance_beyond_the_limit(printer: Printer) -> None:
    await printer.allow(5)
    ledger, time = printer.ledger, await printer.ledger.add_time_credit(60)
    money = await ledger.add_money_credit("1.00")
    for entity, credit_id, values in (
        (CoworkerExtraService, printer.credit, {"RemainingUses": -6}),
        (CoworkerExtraService, printer.credit, {"RemainingUses": 11}),
        (CoworkerExtraService, printer.credit, {"Overdraft": -1}),
        (CoworkerExtraService, time, {"RemainingUses": -1}),
        (CoworkerBookingCredit, money, {"RemainingCredit": -1}),
    ):
        with pytest.raises(Conflict):
            async with ledger.store.write_session() as session:
                await session.update(entity, [(credit_id, values)])
    async with ledger.store.write_session() as session:
        await session.update(CoworkerExtraService, [(printer.credit, {"RemainingUses": -5})])


async def test_rule_33_concurrent_jobs_stop_at_the_limit(printer: Printer) -> None:
    await printer.allow(20)
    assert sum(await asyncio.gather(*(printer.print(4) for _ in range(12)))) == 28
    assert await printer.left() == -18
    assert await printer.findings() == []


async def test_rule_33_lowering_the_limit_concurrently_with_jobs_is_safe(printer: Printer) -> None:
    await printer.allow(20)

    async def lowered() -> bool:
        try:
            await printer.allow(0)
        except ValidationError:
            return False
        return True

    off, *done = await asyncio.gather(lowered(), *(printer.print(4) for _ in range(6)))
    assert await printer.left() == 10 - sum(done)
    assert not off or await printer.left() >= 0
    assert await printer.findings() == []


async def test_rule_30_returns_repay_the_overdraft_first(printer: Printer) -> None:
    await printer.allow(20)
    await printer.print(8)
    await printer.print(12)
    uses = await printer.ledger.find(TIME_USE)
    async with printer.ledger.store.write_session() as session:
        await reverse(
            session,
            TIME_MAPPING,
            [uses[0]["Id"]],
            printer.ledger.request_context(),
            printer.ledger.context,
        )
    assert await printer.left() == -2
    assert await printer.findings() == []


async def test_rule_30_only_returns_beyond_the_overdraft_are_reissued(
    printer: Printer,
) -> None:
    ledger = printer.ledger
    await printer.allow(20)
    await printer.print(8)
    await printer.print(7)
    async with ledger.store.write_session() as session:
        await session.update(CoworkerExtraService, [(printer.credit, {"ExpireDate": NOON})])
    ledger.settings = replace(ledger.settings, return_grace_days=7)
    first, _ = await ledger.find(TIME_USE)
    async with ledger.store.write_session() as session:
        (back,) = await reverse(session, TIME_MAPPING, [first["Id"]], ledger.request_context(), ledger.context)
    assert back.reissued_id is not None
    granted = await ledger.get(CoworkerExtraService, back.reissued_id)
    assert (granted["TotalUses"], granted["RemainingUses"], granted["Overdraft"]) == (3, 3, None)
    assert await printer.left() == 0
    # The test set the date without an entry.
    moved = f"ExpireDate is {format_datetime(NOON)} and the journal says None"
    assert await printer.findings() == [f"time credit {printer.credit}: {moved}"]


async def test_rule_2_adjustments_only_raise_a_negative_balance(printer: Printer) -> None:
    ledger = printer.ledger
    await printer.allow(20)
    await printer.print(15)
    with pytest.raises(ValidationError, match="more than the 0 that remains"):
        async with ledger.store.write_session() as session:
            await adjust(session, printer.account, -1, "slip", ledger.request_context(), ledger.context)
    async with ledger.store.write_session() as session:
        after = await adjust(session, printer.account, 3, "goodwill", ledger.request_context(), ledger.context)
    assert (after.remaining, after.total) == (-2, 10)
    assert await printer.findings() == []


async def test_rule_28_and_29_an_overdraft_neither_expires_nor_is_voided(printer: Printer) -> None:
    ledger = printer.ledger
    await printer.allow(20)
    await printer.print(15)
    async with ledger.store.write_session() as session:
        (voided,) = await void(session, [printer.account], "", ledger.request_context(), ledger.context)
    assert (voided.removed, voided.used) == (0, 15)
    async with ledger.store.write_session() as session:
        await session.update(CoworkerExtraService, [(printer.credit, {"ExpireDate": NOON})])
    async with ledger.store.write_session() as session:
        assert await expire(session, TIME_MAPPING, ledger.request_context(), ledger.context) == []
    assert await printer.print(1) == 0
    assert await printer.left() == -5


async def test_rule_28_an_overdrawn_credit_may_be_extended_and_topped_up(printer: Printer) -> None:
    ledger = printer.ledger
    await printer.allow(20)
    await printer.print(15)
    async with ledger.store.write_session() as session:
        await session.update(CoworkerExtraService, [(printer.credit, {"ExpireDate": NOON})])
    for changes in (
        {"ExpireDate": NOON + timedelta(days=30)},
        {"TotalUses": 12},
        {"TotalUses": 22},
        {"TotalUses": 20},
    ):
        before = await ledger.get(CoworkerExtraService, printer.credit)
        async with ledger.store.write_session() as session:
            writer = CreditService(ledger.context)
            await writer.update(session, CoworkerExtraService, before, changes, ledger.request_context())
    assert await printer.left() == 5
    assert await printer.findings() == []


async def test_rule_6_an_overdrawn_total_does_not_fall(printer: Printer) -> None:
    ledger = printer.ledger
    await printer.allow(20)
    await printer.print(15)
    before = await ledger.get(CoworkerExtraService, printer.credit)
    for changes, sentence in (
        ({"TotalUses": 9}, "15 that is used"),
        ({"ExtraServiceId": ledger.uses_rate}, "while the credit has an overdraft"),
    ):
        with pytest.raises(ValidationError, match=sentence):
            async with ledger.store.write_session() as session:
                writer = CreditService(ledger.context)
                await writer.update(session, CoworkerExtraService, before, changes, ledger.request_context())


async def test_rule_26_a_hold_may_use_the_overdraft(printer: Printer) -> None:
    ledger = printer.ledger
    await printer.allow(20)
    async with ledger.store.write_session() as session:
        item = ItemRequest(SourceKind.PRINT_JOB, 900, print_units=25)
        buyer = Buyer(ledger.customer, ledger.business)
        basket = await load_basket_for_update(session, buyer, [item], ledger.request_context())
        held = (await create_hold(session, basket, ledger.request_context(), ledger.context)).group
    assert (await printer.balance()).available == 5
    with pytest.raises(ValidationError, match="15 that is overdrawn"):
        await printer.allow(14)
    assert await printer.findings() == []
    async with ledger.store.write_session() as session:
        await release_hold(session, held or 0, ledger.request_context(), ledger.context)
    assert await printer.print(30) == 30


async def test_a_balance_includes_the_overdraft_but_expires_only_the_credit(
    printer: Printer,
) -> None:
    await printer.allow(20)
    async with printer.ledger.store.write_session() as session:
        ends = {"ExpireDate": NOON + timedelta(days=3)}
        await session.update(CoworkerExtraService, [(printer.credit, ends)])
    found = await printer.balance()
    assert (found.remaining, found.available, found.expiring) == (10, 30, 10)
    await printer.print(12)
    found = await printer.balance()
    assert (found.remaining, found.available, found.expiring) == (-2, 18, 0)


async def test_rule_34_a_balance_below_the_limit_is_a_finding(printer: Printer) -> None:
    await printer.allow(20)
    await printer.print(15)
    async with printer.ledger.store.write_session() as session:
        await session.update(CoworkerExtraService, [(printer.credit, {"RemainingUses": -6})])
    (finding,) = await printer.findings()
    assert finding.endswith("remaining is -6 uses and the journal says -5 uses")


async def test_the_action_is_offered_on_time_and_printing_credit_only(
    printer: Printer,
) -> None:
    ledger = printer.ledger
    actions = ledger_actions(ledger.context)
    offered = {name for name, each in actions.items() if "SET_OVERDRAFT" in {c.key for c in each}}
    assert offered == {"CoworkerExtraService"}
    action = next(c for c in actions["CoworkerExtraService"] if c.key == "SET_OVERDRAFT")

    def limit(uses: int) -> Params:
        return Params(action.parameters, {"Limit": uses})

    async with ledger.store.write_session() as session:
        done = await action.run(session, [printer.credit], limit(3), ledger.request_context())
    assert done.message == "1 credit may go 3 uses below zero."
    assert await printer.print(13) == 13
    await ledger.add_time_credit(1, ExtraServiceId=printer.rate)
    async with ledger.store.write_session() as session:
        await adjust(session, printer.account, 3, "paid", ledger.request_context(), ledger.context)
        done = await action.run(session, [printer.credit], limit(0), ledger.request_context())
    assert done.message == "1 credit has no overdraft."


async def test_the_independent_checker_accepts_a_credit_that_crosses_zero(printer: Printer, tmp_path: Path) -> None:
    ledger = printer.ledger
    await printer.allow(30)
    for units in (4, 21, 3):
        await printer.print(units)
    for amount in (5, 40, -20):
        async with ledger.store.write_session() as session:
            await adjust(session, printer.account, amount, "count", ledger.request_context(), ledger.context)
    await printer.print(20)
    report, file = CollectingReporter(), tmp_path / "credits.beancount"
    await export_beancount(ledger.store, file, report)
    _, faults, _ = loader.load_file(str(file))
    assert (faults, report.problems) == ([], [])
    assert f"Assets:Credit:Time{printer.credit}  {await printer.left()} ~ 0" in file.read_text()


@pytest.fixture
def other_database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    shutil.copy(request.getfixturevalue("sqlite_template"), tmp_path / "other.db")
    return f"sqlite:///{tmp_path}/other.db"


async def test_an_overdrawn_credit_survives_export_and_import(
    printer: Printer, other_database: str, tmp_path: Path
) -> None:
    await printer.allow(20)
    await printer.print(15)
    await export_records(printer.ledger.store, tmp_path / "first", CollectingReporter())
    other: Store = await open_store(other_database)
    report = CollectingReporter()
    await Importer(other, report, NOON).run(tmp_path / "first")
    await verify_ledger(other, report)
    await export_records(other, tmp_path / "second", CollectingReporter())
    assert report.problems == []
    name = "coworkerextraservices.jsonl"
    assert (tmp_path / "first" / name).read_bytes() == (tmp_path / "second" / name).read_bytes()
    changed: Any = (tmp_path / "first" / name).read_text().replace('"Overdraft":20', '"Overdraft":90')
    (tmp_path / "first" / name).write_text(changed)
    await Importer(other, CollectingReporter(), NOON).run(tmp_path / "first")
    async with other.read_session() as session:
        (credit,) = (await session.get_many(CoworkerExtraService, [printer.credit])).values()
    assert credit["Overdraft"] == 20
    await other.close()
