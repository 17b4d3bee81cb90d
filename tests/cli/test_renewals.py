"""The scheduled commands `renew` and `expire`, also when two machines run them at once."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from creditdesk.cli.program import FAILED, OK, USAGE_ERROR, run
from creditdesk.entities.billing.coworker_booking_credit import CoworkerBookingCredit
from creditdesk.entities.ledger.benefit_grant import BenefitGrant
from creditdesk.entities.ledger.hold import Hold
from creditdesk.entities.ledger.journal_line import JournalLine
from creditdesk.ledger.journal.mapping import MONEY_MAPPING
from creditdesk.ledger.operations.adoption import adopt_credit
from creditdesk.schema.records import new_record
from creditdesk.storage.engine import open_store
from tests.ledger.test_renewals import add_contract
from tests.ledger.test_scheduled_jobs import add_hold
from tests.support.databases import run_in_thread
from tests.support.ledger_builder import LedgerBuilder, money

Captured = pytest.CaptureFixture[str]
LONG_AGO = datetime.now(UTC).replace(microsecond=0) - timedelta(days=40)


def with_ledger(database: str, work: Callable[[LedgerBuilder], Coroutine[Any, Any, None]]) -> None:
    """Runs `work` on a ledger in the database whose clock is 40 days behind."""

    async def go() -> None:
        store = await open_store(database)
        try:
            ledger = await LedgerBuilder.create(store)
            ledger.now = LONG_AGO
            await work(ledger)
        finally:
            await store.close()

    run_in_thread(go())


def run_twice_concurrently(database: str, command: str) -> list[str]:
    """The output of two processes that run a command at the same time."""
    words = [sys.executable, "-m", "creditdesk", command, "--database", database]
    both = [subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    output = [process.communicate(timeout=60) for process in both]
    assert [process.returncode for process in both] == [OK, OK], output
    return [out for out, _ in output]


def sum_first_numbers(output: list[str], line: int = 0) -> int:
    """The sum of the numbers that begin line `line` of each output."""
    return sum(int(each.splitlines()[line].split()[0]) for each in output)


def test_concurrent_renew_grants_once(database: str, capsys: Captured) -> None:
    contracts: list[int] = []

    async def join(ledger: LedgerBuilder) -> None:
        contracts.extend([await add_contract(ledger) for _ in range(3)])

    async def look(ledger: LedgerBuilder) -> None:
        assert len(await ledger.find(BenefitGrant)) == 6
        assert len(await ledger.find(CoworkerBookingCredit)) == 3

    with_ledger(database, join)
    assert run(["renew", "--dry-run", "--database", database]) == OK
    output = capsys.readouterr().out.splitlines()
    assert output[-1] == "6 grants would be made."
    month = datetime.now(UTC).date().replace(day=1)
    assert output[0].startswith(f"contract {contracts[0]}: 30.0000 of money/")
    assert f" from {month} until " in output[0]
    assert sum_first_numbers(run_twice_concurrently(database, "renew")) == 6
    with_ledger(database, look)
    assert run(["renew", "--database", database]) == OK
    assert capsys.readouterr().out == "0 grants made.\n"
    assert run(["verify", "--database", database]) == OK


def test_concurrent_expire_releases_and_expires_once(database: str, capsys: Captured) -> None:
    async def spend_little(ledger: LedgerBuilder) -> None:
        credit = await ledger.add_money_credit("100.00")
        for _ in range(3):
            await add_hold(ledger, until=LONG_AGO + timedelta(hours=1))
        await ledger.update_credit(credit, TotalCredit=money("100.00"), ExpireDate=LONG_AGO + timedelta(days=1))
        given = await ledger.money_credit_values(
            "10.00", RemainingCredit=money("10.00"), ExpireDate=LONG_AGO + timedelta(days=1)
        )
        del given["Id"]
        many = [new_record(MONEY_MAPPING.credit_entity, given, LONG_AGO, "") for _ in range(400)]
        async with ledger.store.write_session() as session:
            for credit_id in await session.insert(MONEY_MAPPING.credit_entity, many):
                account = (MONEY_MAPPING.account_type, credit_id)
                await adopt_credit(session, account, "granted", ledger.request_context(), ledger.context)

    async def look(ledger: LedgerBuilder) -> None:
        assert {h["State"] for h in await ledger.find(Hold)} == {"released"}
        assert len(await ledger.find(JournalLine, Kind="release")) == 3
        lines = await ledger.find(JournalLine, Kind="expiry")
        assert len({line["CreditId"] for line in lines}) == len(lines) == 401

    with_ledger(database, spend_little)
    output = run_twice_concurrently(database, "expire")
    assert (sum_first_numbers(output, 0), sum_first_numbers(output, 1)) == (3, 401)
    with_ledger(database, look)
    capsys.readouterr()
    assert run(["expire", "--database", database]) == OK
    assert capsys.readouterr().out == "0 holds released.\n0 credits expired.\n"
    assert run(["verify", "--database", database]) == OK


@pytest.mark.parametrize("command", ["renew", "expire"])
def test_jobs_have_help_and_exit_codes(command: str, tmp_path: Any, capsys: Captured) -> None:
    assert run([command, "--help"]) == OK
    assert "from several machines at once" in " ".join(capsys.readouterr().out.split())
    assert run([command, "--bogus"]) == USAGE_ERROR
    capsys.readouterr()
    missing = tmp_path / "empty.db"
    assert run([command, "--database", f"sqlite:///{missing}"]) == FAILED
    assert capsys.readouterr() == ("", f"There is no database at {missing}. Run: creditdesk init --admin EMAIL\n")
