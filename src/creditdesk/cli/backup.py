"""The commands `backup`, and `drill`, which restores a backup to prove that it can be used."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, Final

import asyncpg
from cyclopts import Parameter

from creditdesk.api.serializer import encode
from creditdesk.audit.checkpoint_check import verify_checkpoint
from creditdesk.audit.checkpoint_format import Checkpoint
from creditdesk.audit.checkpoints import latest_checkpoint
from creditdesk.audit.verify import verify_ledger
from creditdesk.auth.audit_trail import AuditAction
from creditdesk.auth.encryption import EncryptionKeyError, SecretCipher, check_stored_secrets
from creditdesk.cli.audit import record_command
from creditdesk.cli.checkpoint import load_checkpoint
from creditdesk.cli.database import DatabaseOption, database_url, open_database
from creditdesk.cli.encryption_keys import existing_keys
from creditdesk.cli.output import echo
from creditdesk.cli.progress import ProgressDisplay
from creditdesk.entities.ledger.journal_line import JournalLine
from creditdesk.schema.query import Comparison, Filter, Order
from creditdesk.schema.repository import ReadSession, Store
from creditdesk.storage.backup import back_up, restore, scratch_database
from creditdesk.storage.engine import open_store
from creditdesk.storage.migrations import NewerDatabase, OlderDatabase

_MICROSECOND: Final = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class DrillResult:
    """What a drill found. Seconds are wall-clock time; instants are UTC.

    `entries_lost` counts the journal entries that the running database has and the backup lacks;
    `recovery_point_seconds` is the time between the newest entry of each. Both are None where the
    running database cannot be read.
    """

    entries: int
    newest_entry: datetime | None
    problems: int
    restore_seconds: float
    verify_seconds: float
    recovery_time_seconds: float
    entries_lost: int | None
    recovery_point_seconds: float | None


def backup(
    target: Annotated[Path, Parameter(help="New file for the backup. Keep it on another machine.")],
    *,
    database: DatabaseOption = None,
) -> int:
    """Copy the database to a file while it is used.

    A SQLite database becomes a SQLite file, a PostgreSQL database a dump of pg_dump.
    """

    async def run() -> None:
        url = database_url(database)
        async with open_database(database) as store:
            async with store.write_session() as session:
                await record_command(session, AuditAction.BACKED_UP, details={"Path": str(target)})
            await back_up(url, target)

    asyncio.run(run())
    echo(f"Backed up to {target}, {target.stat().st_size:,} bytes.")
    return 0


def drill(
    *,
    from_: Annotated[Path, Parameter(name="--from", help="The backup to restore.")],
    checkpoint: Annotated[
        Path | None,
        Parameter(help="Checkpoint file to compare with. By default the newest one in the backup."),
    ] = None,
    json: Annotated[bool, Parameter(negative="", help="Print the result as JSON.")] = False,
    database: DatabaseOption = None,
) -> int:
    """Restore a backup into a scratch database, verify it, and say how long that took and what it lacks.

    The running database is only read. The exit code is 1 when the restored ledger has a problem.
    """
    covered = load_checkpoint(checkpoint) if checkpoint else None
    result = asyncio.run(_drill(database_url(database), from_, covered))
    if json:
        echo(encode(asdict(result)).decode())
    else:
        _print_result(result)
    return 1 if result.problems else 0


async def _drill(url: str, source: Path, covered: Checkpoint | None) -> DrillResult:
    started = time.monotonic()
    cipher = SecretCipher(existing_keys(url))
    async with scratch_database(url) as scratch:
        await restore(source, scratch)
        store = await open_store(scratch, migrated=True)
        restored = time.monotonic()
        try:
            entries, problems = await _verify(store, covered, cipher)
            async with store.read_session() as session:
                newest = await _newest_entry(session)
        finally:
            await store.close()
        verified = time.monotonic()
    lost, point = await _compare(url, newest)
    return DrillResult(
        entries=entries,
        newest_entry=newest,
        problems=problems,
        restore_seconds=round(restored - started, 3),
        verify_seconds=round(verified - restored, 3),
        recovery_time_seconds=round(verified - started, 3),
        entries_lost=lost,
        recovery_point_seconds=point,
    )


async def _verify(store: Store, covered: Checkpoint | None, cipher: SecretCipher) -> tuple[int, int]:
    """The number of journal entries and of problems, each of which is printed."""
    with ProgressDisplay() as display:
        entries = await verify_ledger(store, display)
        async with store.read_session() as session:
            newest = await latest_checkpoint(session)
            try:
                await check_stored_secrets(session, cipher)
            except EncryptionKeyError as error:
                display.problem(str(error))
        checkpoint = covered or (newest.checkpoint if newest else None)
        if checkpoint:
            await verify_checkpoint(store, checkpoint, display)
    return entries, display.problems


async def _newest_entry(session: ReadSession) -> datetime | None:
    order = Order(JournalLine.meta().columns["RecordedOn"], descending=True)
    found = await session.find(JournalLine, (), order, 1, columns=("Id", "RecordedOn"))
    return found[0]["RecordedOn"] if found else None


async def _compare(url: str, newest: datetime | None) -> tuple[int | None, float | None]:
    """How many entries the running database has after `newest`, and over how many seconds."""
    try:
        store = await open_store(url)
    except (OSError, sqlite3.Error, asyncpg.PostgresError, asyncpg.InterfaceError, OlderDatabase, NewerDatabase):
        return None, None
    try:
        async with store.read_session() as session:
            running = await _newest_entry(session)
            if running is None or newest is None:
                return await session.count(JournalLine), 0.0
            after = Filter(JournalLine.meta().columns["RecordedOn"], Comparison.AT_LEAST, newest + _MICROSECOND)
            return await session.count(JournalLine, [after]), max((running - newest).total_seconds(), 0.0)
    finally:
        await store.close()


def _print_result(result: DrillResult) -> None:
    newest = f", the newest of {result.newest_entry:%Y-%m-%d %H:%M:%S} UTC" if result.newest_entry else ""
    echo(f"Journal entries: {result.entries}{newest}.")
    echo("Problems: none." if not result.problems else f"Problems: {result.problems}.")
    echo(f"Restored in {result.restore_seconds:.1f} s, verified in {result.verify_seconds:.1f} s.")
    echo(f"Recovery time (RTO): {result.recovery_time_seconds:.1f} s.")
    if result.entries_lost is None:
        echo("Recovery point (RPO): unknown, the running database cannot be read.")
    else:
        echo(
            f"Recovery point (RPO): {result.recovery_point_seconds:.1f} s,"
            f" {result.entries_lost} journal entries are not in the backup."
        )
