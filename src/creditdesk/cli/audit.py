"""The audit trail on the command line: lists it, and records what commands do."""

from __future__ import annotations

import asyncio
import getpass
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Final

from cyclopts import Parameter
from cyclopts.validators import Number

from creditdesk.auth.audit_trail import AuditAction, AuditEvent, record_event
from creditdesk.cli.database import DatabaseOption, open_database
from creditdesk.cli.output import echo
from creditdesk.entities.ledger.audit_record import AuditRecord
from creditdesk.schema.conversions import format_datetime
from creditdesk.schema.entity import Record
from creditdesk.schema.query import Order, where
from creditdesk.schema.repository import WriteSession

DEFAULT_LIMIT: Final = 50


def audit(
    *,
    actor: Annotated[str | None, Parameter(help="Only acts of the user with this e-mail address.")] = None,
    action: Annotated[str | None, Parameter(help="Only this act, such as sign-in or changed.")] = None,
    limit: Annotated[
        int, Parameter(validator=Number(gte=1, lte=100_000), help="The most records to show.")
    ] = DEFAULT_LIMIT,
    database: DatabaseOption = None,
) -> int:
    """List acts outside of the ledger, latest first: sign-ins, changes of users, exports."""

    async def run() -> list[Record]:
        wanted = {name: value for name, value in (("Actor", actor), ("Action", action)) if value is not None}
        latest_first = Order(AuditRecord.meta().columns["Id"], descending=True)
        async with open_database(database) as store, store.read_session() as session:
            return await session.find(AuditRecord, where(AuditRecord, **wanted), latest_first, limit)

    for record in asyncio.run(run()):
        echo(_describe(record))
    return 0


async def record_command(
    session: WriteSession,
    action: AuditAction,
    now: datetime | None = None,
    subject: tuple[str, int] | None = None,
    details: Mapping[str, Any] | None = None,
) -> None:
    """Records what a command did; the actor is the user of the operating system."""
    kind, record_id = subject or (None, None)
    event = AuditEvent(action, _actor(), subject=kind, subject_id=record_id, details=details or {})
    await record_event(session, event, now or datetime.now(UTC))


def _actor() -> str:
    try:
        return f"command line ({getpass.getuser()})"
    except (KeyError, OSError):  # a container's user may have no name
        return "command line"


def _describe(record: Record) -> str:
    """`2026-03-02T09:00:00Z  ada@example.com  sign-in  User 1  from 192.0.2.7  {"SessionId":1}`."""
    subject = f"{record['Subject']} {record['SubjectId']}" if record["Subject"] else ""
    origin = f"from {record['Address']}" if record["Address"] else ""
    details = record["Details"] if record["Details"] != "{}" else ""
    recorded = format_datetime(record["RecordedOn"].replace(microsecond=0))
    parts = (recorded, record["Actor"], record["Action"], subject, origin, details)
    return "  ".join(part for part in parts if part)
