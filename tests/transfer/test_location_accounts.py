"""Locations whose names an accounting program may not tell apart have accounts of their own."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

from creditdesk.entities.sys.business import Business
from creditdesk.reports.ledger_view import LedgerView
from creditdesk.reports.request import parse_report_request
from creditdesk.transfer.account_mapping import AccountMapping
from creditdesk.transfer.accounting import (
    distinct_names,
    hledger_journal,
    load_accounting_view,
    quickbooks_csv,
    xero_csv,
)
from tests.support.hledger import HLEDGER, hledger_balances
from tests.support.ledger_builder import ADMIN_PRINCIPAL, LedgerBuilder

MAPPING = AccountMapping()


async def test_locations_of_one_name_have_accounts_of_their_own(ledger: LedgerBuilder, tmp_path: Path) -> None:
    own = ledger.business
    namesake = await ledger.add(Business, Name=" MILL ", CurrencyId=ledger.currency)
    lone = await ledger.add(Business, Name="Pier", CurrencyId=ledger.currency)
    names = {own: f"Mill #{own}", namesake: f"MILL #{namesake}", lone: "Pier"}
    owed = {own: "22.00", namesake: "33.00", lone: "44.00"}
    for place, amount in owed.items():
        await ledger.add_money_credit(amount, BusinessId=place)
    # A location has the same account whether or not others are exported with it.
    for place, name in names.items():
        text = hledger_journal(await load(ledger, place), MAPPING)
        assert f"Liabilities:Member credit:{name}  -{owed[place]}" in text
    view = await load(ledger)
    for text in (quickbooks_csv(view, MAPPING), xero_csv(view, MAPPING)):
        for name in names.values():
            assert f"Liabilities:Member credit:{name}," in text
            assert f"Credit at {name}" in text
    if HLEDGER is not None:
        balances = hledger_balances(HLEDGER, hledger_journal(view, MAPPING), tmp_path)
        assert balances == {
            (f"Liabilities:Member credit:{name}", "GBP"): Decimal(owed[place]) for place, name in names.items()
        }


async def load(ledger: LedgerBuilder, *locations: int) -> LedgerView:
    request = parse_report_request("movements", {"LocationIds": locations}, ADMIN_PRINCIPAL, ledger.now)
    async with ledger.store.read_session() as session:
        return await load_accounting_view(session, request)


def test_a_distinct_name_is_that_of_no_other_location() -> None:
    names = {1: "Mill", 2: "mill", 3: "Mill #1", 4: "", 5: "  ", 6: "A;B", 7: "A B", 8: "Pier"}
    assert distinct_names(names) == {
        1: "Mill #1 #1", 2: "mill #2", 3: "Mill #1", 4: "#4", 5: "#5", 6: "A B #6", 7: "A B #7", 8: "Pier",
    }  # fmt: skip
