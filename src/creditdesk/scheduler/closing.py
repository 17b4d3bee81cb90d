"""Closes a month of a location: verifies it, rejects unexplained balances, signs, and writes the closing reports.

A closed month can be reopened. Every later report of the month shows both.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from functools import partial
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, Final
from zoneinfo import ZoneInfo

from creditdesk.audit.chain_verifier import verify_chain
from creditdesk.audit.checkpoints import create_checkpoint
from creditdesk.audit.findings import AuditFinding
from creditdesk.auth.audit_trail import AuditAction, AuditEvent, record_event
from creditdesk.auth.encryption import SecretCipher
from creditdesk.entities.ledger.journal_line import JournalLine
from creditdesk.entities.ledger.stored_checkpoint import StoredCheckpoint
from creditdesk.entities.reports.period_closing import PeriodClosing
from creditdesk.entities.sys.business import Business
from creditdesk.ledger.journal.mapping import entry_from_record
from creditdesk.ledger.journal.transaction import LedgerContext
from creditdesk.ledger.loaders.locations import DEFAULT_CLOCK, load_location_clocks
from creditdesk.ledger.loaders.period_locks import load_closed_until
from creditdesk.ledger.operations.period_locks import close_period, reopen_period
from creditdesk.ledger.rules.calendar import add_months, start_of_day
from creditdesk.private_files import open_private_bytes
from creditdesk.reports.closings import CLOSED, REOPENED, ClosingRow, is_closed, load_closings
from creditdesk.reports.exception_loader import load_exception_facts, load_exceptions_view
from creditdesk.reports.exception_rules import ExceptionCode
from creditdesk.reports.exception_search import find_exceptions
from creditdesk.reports.request import parse_report_request
from creditdesk.reports.result import label
from creditdesk.scheduler.month_end import file_bytes, month_report
from creditdesk.schema.conflicts import retry_conflict
from creditdesk.schema.counted_texts import counted_text
from creditdesk.schema.errors import StateConflict, invalid_field
from creditdesk.schema.query import Order, where
from creditdesk.schema.records import new_record
from creditdesk.schema.repository import ReadSession, Store, WriteSession
from creditdesk.schema.service import Principal, RequestContext
from creditdesk.schema.validation import NOT_FOUND_MESSAGE
from creditdesk.telemetry.metrics import RETRIES

CLOSING_REPORTS: Final = (
    ("liability", "xlsx"),
    ("roll-forward", "xlsx"),
    ("roll-forward", "json"),
    ("ageing", "xlsx"),
    ("exceptions", "csv"),
    ("activity", "csv"),
)
"""The reports that a closing writes, with their formats."""

MANIFEST: Final = "closing.json"


@dataclass(frozen=True, slots=True)
class ClosingContext:
    """Who closes, when, and where the reports go."""

    store: Store
    principal: Principal
    ledger: LedgerContext
    cipher: SecretCipher
    folder: Path

    def request(self) -> RequestContext:
        return RequestContext(self.principal, self.ledger.clock())


@dataclass(frozen=True, slots=True)
class Closing:
    """A closed month: the checkpoint's number, and the SHA-256 of each report by its path."""

    checkpoint: int
    documents: dict[Path, str]


async def close_month(
    context: ClosingContext,
    location_id: int,
    month: date,
    record_answer: Callable[[WriteSession, Closing], Awaitable[None]] | None = None,
) -> Closing:
    """Closes the month of a location that begins on `month`, with everything before it (rule 37).

    Calls `record_answer` in the transaction that closes the month. Raises StateConflict before the month's end, for a
    closed month, while a balance or hash chain has an unexplained difference, and if the folder of the reports cannot
    be written to.
    """
    label, store = f"{month:%Y-%m}", context.store
    following = add_months(month, 1)
    async with store.read_session() as session:
        zone = await location_zone(session, location_id)
        closings = await load_closings(session, [location_id])
    until = start_of_day(following, zone)
    if until > context.ledger.clock():
        raise StateConflict(f"{label} ends on {following} at 00:00 {zone.key}; it cannot be closed before.")
    if is_closed(closings, label):
        raise StateConflict(f"{label} is closed. Reopen it first.")
    if problems := await store.read_detached(partial(closing_problems, context, location_id)):
        raise StateConflict(_problems_message(label, problems))
    _check_folder(context.folder)
    async with store.write_session() as session:
        await _lock_closings(session, location_id)
        # A closing that was interrupted has locked the month already.
        closed_until = (await load_closed_until(session, [location_id])).get(location_id)
        if closed_until is None or closed_until < until:
            reason = f"{label} closed"
            await close_period(session, location_id, until, reason, context.request(), context.ledger)
    checkpoint = await retry_conflict(partial(_take_checkpoint, context), partial(RETRIES.count, "conflict"))
    last = following - timedelta(days=1)
    bodies = {
        f"{name}.{file_type}": await store.read_detached(
            partial(_render, context, location_id, last, (name, file_type))
        )
        for name, file_type in CLOSING_REPORTS
    }
    async with store.write_session() as session:
        # Serialises concurrent closings: the second one finds the month closed.
        closings = await _lock_closings(session, location_id)
        if is_closed(closings, label):
            raise StateConflict(f"{label} is closed. Reopen it first.")
        number = sum(row.month == label and row.action == CLOSED for row in closings) + 1
        folder = context.folder / "closings" / f"{location_id}-{label}-{number}"
        hashes = {folder / name: sha256(body).hexdigest() for name, body in bodies.items()}
        documents = {path.name: digest for path, digest in hashes.items()}
        manifest = {"location": location_id, "month": label, "checkpoint": checkpoint, "sha256": documents}
        with _writing_to(context.folder):
            for name, body in {**bodies, MANIFEST: json.dumps(manifest, indent=1).encode()}.items():
                _write(folder / name, body)
        closed = {"CheckpointId": checkpoint, "Documents": {"sha256": documents}}
        await _save(session, context, location_id, CLOSED, {"Month": label, "Until": until, **closed})
        closing = Closing(checkpoint, hashes)
        if record_answer is not None:
            await record_answer(session, closing)
    return closing


async def reopen_month(
    context: ClosingContext,
    location_id: int,
    month: date,
    reason: str,
    record_answer: Callable[[WriteSession], Awaitable[None]] | None = None,
) -> None:
    """Reopens a closed month; calls `record_answer` in the same transaction.

    Raises StateConflict for an open month, ValidationError without a reason.
    """
    label = f"{month:%Y-%m}"
    if not reason.strip():
        raise invalid_field("Reason", "is required")
    async with context.store.write_session() as session:
        zone = await location_zone(session, location_id)
        closings = await _lock_closings(session, location_id)
        if not is_closed(closings, label):
            raise StateConflict(f"{label} is not closed.")
        if later := sorted(row.month for row in closings if row.month > label and is_closed(closings, row.month)):
            raise StateConflict(f"{later[-1]} is closed as well. Reopen it first.")
        closed_until = (await load_closed_until(session, [location_id])).get(location_id)
        starts, until = start_of_day(month, zone), start_of_day(add_months(month, 1), zone)
        if closed_until is not None and closed_until > starts:
            await reopen_period(session, location_id, starts, reason, context.request(), context.ledger)
        reopened = {"Month": label, "Until": until, "Reason": reason, "Documents": {"sha256": {}}}
        await _save(session, context, location_id, REOPENED, reopened)
        if record_answer is not None:
            await record_answer(session)


async def location_zone(session: ReadSession, location_id: int) -> ZoneInfo:
    """The clock of a location. Raises ValidationError for one that does not exist."""
    if await session.get(Business, location_id) is None:
        raise invalid_field("LocationId", NOT_FOUND_MESSAGE, location_id)
    clocks = await load_location_clocks(session, [location_id])
    return clocks.get(location_id, DEFAULT_CLOCK).zone


async def _lock_closings(session: WriteSession, location_id: int) -> list[ClosingRow]:
    """The closings of a location, locked against concurrent changes until the transaction ends."""
    await session.lock(Business, [location_id], ("Id",))
    return await load_closings(session, [location_id])


def _problems_message(month: str, problems: list[str]) -> str:
    """Why a month cannot be closed: the number of problems, and the first of them."""
    return counted_text(
        len(problems),
        "{} cannot be closed: {} problem. {}",
        "{} cannot be closed: {} problems. {}",
        month,
        len(problems),
        "; ".join(problems[:5]),
    )


async def closing_problems(context: ClosingContext, location_id: int, session: ReadSession) -> list[str]:
    """Unexplained balances that nobody acknowledged, and broken hash chains."""
    raw = {"LocationIds": [location_id]}
    request = parse_report_request("exceptions", raw, context.principal, context.ledger.clock(), context.ledger)
    view = await load_exceptions_view(session, request)
    facts = await load_exception_facts(session, view)
    found = [
        label(f"Credit {each.subject}: {each.explanation}")
        for each in find_exceptions(view, facts)
        if each.code is ExceptionCode.BALANCE and each.key not in facts.acknowledged
    ]
    records = await session.find(JournalLine, where(JournalLine, BusinessId=location_id))
    records.sort(key=lambda record: (record["CreditKind"], record["CreditId"], record["Sequence"]))
    entries = [entry_from_record(record) for record in records]
    broken = verify_chain(entries, [bytes.fromhex(record["Digest"]) for record in records])
    for each in map(AuditFinding.of_chain, broken):
        code = f"`{each.code}`"
        found.append(label(f"Finding {code} about {each.subject}: {each.message}"))
    return found


async def _render(
    context: ClosingContext, location_id: int, last: date, report: tuple[str, str], session: ReadSession
) -> bytes:
    name, file_type = report
    result = await month_report(session, name, location_id, last, context.request(), context.ledger)
    return file_bytes(result, file_type)


async def _take_checkpoint(context: ClosingContext) -> int:
    """Signs a checkpoint and returns its number. Raises Conflict if another one was signed concurrently."""
    async with context.store.write_session() as session:
        await create_checkpoint(session, context.ledger.clock(), None, context.cipher)
        return await _newest_checkpoint(session)


async def _newest_checkpoint(session: WriteSession) -> int:
    newest_first = Order(StoredCheckpoint.meta().columns["Id"], descending=True)
    [newest] = await session.find(StoredCheckpoint, (), newest_first, limit=1, columns=("Id",))
    return int(newest["Id"])


def _check_folder(folder: Path) -> None:
    """Raises StateConflict if the folder cannot be written to, before the month is locked."""
    with _writing_to(folder):
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=folder):
            pass


@contextmanager
def _writing_to(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StateConflict(
            f"The reports cannot be written to {folder}: {error.strerror}. Set report_folder."
        ) from error


def _write(path: Path, body: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with open_private_bytes(path) as file:
        file.write(body)


async def _save(
    session: WriteSession, context: ClosingContext, location_id: int, action: str, values: Mapping[str, Any]
) -> None:
    values = {"Reason": "", "CheckpointId": None, **values}
    record = {"BusinessId": location_id, "Action": action, **values}
    record = new_record(PeriodClosing, record, context.ledger.clock(), context.principal.email)
    await session.insert(PeriodClosing, [record])
    details = {name: values[name] for name in ("Month", "Reason", "CheckpointId")}
    event = AuditEvent(
        AuditAction.CLOSED if action == CLOSED else AuditAction.REOPENED,
        context.principal.email,
        business_id=location_id,
        subject=Business.__name__,
        subject_id=location_id,
        details=details,
    )
    await record_event(session, event, record["CreatedOn"])
