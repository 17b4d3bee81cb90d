"""The files for accounting programs balance, and their balances are those of the liability report."""

from __future__ import annotations

import csv
import io
import re
from collections import defaultdict
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from creditdesk.reports.ledger_view import LedgerView
from creditdesk.reports.liability import liability
from creditdesk.reports.loader import load_view
from creditdesk.reports.request import parse_report_request
from creditdesk.schema.repository import Store
from creditdesk.transfer.account_mapping import AccountMapping, MappingError, load_mapping
from creditdesk.transfer.accounting import (
    hledger_journal,
    quickbooks_csv,
    xero_csv,
)
from tests.reports.random_lives import RandomLife
from tests.support.hledger import HLEDGER, hledger_balances
from tests.support.ledger_builder import ADMIN_PRINCIPAL

MAPPING = AccountMapping()


@pytest_asyncio.fixture(scope="module")
async def life(store: Store) -> RandomLife:
    lived = await RandomLife.start(store, 7, "America/New_York", "EUR")
    await lived.live(150)
    return lived


@pytest_asyncio.fixture(scope="module", params=["whole", "period"])
async def view(life: RandomLife, request: pytest.FixtureRequest) -> AsyncIterator[LedgerView]:
    """The whole life, and three months of it."""
    period = {"From": "2026-02-01", "To": "2026-04-30"} if request.param == "period" else {}
    raw: dict[str, Any] = {"LocationIds": [life.ledger.business], **period}
    report_request = parse_report_request("movements", raw, ADMIN_PRINCIPAL, life.ledger.now)
    async with life.ledger.store.read_session() as session:
        yield await load_view(session, report_request)


def owed(view: LedgerView) -> dict[str, Decimal]:
    """The liability report's totals by unit."""
    result = liability(view)
    names = [column.name for column in result.columns]
    rows = [dict(zip(names, row, strict=True)) for row in result.totals]
    return {str(row["Unit"]): Decimal(str(row["Outstanding"])) for row in rows if row["Outstanding"]}


def test_every_journal_of_hledger_balances_and_ends_at_what_is_owed(view: LedgerView) -> None:
    balances: dict[str, Decimal] = defaultdict(Decimal)
    for journal in hledger_journal(view, MAPPING).split("\n\n"):
        sums: dict[str, Decimal] = defaultdict(Decimal)
        for account, amount, unit in re.findall(r"^    (\S.*?)  (-?[\d.]+) (\S+)", journal, re.MULTILINE):
            sums[unit] += Decimal(amount)
            if account.startswith("Liabilities"):
                balances[unit] -= Decimal(amount)
        assert not any(sums.values()), journal
    assert {unit: amount for unit, amount in balances.items() if amount} == owed(view)


@pytest.mark.skipif(HLEDGER is None, reason="hledger is not installed")
def test_hledger_accepts_the_journal_and_computes_the_same_balances(view: LedgerView, tmp_path: Path) -> None:
    computed: dict[str, Decimal] = defaultdict(Decimal)
    for (_, unit), amount in hledger_balances(str(HLEDGER), hledger_journal(view, MAPPING), tmp_path).items():
        computed[unit] += amount
    assert {unit: amount for unit, amount in computed.items() if amount} == owed(view)


def test_the_journal_asserts_what_is_owed(view: LedgerView) -> None:
    text = hledger_journal(view, MAPPING)
    assertions = re.findall(r" = (-?[\d.]+) (\S+)$", text, re.MULTILINE)
    assert {unit: -Decimal(amount) for amount, unit in assertions if Decimal(amount)} == owed(view)


@pytest.mark.parametrize("program", ["quickbooks", "xero"])
def test_csv_journals_balance_by_day_and_end_at_what_is_owed(view: LedgerView, program: str) -> None:
    journals: dict[str, Decimal] = defaultdict(Decimal)
    moved = Decimal(0)
    text = quickbooks_csv(view, MAPPING) if program == "quickbooks" else xero_csv(view, MAPPING)
    for row in csv.DictReader(io.StringIO(text, newline=""), strict=True):
        if program == "quickbooks":
            key, account = row["JournalNo"], row["AccountName"]
            amount = Decimal(row["Debits"] or 0) - Decimal(row["Credits"] or 0)
            assert re.fullmatch(r"\d\d/\d\d/\d{4}", row["JournalDate"])
        else:
            key, account, amount = row["*Narration"] + row["*Date"], row["*AccountCode"], Decimal(row["*Amount"])
        journals[key] += amount
        if account.startswith("Liabilities"):
            moved -= amount
    assert len(journals) >= 5
    assert not any(journals.values())
    if view.request.starts is None:
        assert moved == owed(view)["EUR"]


def test_a_mapping_file_names_the_accounts(view: LedgerView, tmp_path: Path) -> None:
    file = tmp_path / "mapping.toml"
    file.write_text(
        'tax_rate = "NONE"\n[accounts]\nliability = "2400"\nexpired = "4900"\nreopened = "4900"\n[accounts.used]\nunknown = "4100"\n'
    )
    rows = list(csv.DictReader(io.StringIO(xero_csv(view, load_mapping(file)), newline="")))
    codes = {row["*AccountCode"] for row in rows}
    assert {"2400", "4900", "4100"} <= codes
    assert not {code for code in codes if code.startswith(("Liabilities", "Revenues:Credit expired"))}
    assert {row["*TaxRate"] for row in rows} == {"NONE"}


@pytest.mark.parametrize(
    "text",
    ["[accounts]\nsold = '1'", "[accounts]\nused = ''", "[accounts]\nused = 4", "nonsense", "accounts = 1", "x = 1"],
)
def test_a_wrong_mapping_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "mapping.toml"
    file.write_text(text)
    with pytest.raises(MappingError):
        load_mapping(file)
