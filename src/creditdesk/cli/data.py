"""Commands about records: schema, demo, import, export, verify, and how the API reads."""

from __future__ import annotations

import asyncio
import secrets
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter
from cyclopts.validators import Number

from creditdesk.api.openapi import openapi_document
from creditdesk.api.serializer import encode
from creditdesk.app import build_context
from creditdesk.audit.checkpoint_check import verify_checkpoint
from creditdesk.audit.verify import verify_ledger as check_books
from creditdesk.auth.users_admin import create_user, ensure_roles, find_user_id
from creditdesk.cli.checkpoint import load_checkpoint
from creditdesk.cli.database import DatabaseOption, database_url, open_database, settings_for
from creditdesk.cli.migrations import print_plan, print_steps
from creditdesk.cli.output import CliError, echo
from creditdesk.cli.progress import ProgressDisplay
from creditdesk.demo.factory import DEMO_ADMIN_EMAIL
from creditdesk.demo.load import load_demo
from creditdesk.storage.engine import open_store
from creditdesk.transfer.beancount import export_beancount
from creditdesk.transfer.export import export_records
from creditdesk.transfer.importer import Importer


def migrate(
    *,
    list_: Annotated[
        bool,
        Parameter(
            name="--list",
            negative="",
            help="Show every step and when it was applied; change nothing.",
        ),
    ] = False,
    plan: Annotated[
        bool,
        Parameter(negative="", help="Show the SQL that would be executed; change nothing."),
    ] = False,
    database: DatabaseOption = None,
) -> int:
    """Bring the database to this version's schema and add missing roles. Safe to repeat."""
    if list_ or plan:
        show = print_plan if plan else print_steps
        asyncio.run(show(database_url(database)))
        return 0

    async def run() -> None:
        async with (
            open_database(database, migrated=True) as store,
            store.write_session() as session,
        ):
            await ensure_roles(session, datetime.now(UTC))
        echo("The database is up to date.")

    asyncio.run(run())
    return 0


def demo(
    *,
    uses: Annotated[
        int, Parameter(validator=Number(gte=1), help="How many draws on credit to make up.")
    ] = 2000,
    seed: Annotated[int, Parameter(help="The same seed gives the same records.")] = 1,
    database: DatabaseOption = None,
) -> int:
    """Fill an empty database with two made-up locations and a year and a half of their past.

    Prints the e-mail and the password of the administrator it adds.
    """

    async def run() -> None:
        now = datetime.now(UTC)
        password = secrets.token_urlsafe(9)
        began = time.monotonic()
        async with open_database(database, migrated=True) as store:
            with ProgressDisplay() as screen:
                screen.step("uses", uses)
                await load_demo(store, uses, seed, screen)
            async with store.write_session() as unit:
                await ensure_roles(unit, now)
                known = await find_user_id(unit, DEMO_ADMIN_EMAIL) is not None
                if not known:
                    await create_user(
                        unit, DEMO_ADMIN_EMAIL, password, "Demo", is_admin=True, now=now
                    )
        echo(f"The demo is ready after {time.monotonic() - began:.1f} seconds.")
        echo(f"E-mail:   {DEMO_ADMIN_EMAIL}")
        echo("Password: as before" if known else f"Password: {password}")

    asyncio.run(run())
    return 0


def import_(
    path: Annotated[Path, Parameter(help="A folder of files, or one file.")],
    *,
    keep_dangling: Annotated[
        bool,
        Parameter(negative="", help="Put in a stand-in for each record that is named but missing."),
    ] = False,
    database: DatabaseOption = None,
) -> int:
    """Bring records in from CSV, JSON and JSON-lines files named like coworkers.csv.

    Ids and dates are kept and balances come as they are. Importing the same files again changes
    nothing. Ends with 1 when anything had to be left out.
    """

    async def run() -> int:
        if not path.exists():
            raise CliError(f"There is no {path}.")
        async with open_database(database) as store:
            with ProgressDisplay() as screen:
                work = Importer(store, screen, datetime.now(UTC), keep_dangling=keep_dangling)
                tallies = await work.run(path)
        for name, tally in tallies.items():
            if tally.added or tally.changed or tally.unchanged:
                echo(
                    f"{name}: {tally.added} new, {tally.changed} changed, {tally.unchanged} the same"
                )
        if not tallies:
            raise CliError(f"{path} holds no file named after an entity's records.")
        if screen.problems:
            echo(f"Problems: {screen.problems}")
        return 1 if screen.problems else 0

    return asyncio.run(run())


def export(
    path: Annotated[Path, Parameter(help="The folder to write into; made when missing.")],
    *,
    format: Annotated[
        Literal["jsonl", "csv", "beancount"],
        Parameter(help="beancount writes the credit ledger as a plain-text accounting file."),
    ] = "jsonl",
    database: DatabaseOption = None,
) -> int:
    """Write every record to files, one an entity, ordered by Id.

    What is exported can be imported; passwords are not part of it.
    """

    async def run() -> int:
        async with open_database(database) as store:
            with ProgressDisplay() as screen:
                if format == "beancount":
                    file = path / "credits.beancount"
                    credits_ = await export_beancount(store, file, screen)
                    echo(f"{credits_} credits are in {file}.")
                    return 1 if screen.problems else 0
                counts = await export_records(store, path, screen, format)
        echo(f"{sum(counts.values())} records are in {path}.")
        return 0

    return asyncio.run(run())


def verify(
    *,
    checkpoint: Annotated[
        Path | None,
        Parameter(help="A checkpoint kept in a file: finds what was cut off or rewritten since."),
    ] = None,
    database: DatabaseOption = None,
) -> int:
    """Recompute every balance from the journal and read every chain of digests.

    Prints each finding as one sentence and mends nothing. Ends with 1 when there is any.
    """
    kept = load_checkpoint(checkpoint) if checkpoint else None

    async def run() -> int:
        async with open_database(database) as store:
            with ProgressDisplay(problems_to_stdout=True) as screen:
                lines = await check_books(store, screen)
                if kept:
                    await verify_checkpoint(store, kept, screen)
        if not screen.problems:
            echo(f"All {lines} journal lines and every balance agree.")
        return 1 if screen.problems else 0

    return asyncio.run(run())


def openapi() -> int:
    """Print the OpenAPI document that the server gives at /openapi.json."""

    async def run() -> bytes:
        store = await open_store("sqlite:///:memory:", migrated=True)
        try:
            parts = build_context(store, settings_for("sqlite:///:memory:"))
            return encode(openapi_document(parts.entities, parts.extra_routes))
        finally:
            await store.close()

    echo(asyncio.run(run()).decode())
    return 0
