"""Findings name customer, credit and amounts as people write them, and have stable codes."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest

from creditdesk.audit.amount_text import amount_text
from creditdesk.audit.findings import MEANINGS, AuditFinding, FindingCode
from creditdesk.audit.verify import verify_ledger
from creditdesk.cli.data import demo
from creditdesk.cli.program import FAILED, OK, run
from creditdesk.ledger.journal.entry import AccountType
from creditdesk.ledger.journal.mapping import MONEY_MAPPING, TIME_MAPPING, CreditTypeMapping
from creditdesk.schema.repository import Store
from tests.audit.conftest import Tamper
from tests.support.ledger_builder import LedgerBuilder
from tests.support.progress import CollectingReporter


@pytest.mark.parametrize(
    ("mapping", "amount", "currency", "text"),
    [
        (MONEY_MAPPING, 400_000, "GBP", "40.00 GBP"),
        (MONEY_MAPPING, 400_001, "GBP", "40.0001 GBP"),
        (MONEY_MAPPING, -5_050, "GBP", "-0.505 GBP"),
        (MONEY_MAPPING, 12_000_000, "JPY", "1200 JPY"),
        (MONEY_MAPPING, 12_345_000, "KWD", "1234.500 KWD"),
        (MONEY_MAPPING, 0, None, "0.00"),
        (TIME_MAPPING, 1, None, "1 use"),
        (TIME_MAPPING, 90, None, "90 uses"),
    ],
)
def test_amounts_are_written_in_their_currency(
    mapping: CreditTypeMapping, amount: int, currency: str | None, text: str
) -> None:
    assert amount_text(mapping, amount, currency) == text


def test_every_code_has_a_meaning() -> None:
    assert set(MEANINGS) == set(FindingCode)
    assert all(meaning.endswith(".") for meaning in MEANINGS.values())


async def test_a_finding_names_credit_customer_and_currency(
    store: Store, ledger: LedgerBuilder, tamper: Tamper
) -> None:
    customer = await ledger.add_customer("Grace Hopper")
    credit = await ledger.add_money_credit("40.00", CoworkerId=customer, Description="Welcome gift")
    await tamper(f"UPDATE coworker_booking_credit SET total_credit = 500000 WHERE id = {credit}")
    report = CollectingReporter()
    await verify_ledger(store, report)
    [found] = [found for found in report.findings if found.account == (AccountType.MONEY, credit)]
    assert str(found) == (
        f'total: money credit {credit} "Welcome gift" of Grace Hopper: '
        "total is 50.00 GBP and the journal says 40.00 GBP"
    )
    assert found.to_document() == {
        "code": "total",
        "message": "total is 50.00 GBP and the journal says 40.00 GBP",
        "creditKind": "money",
        "creditId": credit,
        "creditName": "Welcome gift",
        "customer": "Grace Hopper",
        "stored": "50.00 GBP",
        "expected": "40.00 GBP",
    }


def test_a_finding_about_the_whole_database_has_no_subject() -> None:
    found = AuditFinding(code=FindingCode.CHECKPOINT, message="checkpoint 2 has a signature that is not valid")
    assert str(found) == "checkpoint: checkpoint 2 has a signature that is not valid"


def test_verify_prints_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    database = f"sqlite:///{tmp_path}/creditdesk.db"
    demo(uses=20, seed=3, database=database)
    capsys.readouterr()
    assert run(["verify", "--json", "--database", database]) == OK
    intact = json.loads(capsys.readouterr().out)
    assert (intact["findings"], intact["entries"] > 20) == ([], True)
    with sqlite3.connect(tmp_path / "creditdesk.db") as file:
        file.execute("UPDATE coworker_booking_credit SET total_credit = total_credit + 10000 WHERE id = 1")
    assert run(["verify", "--json", "--database", database]) == FAILED
    [found] = json.loads(capsys.readouterr().out)["findings"]
    assert (found["code"], found["creditKind"], found["creditId"]) == ("total", "money", 1)
    assert run(["verify", "--database", database]) == FAILED
    assert capsys.readouterr().out.startswith('total: money credit 1 "')
