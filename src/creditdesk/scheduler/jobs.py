"""The scheduled jobs of a ledger."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final

from creditdesk.audit.checkpoints import create_checkpoint
from creditdesk.audit.findings import AuditFinding
from creditdesk.audit.stored_findings import store_findings
from creditdesk.audit.trail_retention import remove_old_records
from creditdesk.audit.verify import verify_ledger
from creditdesk.auth.encryption import SecretCipher
from creditdesk.auth.purge import remove_expired_sign_ins
from creditdesk.ledger.jobs import run_benefit_renewals, run_credit_expiry, run_hold_release, run_response_removal
from creditdesk.ledger.journal.transaction import LedgerContext
from creditdesk.reports.daily_totals_job import find_stale_days, store_daily_totals
from creditdesk.reports.exception_verification import VERIFY_JOB, finding_text
from creditdesk.scheduler.backups import BackupPlan, make_backup
from creditdesk.scheduler.link_mail import MAIL_JOB, MailPlan, send_link_mail
from creditdesk.scheduler.month_end import write_month_end_reports
from creditdesk.scheduler.report_files import remove_old_reports
from creditdesk.scheduler.runner import JobFailed, ScheduledJob
from creditdesk.scheduler.schedule import Schedule
from creditdesk.schema.progress import NullReporter
from creditdesk.schema.repository import Store
from creditdesk.schema.service import Principal, RequestContext

IMPORT_JOB: Final = "imports"
_HOUR: Final = timedelta(hours=1)
_DAY: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class JobContext:
    """The dependencies of jobs: the store, the ledger and its clock, the principal that they act as."""

    store: Store
    ledger: LedgerContext
    principal: Principal
    cipher: SecretCipher
    response_days: int
    report_folder: Path | None
    session_days: int = 30
    backup: BackupPlan | None = None
    mail: MailPlan | None = None
    audit_days: int = 0
    report_days: int = 0
    take_imports: Callable[[], Awaitable[str]] | None = None

    def request(self) -> RequestContext:
        return RequestContext(self.principal, self.ledger.clock())


@dataclass(frozen=True, slots=True)
class JobDeclaration:
    """The static properties of a job."""

    name: str
    description: str
    schedule: Schedule


_QUARTER: Final = Schedule(timedelta(minutes=15))
JOB_DECLARATIONS: Final = (
    JobDeclaration("holds", "Writes the release of holds past their time", _QUARTER),
    JobDeclaration("renew", "Grants the plan benefits that are due", Schedule(_HOUR)),
    JobDeclaration("expire", "Writes the expiry of expired credit", _QUARTER),
    JobDeclaration(MAIL_JOB, "Sends the requested sign-in links by e-mail", Schedule(timedelta(minutes=5))),
    JobDeclaration(IMPORT_JOB, "Continues the imports of files", Schedule(timedelta(minutes=5))),
    JobDeclaration("responses", "Removes old stored responses", Schedule(_DAY, 2 * _HOUR)),
    JobDeclaration("sessions", "Removes expired sessions and the records of old sign-ins", Schedule(_DAY, 2 * _HOUR)),
    JobDeclaration("purge", "Removes audit records and report files past their retention", Schedule(_DAY, 2 * _HOUR)),
    JobDeclaration("backup", "Copies the database to a file", Schedule(_DAY, timedelta(hours=2.5))),
    JobDeclaration(VERIFY_JOB, "Recomputes every balance and hash chain", Schedule(_DAY, 3 * _HOUR)),
    JobDeclaration("checkpoint", "Signs a checkpoint of the whole ledger", Schedule(_DAY, 4 * _HOUR)),
    JobDeclaration("totals", "Stores the totals of ended days, which make reports fast", Schedule(_HOUR)),
    JobDeclaration("reports", "Writes saved reports after the end of a month", Schedule(_HOUR)),
)
"""Every job, in the order in which they run when several are due."""


def scheduled_jobs(context: JobContext) -> tuple[ScheduledJob, ...]:
    """The declared jobs over one context."""
    jobs = _Jobs(context)
    run = {
        "holds": jobs.release_holds,
        "renew": jobs.renew,
        "expire": jobs.expire,
        MAIL_JOB: jobs.send_mail,
        IMPORT_JOB: jobs.take_imports,
        "responses": jobs.remove_responses,
        "sessions": jobs.remove_sign_ins,
        "purge": jobs.purge,
        "backup": jobs.back_up,
        VERIFY_JOB: jobs.verify,
        "checkpoint": jobs.checkpoint,
        "totals": jobs.store_totals,
        "reports": jobs.write_reports,
    }
    return tuple(ScheduledJob(each.name, each.description, each.schedule, run[each.name]) for each in JOB_DECLARATIONS)


class _Findings(NullReporter):
    """Collects what `verify` finds."""

    def __init__(self) -> None:
        self.found: list[AuditFinding] = []

    def finding(self, finding: AuditFinding) -> None:
        self.found.append(finding)


class _Jobs:
    """The jobs over one context; each is safe to repeat."""

    def __init__(self, context: JobContext) -> None:
        self._context = context

    async def release_holds(self) -> str:
        context = self._context
        batches = run_hold_release(context.store, context.request(), context.ledger)
        return f"{sum([len(groups) async for groups in batches])} released"

    async def renew(self) -> str:
        context = self._context
        batches = run_benefit_renewals(context.store, context.request(), context.ledger)
        return f"{sum([len(grants) async for grants in batches])} granted"

    async def expire(self) -> str:
        context = self._context
        batches = run_credit_expiry(context.store, context.request(), context.ledger)
        return f"{sum([len(accounts) async for accounts in batches])} expired"

    async def send_mail(self) -> str:
        context = self._context
        if context.mail is None:
            return "no mail server is set"
        done = await send_link_mail(context.store, context.mail, context.ledger.clock)
        if done.problems:
            raise JobFailed(f"{done.sent} sent; not sent: {'; '.join(done.problems)}")
        return f"{done.sent} sent"

    async def take_imports(self) -> str:
        take = self._context.take_imports
        return await take() if take else "nothing takes imports here"

    async def remove_responses(self) -> str:
        context = self._context
        older_than = context.ledger.clock() - timedelta(days=context.response_days)
        return f"{sum([number async for number in run_response_removal(context.store, older_than)])} removed"

    async def remove_sign_ins(self) -> str:
        context = self._context
        batches = remove_expired_sign_ins(context.store, context.ledger.clock(), context.session_days)
        return f"{sum([number async for number in batches])} removed"

    async def purge(self) -> str:
        context, now = self._context, self._context.ledger.clock()
        records = files = 0
        if context.audit_days:
            older_than = now - timedelta(days=context.audit_days)
            async for number in remove_old_records(context.store, older_than, context.principal.email, now):
                records += number
        if context.report_days and context.report_folder is not None:
            files = await asyncio.to_thread(remove_old_reports, context.report_folder, now.date(), context.report_days)
        return f"{records} audit records and {files} report files removed"

    async def back_up(self) -> str:
        context = self._context
        return await make_backup(context.backup, context.ledger.clock()) if context.backup else "no folder is set"

    async def verify(self) -> str:
        findings = _Findings()
        entries = await verify_ledger(self._context.store, findings)
        async with self._context.store.write_session() as session:
            await store_findings(session, findings.found, self._context.ledger.clock())
        if findings.found:
            first = findings.found[0]
            text = finding_text(first.code.value, first.named_subject, first.message)
            raise JobFailed(f"{len(findings.found)} problems; the first: {text}")
        if stale := await find_stale_days(self._context.store, self._context.ledger.clock()):
            raise JobFailed(f"{len(stale)} stored totals differ from the journal; the first: {stale[0]}")
        return f"{entries} journal entries verified"

    async def checkpoint(self) -> str:
        context = self._context
        async with context.store.write_session() as session:
            made = await create_checkpoint(session, context.ledger.clock(), None, context.cipher)
        return f"{made.lines} journal entries of {made.credits} credits"

    async def store_totals(self) -> str:
        days = await store_daily_totals(self._context.store, self._context.ledger.clock())
        return f"{days} stored"

    async def write_reports(self) -> str:
        context = self._context
        if context.report_folder is None:
            return "no folder is set"
        folder = context.report_folder
        done = await write_month_end_reports(context.store, folder, context.request(), context.ledger)
        if done.problems:
            raise JobFailed(f"{len(done.written)} written; not written: {'; '.join(done.problems)}")
        return f"{len(done.written)} written"
