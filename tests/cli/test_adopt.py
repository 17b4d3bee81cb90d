"""The command `adopt`, on both engines."""

from __future__ import annotations

import pytest

from creditdesk.cli.program import FAILED, OK, USAGE_ERROR, run
from creditdesk.entities.billing.coworker_booking_credit import CoworkerBookingCredit
from tests.cli.test_renewals import with_ledger
from tests.support.ledger_builder import LedgerBuilder, money


def test_adopt_writes_the_grant_that_verify_misses(database: str, capsys: pytest.CaptureFixture[str]) -> None:
    credits_: list[int] = []

    async def insert(ledger: LedgerBuilder) -> None:
        amount = {"TotalCredit": money("40.00"), "RemainingCredit": money("40.00")}
        owner = {"CoworkerId": ledger.customer, "BusinessId": ledger.business}
        credits_.append(await ledger.add(CoworkerBookingCredit, **owner, **amount))

    async def look(ledger: LedgerBuilder) -> None:
        [line] = await ledger.journal_lines("money", credits_[0])
        assert (line["Kind"], line["Actor"], line["Reason"]) == ("grant", "ann@example.com", "Paid in cash")

    with_ledger(database, insert)
    assert run(["verify", "--database", database]) == FAILED
    assert "no grant explains the credit" in capsys.readouterr().out
    words = ["adopt", "money", str(credits_[0]), "--reason", "Paid in cash", "--by", "ann@example.com"]
    assert run([*words, "--database", database]) == OK
    assert capsys.readouterr().out == f"CoworkerBookingCredit {credits_[0]} was adopted: 40.0000 of 40.0000 remain.\n"
    with_ledger(database, look)
    assert run(["verify", "--database", database]) == OK
    capsys.readouterr()
    assert run([*words, "--database", database]) == FAILED
    assert "has a grant, so there is nothing to adopt" in capsys.readouterr().err
    assert run(["adopt", "money", "1", "--database", database]) == USAGE_ERROR
