"""Scheduled jobs: renew benefits, expire credit, release holds, and the scheduler that runs every job.

They may run at any time, repeatedly, and on several machines at once.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Final

from cyclopts import Parameter

from creditdesk.auth.purge import remove_expired_sign_ins
from creditdesk.cli.database import DatabaseOption, database_url, open_database, settings_for
from creditdesk.cli.output import echo
from creditdesk.cli.progress import ProgressDisplay
from creditdesk.ledger.actions import document_amount
from creditdesk.ledger.jobs import (
    run_benefit_renewals,
    run_credit_expiry,
    run_hold_release,
    run_response_removal,
)
from creditdesk.ledger.journal.transaction import LedgerContext
from creditdesk.ledger.operations.renewals import DueRenewal, find_due_renewals
from creditdesk.schema.service import Principal, RequestContext

JOB_ACTOR: Final = "creditdesk"
"""The author of journal entries that a scheduled job writes."""


def renew(
    *,
    dry_run: Annotated[bool, Parameter(negative="", help="Only print the grants that are due.")] = False,
    since: Annotated[
        date | None,
        Parameter(
            help="First day of benefits that were never granted before, at most ten years ago. "
            "By default they begin with the current period."
        ),
    ] = None,
    database: DatabaseOption = None,
) -> int:
    """Grant the plan benefits that are due, including those of missed runs.

    Safe to repeat, and to run from several machines at once: each period is granted once.
    """

    async def run() -> None:
        ledger, request = _ledger_context(database)
        async with open_database(database) as store:
            async with store.read_session() as session:
                due = await find_due_renewals(session, request, request.now, since=since)
            if dry_run:
                for grant in due:
                    echo(_describe_grant(grant))
                echo(f"{_pluralize(len(due), 'grant')} would be made.")
                return
            granted = 0
            with ProgressDisplay() as display:
                display.step("grants", len(due))
                async for batch in run_benefit_renewals(store, request, ledger, since=since):
                    granted += len(batch)
                    display.advance(len(batch))
        echo(f"{_pluralize(granted, 'grant')} made.")

    asyncio.run(run())
    return 0


def expire(*, database: DatabaseOption = None) -> int:
    """Release overdue holds, record the expiry of expired credits, remove old responses and sessions.

    Expired credit cannot be used even before this runs. Safe to repeat, and to run from several machines at once: each
    expiry is recorded once.
    """

    async def run() -> None:
        ledger, request = _ledger_context(database)
        released = expired = removed = sign_ins = 0
        settings = settings_for(database_url(database))
        older_than = request.now - timedelta(days=settings.api.stored_response_days)
        async with open_database(database) as store:
            with ProgressDisplay() as display:
                display.step("holds")
                async for groups in run_hold_release(store, request, ledger):
                    released += len(groups)
                    display.advance(len(groups))
                display.step("expired credits")
                async for accounts in run_credit_expiry(store, request, ledger):
                    expired += len(accounts)
                    display.advance(len(accounts))
                display.step("stored responses")
                async for number in run_response_removal(store, older_than):
                    removed += number
                    display.advance(number)
                display.step("sign-ins")
                async for number in remove_expired_sign_ins(store, request.now, settings.auth.expired_session_days):
                    sign_ins += number
                    display.advance(number)
        echo(f"{_pluralize(released, 'hold')} released.")
        echo(f"{_pluralize(expired, 'credit')} expired.")
        if removed:
            echo(f"{_pluralize(removed, 'stored response')} removed.")
        if sign_ins:
            echo(f"{_pluralize(sign_ins, 'record')} of expired sign-ins removed.")

    asyncio.run(run())
    return 0


def _ledger_context(option: str | None) -> tuple[LedgerContext, RequestContext]:
    ledger = LedgerContext(lambda: datetime.now(UTC), settings_for(database_url(option)).ledger)
    return ledger, RequestContext(Principal(0, JOB_ACTOR, unrestricted=True), ledger.clock())


def _describe_grant(grant: DueRenewal) -> str:
    """`contract 3: 120 of time/2 from 2026-03-01 until 2026-04-01`."""
    amount, period = document_amount(grant.benefit.mapping, grant.amount), grant.period
    return f"contract {grant.contract.id}: {amount} of {grant.benefit.name} from {period.starts} until {period.ends}"


def _pluralize(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")
