"""Exports the credit ledger as a Beancount file, which an independent program can check.

Each credit is an account. Its grant is a lot, uses reduce that lot, and a balance assertion ends the
account, so Beancount rejects a wrong balance. Money credit is held at its face value; the uses of
each rate are a commodity of their own.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import IO, Final

from creditdesk.entities.ledger.journal_line import JournalLine
from creditdesk.ledger.journal.entry import EntryType, JournalEntry, from_epoch_microseconds
from creditdesk.ledger.journal.mapping import (
    MAPPINGS,
    MONEY_MAPPING,
    CreditTypeMapping,
    entry_from_record,
    is_booking_charge,
)
from creditdesk.ledger.rules.amounts import Amount
from creditdesk.private_files import open_private_text
from creditdesk.schema.batches import find_batches
from creditdesk.schema.conversions import format_datetime, format_decimal
from creditdesk.schema.entity import Record
from creditdesk.schema.progress import ProgressReporter
from creditdesk.schema.query import where
from creditdesk.schema.repository import ReadSession, Store

BEANCOUNT_BATCH_SIZE: Final = 250
_CONTRA_ACCOUNTS: Final = {
    EntryType.GRANT: "Income:Granted",
    EntryType.VOID: "Income:Granted",
    EntryType.ADJUSTMENT: "Income:Adjusted",
    EntryType.USE: "Expenses:Used",
    EntryType.REVERSAL: "Expenses:Used",
}
_HEADER: Final = """option "title" "Credit ledger"
option "booking_method" "STRICT"
1900-01-01 open Income:Granted
1900-01-01 open Income:Adjusted
1900-01-01 open Expenses:Used
"""


async def export_beancount(store: Store, file: Path, report: ProgressReporter) -> int:
    """Writes the ledger of every credit; returns the number of credits.

    Amounts are exact. A credit whose balance differs from its journal is written as stored, so that
    Beancount rejects the file, and is reported as a problem (rule 34).
    """
    written = 0
    with _create_file(file) as out:
        out.write(_HEADER)
        async with store.read_session() as session:
            for mapping in MAPPINGS.values():
                report.step(mapping.credit_entity.plural, await session.count(mapping.credit_entity))
                async for credits_ in find_batches(session, mapping.credit_entity, BEANCOUNT_BATCH_SIZE):
                    written += await _write_credits(session, mapping, credits_, out, report)
                    report.advance(len(credits_))
    return written


async def _write_credits(
    session: ReadSession,
    mapping: CreditTypeMapping,
    credits_: Sequence[Record],
    out: IO[str],
    report: ProgressReporter,
) -> int:
    ids = [credit["Id"] for credit in credits_]
    entries: dict[int, list[JournalEntry]] = {}
    filters = where(JournalLine, CreditKind=mapping.account_type.value, CreditId=ids)
    for record in await session.find(JournalLine, filters):
        entries.setdefault(record["CreditId"], []).append(entry_from_record(record))
    written = 0
    for credit in credits_:
        if is_booking_charge(mapping, credit):
            continue
        journal = sorted(entries.get(credit["Id"], ()), key=lambda entry: entry.sequence)
        movements = [_movement(entry) for entry in journal]
        movements = movements or list(_movements_without_journal(mapping, credit))
        remaining, replayed = credit[mapping.remaining_field], sum(m.amount for m in movements)
        if replayed != remaining:
            report.problem(
                f"{mapping.credit_entity.__name__} {credit['Id']}: {mapping.format_amount(remaining)} remains"
                f" and the journal says {mapping.format_amount(replayed)}; Beancount rejects the file"
            )
        directives = beancount_directives(mapping, credit, movements)
        out.writelines(f"{directive}\n" for directive in directives)
        written += 1
    return written


@dataclass(frozen=True, slots=True)
class Movement:
    """A signed change of a balance, in its smallest unit; written as a note when it is 0."""

    kind: EntryType
    amount: Amount
    recorded: datetime
    sequence: int | None = None
    source: str = ""


def _movement(entry: JournalEntry) -> Movement:
    source = f"{entry.source_kind} {entry.source_id}" if entry.source_kind else ""
    recorded = from_epoch_microseconds(entry.recorded_microseconds)
    return Movement(entry.kind, entry.balance_change, recorded, entry.sequence, source)


def _movements_without_journal(mapping: CreditTypeMapping, credit: Record) -> Iterator[Movement]:
    """The grant and the use that the columns of a credit without a journal imply."""
    created = credit["CreatedOn"]
    yield Movement(EntryType.GRANT, credit[mapping.total_field], created)
    if used := credit[mapping.total_field] - credit[mapping.remaining_field]:
        yield Movement(EntryType.USE, -used, created)


def beancount_directives(mapping: CreditTypeMapping, credit: Record, movements: Sequence[Movement]) -> Iterator[str]:
    """One credit's directives: open, a transaction per movement, a balance assertion."""
    name = f"{mapping.account_type.value.title()}{credit['Id']}"
    account = f"Assets:Credit:{name}"
    commodity, value = _commodity(mapping, credit)
    first, last = movements[0].recorded.date(), movements[-1].recorded.date()
    # Returned amounts go back to the lot they came from, so every posting names it in full.
    lot = f'{{1 {value}, {first}, "{name}"}}'
    yield f"\n{first} open {account} {commodity}"
    for movement in _split_at_zero(movements):
        day = movement.recorded.date()
        if not movement.amount:
            yield f'{day} note {account} "{movement.kind}"'
            continue
        amount, contra = (
            _format_amount(mapping, movement.amount),
            _format_amount(mapping, -movement.amount),
        )
        yield f'{day} * "{movement.kind}" ""'
        yield f'  recorded: "{format_datetime(movement.recorded)}"'
        if movement.sequence is not None:
            yield f"  line: {movement.sequence}"
        if movement.source:
            yield f"  source: {_quote(movement.source)}"
        yield f"  {account}  {amount} {commodity} {lot}"
        yield f"  {_CONTRA_ACCOUNTS[movement.kind]}  {contra} {value}"
    remaining = _format_amount(mapping, credit[mapping.remaining_field])
    # An assertion holds at the start of its day; by default it tolerates a small difference.
    yield f"{last + timedelta(days=1)} balance {account}  {remaining} ~ 0 {commodity}"


def _split_at_zero(movements: Sequence[Movement]) -> Iterator[Movement]:
    """Splits a movement across zero in two: the lot is used up before the overdraft begins, and the
    overdraft is repaid before a lot begins again (rule 33).
    """
    remains = 0
    for movement in movements:
        if remains and remains + movement.amount and (remains < 0) != (remains + movement.amount < 0):
            yield replace(movement, amount=-remains)
            movement = replace(movement, amount=movement.amount + remains)
            remains = 0
        yield movement
        remains += movement.amount


def _commodity(mapping: CreditTypeMapping, credit: Record) -> tuple[str, str]:
    """The account's commodity and the unit of its value: a currency, or the uses of a rate."""
    if mapping is not MONEY_MAPPING:
        return f"RATE{credit['ExtraServiceId'] or 0}", "USES"
    code = str(credit.get("BusinessCurrencyCode") or "").upper()
    # The code is free text; Beancount accepts only capital letters.
    currency = code if re.fullmatch("[A-Z]{2,10}", code) else "MONEY"
    return f"{currency}.CREDIT", currency


def _format_amount(mapping: CreditTypeMapping, amount: Amount) -> str:
    return format_decimal(amount, 4) if mapping is MONEY_MAPPING else str(amount)


def _quote(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _create_file(file: Path) -> IO[str]:
    file.parent.mkdir(parents=True, exist_ok=True)
    return open_private_text(file)
