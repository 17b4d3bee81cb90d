"""The commands `jobs run` and `jobs list`, and the scheduler of a server."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from functools import partial
from pathlib import Path
from secrets import token_hex
from typing import Annotated, Final

import platformdirs
from cyclopts import App, Parameter
from cyclopts.validators import Number

from creditdesk.app import build_context
from creditdesk.auth.audit_trail import AuditAction, AuditEvent, record_event
from creditdesk.auth.encryption import SecretCipher
from creditdesk.auth.member_links import LinkSigner
from creditdesk.auth.tokens import signing_secret
from creditdesk.cli.database import DatabaseOption, database_url, open_database
from creditdesk.cli.encryption_keys import settings_with_key
from creditdesk.cli.jobs import JOB_ACTOR
from creditdesk.cli.observability import count_for_server
from creditdesk.cli.output import CliError, echo
from creditdesk.console.member.link_mail import compose_link_mail
from creditdesk.import_routes import run_imports
from creditdesk.ledger.journal.transaction import LedgerContext
from creditdesk.scheduler.backups import BackupPlan
from creditdesk.scheduler.jobs import JobContext, scheduled_jobs
from creditdesk.scheduler.lease import release_lease
from creditdesk.scheduler.link_mail import LinkMail, MailPlan
from creditdesk.scheduler.runner import JobResult, ScheduledJob, load_job_results, run_due_jobs
from creditdesk.schema.conversions import format_datetime
from creditdesk.schema.repository import Store
from creditdesk.schema.service import Principal
from creditdesk.settings import BackupSettings, Settings
from creditdesk.smtp import MailServer
from creditdesk.storage.backup import back_up

CHECK_SECONDS: Final = 60
"""How often a running scheduler looks for due jobs, in seconds."""
REQUEST_CHECK_SECONDS: Final = 2
"""How often it looks for jobs that a user requested, in seconds."""
IMPORT_SECONDS: Final = 20.0
"""How long one run processes imports before the other jobs run, in seconds."""

jobs = App(name="jobs", help="Scheduled work: run what is due, or list the last results.")


@jobs.command(name="run")
def run_jobs(
    *names: Annotated[str, Parameter(help="Jobs to run now, whether or not they are due.")],
    every: Annotated[
        int | None,
        Parameter(validator=Number(gte=1), help="Keep running, and look for due jobs again after this many seconds."),
    ] = None,
    database: DatabaseOption = None,
) -> int:
    """Run the jobs that are due, or the named ones at once.

    One process leads at a time; another one ends without running anything. The exit code is 1 when a
    job failed.
    """
    url = database_url(database)

    async def work() -> int:
        async with open_database(database) as store:
            available = {job.name: job for job in await _jobs(store, url, settings_with_key(url))}
            if unknown := [name for name in names if name not in available]:
                raise CliError(f"There is no job {unknown[0]}. The jobs are: {', '.join(available)}.")
            holder = new_holder()
            try:
                while True:
                    failed = await _run_once(store, list(available.values()), holder, names)
                    if every is None:
                        return 1 if failed else 0
                    await asyncio.sleep(every)
            finally:
                await release_lease(store, holder, datetime.now(UTC))

    return asyncio.run(work())


@jobs.command(name="list")
def list_jobs(*, database: DatabaseOption = None) -> int:
    """List every job with its last run and result."""
    url = database_url(database)

    async def show() -> None:
        async with open_database(database) as store:
            known = await load_job_results(store)
            for job in await _jobs(store, url, settings_with_key(url)):
                echo(f"{job.name:<11} {_describe(known.get(job.name))}  ({job.description})")

    asyncio.run(show())
    return 0


def run_scheduler(url: str, holder: str) -> None:
    """Runs due jobs until the process gets SIGTERM; then another process may lead at once.

    It holds the lease in the name of its server, `holder`, which has one such process at a time, so that the
    replacement of a killed leader continues at once.
    """
    count_for_server()

    async def work() -> None:
        task = asyncio.current_task()
        assert task is not None
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
        async with open_database(url) as store:
            try:
                while True:
                    available = await _jobs(store, url, settings_with_key(url))
                    await _run_once(store, list(available), holder, ())
                    await _wait(store)
            finally:
                await release_lease(store, holder, datetime.now(UTC))

    with suppress(asyncio.CancelledError):
        asyncio.run(work())


async def _wait(store: Store) -> None:
    """Waits until the next check, or until a user requests a job."""
    for _ in range(CHECK_SECONDS // REQUEST_CHECK_SECONDS):
        await asyncio.sleep(REQUEST_CHECK_SECONDS)
        if any(each.is_requested for each in (await load_job_results(store)).values()):
            return


def new_holder() -> str:
    """A unique name for this process as a holder of the lease: containers may share host name and process id."""
    return f"{socket.gethostname()}:{os.getpid()}:{token_hex(4)}"


async def _run_once(store: Store, available: list[ScheduledJob], holder: str, names: tuple[str, ...]) -> bool:
    """Whether a job failed. Prints each result."""
    results = await run_due_jobs(store, available, holder, lambda: datetime.now(UTC), only=names)
    if results is None:
        echo("Another process runs the jobs.")
        return False
    for result in results:
        echo(f"{result.name:<11} {_describe(result)}")
    return any(result.succeeded is False for result in results)


def report_folder(settings: Settings) -> Path:
    """Where saved reports and closings are written."""
    return (
        Path(settings.report_folder)
        if settings.report_folder
        else platformdirs.user_data_path("creditdesk") / "reports"
    )


async def _jobs(store: Store, url: str, settings: Settings) -> tuple[ScheduledJob, ...]:
    context = JobContext(
        store,
        LedgerContext(lambda: datetime.now(UTC), settings.ledger),
        Principal(0, JOB_ACTOR, unrestricted=True),
        SecretCipher(settings.auth.encryption_key),
        settings.api.stored_response_days,
        report_folder(settings),
        settings.auth.expired_session_days,
        _backup_plan(store, url, settings.backup),
        await _mail_plan(store, settings),
        settings.retention.audit_days,
        settings.retention.report_days,
        partial(run_imports, build_context(store, settings), IMPORT_SECONDS),
    )
    return scheduled_jobs(context)


async def _mail_plan(store: Store, settings: Settings) -> MailPlan | None:
    mail = settings.mail
    if not mail.host:
        return None
    signer = LinkSigner(await signing_secret(store, settings.auth, datetime.now(UTC)), settings.auth)

    def compose(message: LinkMail) -> EmailMessage:
        return compose_link_mail(message, mail.sender, mail.site_url, datetime.now(UTC))

    return MailPlan(MailServer(mail), compose, signer)


def _backup_plan(store: Store, url: str, settings: BackupSettings) -> BackupPlan | None:
    if not settings.folder:
        return None

    async def make(path: Path) -> None:
        async with store.write_session() as session:
            event = AuditEvent(AuditAction.BACKED_UP, JOB_ACTOR, details={"Path": str(path)})
            await record_event(session, event, datetime.now(UTC))
        await back_up(url, path)

    return BackupPlan(Path(settings.folder), timedelta(days=settings.keep_days), make)


def _describe(result: JobResult | None) -> str:
    if result is None:
        return "never ran"
    state = {True: "ok", False: "failed", None: "running or interrupted"}[result.succeeded]
    return f"{format_datetime(result.started)} {state}: {result.message}"
