"""Commands that time brings about: plan benefits renewed, lapsed credit swept, holds let go.

Both may be run at any time, again and again, and from several machines at once.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, date, datetime
from typing import Annotated, Final

from cyclopts import Parameter

from creditdesk.cli.database import Database, database_url, opened, settings_for
from creditdesk.cli.output import say
from creditdesk.cli.progress import Screen
from creditdesk.ledger.actions import shown
from creditdesk.ledger.jobs import expiry_run, hold_run, renewal_run
from creditdesk.ledger.journal.transaction import Desk
from creditdesk.ledger.operations.renewals import Due, due_renewals
from creditdesk.schema.service import Call, Caller

ACTOR: Final = "creditdesk"
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
    database: Database = None,
) -> int:
    """Grant the plan benefits that are due; a missed run catches up period by period.

    Safe to repeat, and to run from several machines at once: each period is granted once.
    """

    async def run() -> None:
        desk, call = _desk(database)
        async with opened(database) as store:
            async with store.reading() as reading:
                due = await due_renewals(reading, call, call.now, since=since)
            if dry_run:
                for each in due:
                    say(_line(each))
                say(f"{_count(len(due), 'grant')} would be made.")
                return
            granted = 0
            with Screen() as screen:
                screen.step("grants", len(due))
                async for batch in renewal_run(store, call, desk, since=since):
                    granted += len(batch)
                    screen.advance(len(batch))
        say(f"{_count(granted, 'grant')} made.")

    asyncio.run(run())
    return 0


def expire(*, database: Database = None) -> int:
    """Let holds go whose time is over, and write the expiry line of each lapsed credit.

    Lapsed credit is unusable with or without this; what remains of it stays to be seen. Safe to
    repeat, and to run from several machines at once: each line is written once.
    """

    async def run() -> None:
        desk, call = _desk(database)
        released = swept = 0
        async with opened(database) as store:
            with Screen() as screen:
                screen.step("holds")
                async for groups in hold_run(store, call, desk):
                    released += len(groups)
                    screen.advance(len(groups))
                screen.step("lapsed credits")
                async for accounts in expiry_run(store, call, desk):
                    swept += len(accounts)
                    screen.advance(len(accounts))
        say(f"{_count(released, 'hold')} let go.")
        say(f"{_count(swept, 'lapsed credit')} swept.")

    asyncio.run(run())
    return 0


def _desk(given: str | None) -> tuple[Desk, Call]:
    desk = Desk(lambda: datetime.now(UTC), settings_for(database_url(given)).ledger)
    return desk, Call(Caller(0, ACTOR, unrestricted=True), desk.clock())


def _line(due: Due) -> str:
    """`contract 3: 120 of time/2 from 2026-03-01 until 2026-04-01`."""
    amount, period = shown(due.side, due.amount), due.period
    return (
        f"contract {due.contract['Id']}: {amount} of {due.benefit_name}"
        f" from {period.starts} until {period.ends}"
    )


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")
