"""The ledger as a stranger's checker reads it: accepted as it is, refused with a wrong balance."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

from beancount import loader
from beancount.core import data
from beancount.core.realization import compute_balance, get, realize

from creditdesk.demo.load import tell
from creditdesk.entities.billing.coworker_booking_credit import CoworkerBookingCredit
from creditdesk.entities.billing.coworker_extra_service import CoworkerExtraService
from creditdesk.ledger.journal.mapping import SIDES, TIME, Side
from creditdesk.ledger.journal.transaction import is_charge
from creditdesk.schema.entity import Record
from creditdesk.schema.fields import show_scaled
from creditdesk.schema.progress import Gathered
from creditdesk.schema.repository import Store
from creditdesk.transfer.beancount import export_beancount
from tests.audit.conftest import Meddle
from tests.ledger.town import Town


async def checked(store: Store, folder: Path) -> tuple[list[Any], list[str], Gathered]:
    """The directives, the checker's complaints, and what the export itself reported."""
    file, report = folder / "credits.beancount", Gathered()
    await export_beancount(store, file, report)
    entries, faults, _ = loader.load_file(str(file))
    return entries, [f"{type(fault).__name__}: {fault.message}" for fault in faults], report


async def credits_of(store: Store, side: Side) -> list[Record]:
    async with store.reading() as reading:
        return [c for c in await reading.find(side.credit) if not is_charge(side, c)]


async def test_a_strangers_checker_accepts_a_real_past_and_comes_to_the_same_balances(
    store: Store, tmp_path: Path
) -> None:
    await tell(store, 300, 3, Gathered())
    entries, faults, report = await checked(store, tmp_path)
    assert (faults, report.problems) == ([], [])
    assert sum(isinstance(entry, data.Transaction) for entry in entries) > 300
    root = realize(entries)
    for side in SIDES.values():
        for credit in await credits_of(store, side):
            account = f"Assets:Credit:{side.kind.value.title()}{credit['Id']}"
            held = compute_balance(get(root, account)).reduce(lambda p: p.units)
            remaining = credit[side.remaining]
            expected = Decimal(remaining if side is TIME else show_scaled(remaining, 4))
            assert sum((position.units.number for position in held), Decimal(0)) == expected


async def test_every_kind_of_line_has_its_place(store: Store, town: Town, tmp_path: Path) -> None:
    money = await town.add_money("40.00")
    await town.use(money, "0.0001")
    await town.use(money, "39.9999")
    rates = [await town.add_rate(period, "5.00") for period in (1, 2)]
    held = [await town.add_time(600, ExtraServiceId=rate) for rate in rates]
    await town.use_time(held[0], BookingId=await town.add_booking())
    unopened = await town.add_money("12.50", RemainingCredit=100_000)
    entries, faults, _ = await checked(store, tmp_path)
    assert faults == []
    opened = {e.account: e.currencies for e in entries if isinstance(e, data.Open)}
    assert opened[f"Assets:Credit:Money{money}"] == ["GBP.CREDIT"]
    assert [opened[f"Assets:Credit:Time{credit}"] for credit in held] == [
        [f"RATE{rate}"] for rate in rates
    ]
    asserted = {e.account: e.amount.number for e in entries if isinstance(e, data.Balance)}
    assert asserted[f"Assets:Credit:Money{money}"] == 0
    assert asserted[f"Assets:Credit:Money{unopened}"] == 10
    # What is drawn is drawn from the credit's own lot.
    lots = {
        posting.cost.label
        for entry in entries if isinstance(entry, data.Transaction)
        for posting in entry.postings if posting.account == f"Assets:Credit:Money{money}"
    }  # fmt: skip
    assert lots == {f"Money{money}"}


async def test_a_balance_that_is_off_by_one_step_is_refused(
    store: Store, town: Town, tmp_path: Path
) -> None:
    money, time = await town.add_money("40.00"), await town.add_time(600)
    await town.use(money, "1.50")
    await town.use_time(time, BookingId=await town.add_booking())
    before = await town.get(CoworkerExtraService, time)
    async with store.writing() as unit:
        await unit.update(CoworkerBookingCredit, [(money, {"RemainingCredit": 385_001})])
        await unit.update(
            CoworkerExtraService, [(time, {"RemainingUses": before["RemainingUses"] - 1})]
        )
    _, faults, report = await checked(store, tmp_path)
    assert [fault.partition("'")[2].partition("'")[0] for fault in faults] == [
        f"Assets:Credit:Money{money}", f"Assets:Credit:Time{time}",
    ]  # fmt: skip
    assert report.problems[0].startswith(
        f"CoworkerBookingCredit {money}: 38.5001 remains and the journal says 38.5000;"
    )
    assert len(report.problems) == 2


async def test_a_changed_amount_in_the_journal_is_refused_too(
    store: Store, town: Town, tmp_path: Path, meddle: Meddle
) -> None:
    money = await town.add_money("40.00")
    await town.use(money, "1.50")
    await meddle(
        "UPDATE journal_line SET amount = amount + 1 "
        f"WHERE credit_kind = 'money' AND credit_id = {money} AND kind = 'use'"
    )
    _, faults, _ = await checked(store, tmp_path)
    assert any(f"Assets:Credit:Money{money}'" in fault for fault in faults)
