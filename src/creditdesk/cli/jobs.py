"""Commands that time brings about: plan benefits renewed, lapsed credit swept, holds let go.

Both may be run at any time, again and again, and from several machines at once.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, date, datetime
from typing import Annotated, Final

from cyclopts import Parameter

from creditdesk.cli.database import DatabaseOption, database_url, open_database, settings_for
from creditdesk.cli.output import echo
from creditdesk.cli.progress import ProgressDisplay
from creditdesk.ledger.actions import document_amount
from creditdesk.ledger.jobs import run_benefit_renewals, run_credit_expiry, run_hold_release
from creditdesk.ledger.journal.transaction import LedgerContext
from creditdesk.ledger.operations.renewals import DueRenewal, find_due_renewals
from creditdesk.schema.service import Principal, RequestContext

JOB_ACTOR: Final = "creditdesk"
"""Who the journal says wrote the lines of a run."""


def renew(
    *,
    dry_run: Annotated[
        bool, Parameter(negative="", help="Only print what is due, one line for each grant.")
    ] = False,
    since: Annotated[
        date | None,
        Parameter(
            help="First day to grant from where a benefit was never granted here. Left out, such"
            " benefits begin with the period of today."
        ),
    ] = None,
    database: DatabaseOption = None,
) -> int:
    """Grant the plan benefits that are due; a missed run catches up period by period.

    Safe to repeat, and to run from several machines at once: each period is granted once.
    """

    async def run() -> None:
        desk, call = _ledger_context(database)
        async with open_database(database) as store:
            async with store.read_session() as reading:
                due = await find_due_renewals(reading, call, call.now, since=since)
            if dry_run:
                for each in due:
                    echo(_describe_grant(each))
                echo(f"{_pluralize(len(due), 'grant')} would be made.")
                return
            granted = 0
            with ProgressDisplay() as screen:
                screen.step("grants", len(due))
                async for batch in run_benefit_renewals(store, call, desk, since=since):
                    granted += len(batch)
                    screen.advance(len(batch))
        echo(f"{_pluralize(granted, 'grant')} made.")

    asyncio.run(run())
    return 0


def expire(*, database: DatabaseOption = None) -> int:
    """Let holds go whose time is over, and write the expiry line of each lapsed credit.

    Lapsed credit is unusable with or without this; what remains of it stays to be seen. Safe to
    repeat, and to run from several machines at once: each line is written once.
    """

    async def run() -> None:
        desk, call = _ledger_context(database)
        released = swept = 0
        async with open_database(database) as store:
            with ProgressDisplay() as screen:
                screen.step("holds")
                async for groups in run_hold_release(store, call, desk):
                    released += len(groups)
                    screen.advance(len(groups))
                screen.step("lapsed credits")
                async for accounts in run_credit_expiry(store, call, desk):
                    swept += len(accounts)
                    screen.advance(len(accounts))
        echo(f"{_pluralize(released, 'hold')} let go.")
        echo(f"{_pluralize(swept, 'lapsed credit')} swept.")

    asyncio.run(run())
    return 0


def _ledger_context(option: str | None) -> tuple[LedgerContext, RequestContext]:
    desk = LedgerContext(lambda: datetime.now(UTC), settings_for(database_url(option)).ledger)
    return desk, RequestContext(Principal(0, JOB_ACTOR, unrestricted=True), desk.clock())


def _describe_grant(grant: DueRenewal) -> str:
    """`contract 3: 120 of time/2 from 2026-03-01 until 2026-04-01`."""
    amount, period = document_amount(grant.mapping, grant.amount), grant.period
    return (
        f"contract {grant.contract['Id']}: {amount} of {grant.benefit_name}"
        f" from {period.starts} until {period.ends}"
    )


def _pluralize(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")
