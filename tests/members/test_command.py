"""The command `member-link`, on both engines."""

from __future__ import annotations

import pytest

from creditdesk.cli.program import FAILED, OK, USAGE_ERROR, run
from creditdesk.entities.ledger.audit_record import AuditRecord
from creditdesk.entities.spaces.coworker import Coworker
from tests.cli.test_renewals import with_ledger
from tests.support.ledger_builder import LedgerBuilder


def test_member_link_prints_the_address_of_a_new_link(database: str, capsys: pytest.CaptureFixture[str]) -> None:
    async def activate(ledger: LedgerBuilder) -> None:
        async with ledger.store.write_session() as session:
            values = {"Active": True, "Email": "ada@example.com"}
            await session.update(Coworker, [(ledger.customer, values)])

    async def look(ledger: LedgerBuilder) -> None:
        created = await ledger.find(AuditRecord, Action="member link created")
        assert [each["Subject"] for each in created] == ["Coworker", "Coworker"]
        assert all(each["Actor"].startswith("command line") for each in created)

    with_ledger(database, activate)
    words = ["member-link", "ada@example.com", "--url", "https://credit.example.com/", "--database", database]
    assert run(words) == OK
    assert capsys.readouterr().out.startswith("https://credit.example.com/me/link/ey")
    assert run([*words, "--purpose", "frame", "--minutes", "5"]) == OK
    assert capsys.readouterr().out.startswith("https://credit.example.com/me/frame/ey")
    with_ledger(database, look)
    assert run(["member-link", "99", "--database", database]) == FAILED
    assert "No customer has the Id 99." in capsys.readouterr().err
    assert run([*words, "--minutes", "0"]) == USAGE_ERROR
    assert run([*words, "--purpose", "visit"]) == USAGE_ERROR
