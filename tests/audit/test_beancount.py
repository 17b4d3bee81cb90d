"""The Beancount export, read by Beancount itself: intact ledgers pass, wrong balances fail."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

from beancount import loader
from beancount.core import data
from beancount.core.realization import compute_balance, get, realize

from creditdesk.demo.load import load_demo
from creditdesk.entities.billing.coworker_booking_credit import CoworkerBookingCredit
from creditdesk.entities.billing.coworker_extra_service import CoworkerExtraService
from creditdesk.ledger.journal.mapping import (
    MAPPINGS,
    TIME_MAPPING,
    CreditTypeMapping,
    is_booking_charge,
)
from creditdesk.schema.conversions import format_decimal
from creditdesk.schema.entity import Record
from creditdesk.schema.repository import Store
from creditdesk.transfer.beancount import export_beancount
from tests.audit.conftest import Tamper
from tests.support.ledger_builder import LedgerBuilder
from tests.support.progress import CollectingReporter


async def export_and_check(store: Store, folder: Path) -> tuple[list[Any], list[str], CollectingReporter]:
    """Exports; returns the parsed directives, Beancount's errors, and the export's own report."""
    file, report = folder / "credits.beancount", CollectingReporter()
    await export_beancount(store, file, report)
    entries, errors, _ = loader.load_file(str(file))
    return entries, [f"{type(error).__name__}: {error.message}" for error in errors], report


async def find_credits(store: Store, side: CreditTypeMapping) -> list[Record]:
    async with store.read_session() as session:
        return [c for c in await session.find(side.credit_entity) if not is_booking_charge(side, c)]


async def test_beancount_computes_same_balances(store: Store, tmp_path: Path) -> None:
    await load_demo(store, 300, 3, CollectingReporter())
    entries, errors, report = await export_and_check(store, tmp_path)
    assert (errors, report.problems) == ([], [])
    assert sum(isinstance(entry, data.Transaction) for entry in entries) > 300
    root = realize(entries)
    for side in MAPPINGS.values():
        for credit in await find_credits(store, side):
            account = f"Assets:Credit:{side.account_type.value.title()}{credit['Id']}"
            held = compute_balance(get(root, account)).reduce(lambda p: p.units)
            remaining = credit[side.remaining_field]
            expected = Decimal(remaining if side is TIME_MAPPING else format_decimal(remaining, 4))
            assert sum((position.units.number for position in held), Decimal(0)) == expected


async def test_every_entry_kind_is_exported(store: Store, ledger: LedgerBuilder, tmp_path: Path) -> None:
    money = await ledger.add_money_credit("40.00")
    await ledger.post_use(money, "0.0001")
    await ledger.post_use(money, "39.9999")
    rates = [await ledger.add_rate(period, "5.00") for period in (1, 2)]
    held = [await ledger.add_time_credit(600, ExtraServiceId=rate) for rate in rates]
    await ledger.post_time_use(held[0], BookingId=await ledger.add_booking())
    unopened = await ledger.add_money_credit("12.50", RemainingCredit=100_000)
    entries, errors, _ = await export_and_check(store, tmp_path)
    assert errors == []
    opened = {e.account: e.currencies for e in entries if isinstance(e, data.Open)}
    assert opened[f"Assets:Credit:Money{money}"] == ["GBP.CREDIT"]
    assert [opened[f"Assets:Credit:Time{credit}"] for credit in held] == [[f"RATE{rate}"] for rate in rates]
    asserted = {e.account: e.amount.number for e in entries if isinstance(e, data.Balance)}
    assert asserted[f"Assets:Credit:Money{money}"] == 0
    assert asserted[f"Assets:Credit:Money{unopened}"] == 10
    # Every use reduces the credit's own lot.
    lots = {
        posting.cost.label if posting.cost else None
        for entry in entries if isinstance(entry, data.Transaction)
        for posting in entry.postings if posting.account == f"Assets:Credit:Money{money}"
    }  # fmt: skip
    assert lots == {f"Money{money}"}


async def test_balance_off_by_smallest_unit_is_rejected(store: Store, ledger: LedgerBuilder, tmp_path: Path) -> None:
    money, time = await ledger.add_money_credit("40.00"), await ledger.add_time_credit(600)
    await ledger.post_use(money, "1.50")
    await ledger.post_time_use(time, BookingId=await ledger.add_booking())
    before = await ledger.get(CoworkerExtraService, time)
    async with store.write_session() as session:
        await session.update(CoworkerBookingCredit, [(money, {"RemainingCredit": 385_001})])
        await session.update(CoworkerExtraService, [(time, {"RemainingUses": before["RemainingUses"] - 1})])
    _, errors, report = await export_and_check(store, tmp_path)
    assert [error.partition("'")[2].partition("'")[0] for error in errors] == [
        f"Assets:Credit:Money{money}", f"Assets:Credit:Time{time}",
    ]  # fmt: skip
    assert report.problems[0].startswith(
        f"CoworkerBookingCredit {money}: 38.5001 remains and the journal says 38.5000;"
    )
    assert len(report.problems) == 2


async def test_changed_journal_amount_is_rejected(
    store: Store, ledger: LedgerBuilder, tmp_path: Path, tamper: Tamper
) -> None:
    money = await ledger.add_money_credit("40.00")
    await ledger.post_use(money, "1.50")
    await tamper(
        "UPDATE journal_line SET amount = amount + 1 "
        f"WHERE credit_kind = 'money' AND credit_id = {money} AND kind = 'use'"
    )
    _, errors, _ = await export_and_check(store, tmp_path)
    assert any(f"Assets:Credit:Money{money}'" in error for error in errors)
