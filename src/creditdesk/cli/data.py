"""Commands about the database and its records: migrate, demo, import, export, verify, openapi."""

from __future__ import annotations

import asyncio
import secrets
import time
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated, Final, Literal

from cyclopts import Parameter
from cyclopts.validators import Number

from creditdesk.api.openapi import openapi_document
from creditdesk.api.serializer import encode
from creditdesk.app import build_context
from creditdesk.audit.checkpoint_check import verify_checkpoint
from creditdesk.audit.findings import AuditFinding
from creditdesk.audit.verify import verify_ledger
from creditdesk.auth.audit_trail import AuditAction, find_head
from creditdesk.auth.credentials import find_user_id
from creditdesk.auth.encryption import SecretCipher, encrypt_stored_secrets
from creditdesk.auth.users_admin import create_user, ensure_roles
from creditdesk.cli.audit import record_command
from creditdesk.cli.checkpoint import load_checkpoint
from creditdesk.cli.database import DatabaseOption, database_url, open_database, settings_for
from creditdesk.cli.encryption_keys import settings_with_key
from creditdesk.cli.migrations import print_plan, print_steps, print_waiting
from creditdesk.cli.output import CliError, echo
from creditdesk.cli.progress import ProgressDisplay
from creditdesk.demo.factory import DEMO_ADMIN_EMAIL
from creditdesk.demo.load import load_demo
from creditdesk.demo.recent_activity import add_recent_activity
from creditdesk.demo.staff import MEMBER, STAFF, add_member, add_staff
from creditdesk.entities.sys.business import Business
from creditdesk.storage.engine import migrate_database, open_store
from creditdesk.storage.migrations import OlderDatabase
from creditdesk.transfer.beancount import export_beancount
from creditdesk.transfer.export import export_records
from creditdesk.transfer.file_format import DateOrder, Encoding, FileFormat, NumberFormat
from creditdesk.transfer.importer import Importer


def migrate(
    *,
    list_: Annotated[
        bool,
        Parameter(
            name="--list",
            negative="",
            help="Only show every step and when it was applied.",
        ),
    ] = False,
    plan: Annotated[
        bool,
        Parameter(negative="", help="Only show the SQL that would be executed, with locks and rows."),
    ] = False,
    contract: Annotated[
        bool,
        Parameter(negative="", help="Also apply contract steps. No server of an older version may run."),
    ] = False,
    database: DatabaseOption = None,
) -> int:
    """Bring the database to this version's schema and add missing roles. Safe to repeat.

    Servers of the older version may keep running. Steps that would break them are contract steps, which wait for
    `--contract`.
    """
    if list_ or plan:
        show = print_plan if plan else print_steps
        asyncio.run(show(database_url(database)))
        return 0

    async def run() -> None:
        waiting = await migrate_database(database_url(database), contract=contract, announce=echo)
        try:
            await _complete(database)
        except OlderDatabase:
            # Roles are added with the pending steps.
            if not waiting:
                raise
        print_waiting(waiting)

    asyncio.run(run())
    return 0


async def _complete(database: str | None) -> None:
    """Adds missing roles, encrypts unencrypted secrets, and begins the audit trail."""
    async with open_database(database) as store, store.write_session() as session:
        await ensure_roles(session, datetime.now(UTC))
        keys = settings_with_key(database_url(database)).auth.encryption_key
        await encrypt_stored_secrets(session, SecretCipher(keys))
        if (await find_head(session))[0] == 0:
            await record_command(session, AuditAction.BEGUN)


def demo(
    *,
    uses: Annotated[int, Parameter(validator=Number(gte=1), help="Number of uses of credit.")] = 2000,
    seed: Annotated[int, Parameter(help="One seed and date always give the same records.")] = 1,
    until: Annotated[date | None, Parameter(help="The day on which the history ends; by default today.")] = None,
    unexplained: Annotated[
        bool,
        Parameter(negative="", help="Add two balances that no journal entry explains, for `verify` to report."),
    ] = False,
    database: DatabaseOption = None,
) -> int:
    """Fill an empty database with two made-up locations and their history of 18 months.

    Prints the e-mail addresses of the administrator and the staff that it adds, and their password.
    """

    async def run() -> None:
        now = datetime.now(UTC)
        last_day = until or now.date()
        password = secrets.token_urlsafe(9)
        started = time.monotonic()
        async with open_database(database, migrated=True) as store:
            with ProgressDisplay() as display:
                display.step("uses", uses)
                await load_demo(store, uses, seed, display, last_day)
                display.step("recent activity", None)
                await add_recent_activity(store, seed, last_day, plants_unexplained=unexplained)
            async with store.write_session() as session:
                await ensure_roles(session, now)
                known = await find_user_id(session, DEMO_ADMIN_EMAIL) is not None
                if not known:
                    await create_user(session, DEMO_ADMIN_EMAIL, password, "Demo", is_admin=True, now=now)
                locations = await session.find(Business, columns=("Id",))
                await add_staff(session, password, [location["Id"] for location in locations], now)
                await add_member(session, password, now)
        echo(f"The demo is ready after {time.monotonic() - started:.1f} seconds.")
        echo(f"E-mail:   {DEMO_ADMIN_EMAIL}")
        echo("Password: as before" if known else f"Password: {password}")
        echo("With the same password:")
        for member in STAFF:
            echo(f"  {member.email}  {member.title}")
        echo(f"  {MEMBER}  Member")

    asyncio.run(run())
    return 0


@Parameter(name="*")
@dataclass(frozen=True)
class FormatOptions:
    """The formats of numbers, dates and text in the files of an import."""

    format: Annotated[NumberFormat, Parameter(help="How numbers are written; european is 1.234,50.")] = "standard"
    dates: Annotated[DateOrder, Parameter(help="How dates other than 2026-12-31 are written; dmy is 31/12/2026.")] = (
        "iso"
    )
    encoding: Annotated[Encoding, Parameter(help="Encoding of CSV files; UTF-16 is recognised.")] = "utf-8"


_STANDARD_FORMAT: Final = FormatOptions()


def import_(
    path: Annotated[Path, Parameter(help="Folder of files, or one file.")],
    *,
    keep_dangling: Annotated[
        bool,
        Parameter(negative="", help="Create a placeholder for each missing record referred to."),
    ] = False,
    dry_run: Annotated[bool, Parameter(negative="", help="Only report what an import would do.")] = False,
    file_format: FormatOptions = _STANDARD_FORMAT,
    admin: Annotated[
        tuple[str, ...],
        Parameter(negative="", help="E-mail of a user that may be imported as an administrator."),
    ] = (),
    overwrite_user: Annotated[
        tuple[str, ...],
        Parameter(negative="", help="E-mail of an existing user that the files may change."),
    ] = (),
    database: DatabaseOption = None,
) -> int:
    """Import records from CSV, XLSX, JSON and JSON-lines files named like coworkers.csv.

    Ids, dates and balances are kept. Importing the same files again changes nothing. A row with a value that
    cannot be read is refused. The exit code is 1 if anything was refused or adjusted.
    """

    async def run() -> int:
        if not path.exists():
            raise CliError(f"{path} does not exist.")
        async with open_database(database) as store:
            with ProgressDisplay() as display:
                importer = Importer(
                    store,
                    display,
                    datetime.now(UTC),
                    keep_dangling,
                    admin,
                    overwrite_user,
                    FileFormat(file_format.format, file_format.dates, file_format.encoding),
                    dry_run,
                )
                state = await importer.run(path)
            if not dry_run:
                rows = {
                    name: [count.added, count.changed]
                    for name, count in state.counts.items()
                    if count.added or count.changed
                }
                async with store.write_session() as session:
                    await record_command(session, AuditAction.IMPORTED, None, None, {"Path": str(path), "Rows": rows})
        if not state.counts:
            raise CliError(f"{path} holds no file named after an entity's records.")
        for name, count in state.counts.items():
            if count.added or count.changed or count.unchanged:
                echo(f"{name}: {count.added} new, {count.changed} changed, {count.unchanged} same")
        report = state.report
        echo(f"Refused: {report.refused}, adjusted: {report.adjusted}, ignored: {report.ignored}")
        return 1 if report.refused or report.adjusted else 0

    return asyncio.run(run())


def export(
    path: Annotated[Path, Parameter(help="Folder to write to; created if missing.")],
    *,
    format: Annotated[
        Literal["jsonl", "csv", "beancount"],
        Parameter(help="beancount is the credit ledger as a plain-text accounting file."),
    ] = "jsonl",
    escape_formulas: Annotated[
        bool,
        Parameter(
            negative="",
            help="For CSV that people open in a spreadsheet: put an apostrophe before text that it"
            " would read as a formula. Do not import such files.",
        ),
    ] = False,
    database: DatabaseOption = None,
) -> int:
    """Export every record to files, one per entity, in order of Id.

    Exports can be imported. They contain no passwords.
    """

    async def run() -> int:
        async with open_database(database) as store:
            async with store.write_session() as session:
                await record_command(session, AuditAction.EXPORTED, None, None, {"Path": str(path), "Format": format})
            with ProgressDisplay() as display:
                if format == "beancount":
                    file = path / "credits.beancount"
                    credits_ = await export_beancount(store, file, display)
                    echo(f"Exported {credits_} credits to {file}.")
                    return 1 if display.problems else 0
                counts = await export_records(store, path, display, format, escape_formulas=escape_formulas)
        echo(f"Exported {sum(counts.values())} records to {path}.")
        return 0

    return asyncio.run(run())


def verify(
    *,
    checkpoint: Annotated[
        Path | None,
        Parameter(help="Checkpoint file: also finds entries removed or rewritten since it."),
    ] = None,
    json: Annotated[bool, Parameter(negative="", help="Print one JSON document.")] = False,
    database: DatabaseOption = None,
) -> int:
    """Recompute every balance from the journal and verify every hash chain.

    Prints each difference with its code (see the list of findings) and corrects nothing. The exit code is 1 if there
    is any.
    """
    covered = load_checkpoint(checkpoint) if checkpoint else None
    found: list[AuditFinding] = []

    async def run() -> int:
        async with open_database(database) as store:
            with ProgressDisplay(found.append if json else print) as display:
                entries = await verify_ledger(store, display)
                if covered:
                    await verify_checkpoint(store, covered, display)
        if json:
            echo(encode({"entries": entries, "findings": [each.to_document() for each in found]}).decode())
        elif not display.problems:
            echo(f"All {entries} journal entries and every balance agree.")
        return 1 if display.problems else 0

    return asyncio.run(run())


def openapi() -> int:
    """Print the OpenAPI document that the server publishes at /openapi.json."""

    async def run() -> bytes:
        store = await open_store("sqlite:///:memory:", migrated=True)
        try:
            context = build_context(store, settings_for("sqlite:///:memory:"))
            return encode(openapi_document(context.entities, context.extra_routes))
        finally:
            await store.close()

    echo(asyncio.run(run()).decode())
    return 0
