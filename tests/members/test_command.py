"""The command `member-link`, on both engines."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from creditdesk.app import build_app
from creditdesk.cli.encryption_keys import settings_with_key
from creditdesk.cli.program import FAILED, OK, USAGE_ERROR, run
from creditdesk.entities.ledger.audit_record import AuditRecord
from creditdesk.entities.spaces.coworker import Coworker
from creditdesk.schema.repository import Store
from tests.cli.test_renewals import with_ledger
from tests.members.test_link_mail import links_of
from tests.support.ledger_builder import LedgerBuilder
from tests.support.mail_server import mail_server, mail_settings
from tests.support.users import http_client


def test_member_link_prints_the_address_of_a_new_link(database: str, capsys: pytest.CaptureFixture[str]) -> None:
    async def activate(ledger: LedgerBuilder) -> None:
        async with ledger.store.write_session() as session:
            values = {"Active": True, "Email": "ada@example.com"}
            await session.update(Coworker, [(ledger.customer, values)])

    async def look(ledger: LedgerBuilder) -> None:
        found = await ledger.find(AuditRecord, Action="member link created")
        created = [each["Subject"] for each in found if each["Actor"].startswith("command line")]
        assert created == ["Coworker", "Coworker"]

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


async def test_the_job_mail_sends_what_was_requested(
    database: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, store: Store
) -> None:
    """Settings from the environment, the job of the command line, and a real conversation over SMTP."""
    words = ["jobs", "run", "mail", "--database", database]
    assert await asyncio.to_thread(run, words) == OK
    assert "no mail server is set" in capsys.readouterr().out
    ledger = await LedgerBuilder.create(store)
    app = build_app(store, replace(settings_with_key(database), mail=mail_settings(25)))
    async with store.write_session() as session:
        await session.update(Coworker, [(ledger.customer, {"Active": True, "Email": "job@example.com"})])
    async with http_client(app) as member, mail_server() as (kept, settings):
        assert (await member.post("/api/members/link-requests", json={"Email": "job@example.com"})).status_code == 200
        for name, value in (("HOST", settings.host), ("PORT", str(settings.port)), ("SECURITY", settings.security),
                            ("SENDER", settings.sender), ("SITE_URL", settings.site_url)):  # fmt: skip
            monkeypatch.setenv(f"CREDITDESK_MAIL_{name}", value)
        assert await asyncio.to_thread(run, words) == OK
        assert "ok: 1 sent" in capsys.readouterr().out
        [message] = kept.messages
        [path] = links_of(message)
        form = {"grant_type": "member_link", "link": path.rpartition("/")[2]}
        assert (await member.post("/api/token", data=form)).status_code == 200
