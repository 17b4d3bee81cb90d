"""The whole credit ledger as a plain-text accounting file, for a stranger's program to check.

One account a credit. What is granted is a lot of that account, uses reduce that lot, and an
assertion of what remains ends each credit, so a checker that knows nothing of us refuses a wrong
balance. A money credit is held at its face value; uses are a commodity of their own for each rate.
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
    where,
)
from creditdesk.ledger.rules.amounts import Amount
from creditdesk.schema.conversions import format_datetime, format_decimal
from creditdesk.schema.entity import Record
from creditdesk.schema.progress import ProgressReporter
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
    """Writes the ledger of every credit and gives how many there are.

    Amounts are exact. A credit whose record and journal do not agree is written as the database
    has it, so that the checker refuses the file, and reported as a problem (rule 34).
    """
    written = 0
    with _create_file(file) as out:
        out.write(_HEADER)
        async with store.read_session() as reading:
            for side in MAPPINGS.values():
                report.step(side.credit_entity.plural, await reading.count(side.credit_entity))
                last = 0
                while credits_ := await reading.find(
                    side.credit_entity, limit=BEANCOUNT_BATCH_SIZE, after_id=last
                ):
                    last = credits_[-1]["Id"]
                    written += await _write_credits(reading, side, credits_, out, report)
                    report.advance(len(credits_))
    return written


async def _write_credits(
    session: ReadSession,
    side: CreditTypeMapping,
    credits_: Sequence[Record],
    out: IO[str],
    report: ProgressReporter,
) -> int:
    ids = [credit["Id"] for credit in credits_]
    lines: dict[int, list[JournalEntry]] = {}
    filters = where(JournalLine, CreditKind=side.account_type.value, CreditId=ids)
    for record in await session.find(JournalLine, filters):
        lines.setdefault(record["CreditId"], []).append(entry_from_record(record))
    written = 0
    for credit in credits_:
        if is_booking_charge(side, credit):
            continue
        of_credit = sorted(lines.get(credit["Id"], ()), key=lambda line: line.sequence)
        moves = [_movement(line) for line in of_credit] or list(
            _movements_without_journal(side, credit)
        )
        remains = sum(move.amount for move in moves)
        if remains != credit[side.remaining_field]:
            report.problem(
                f"{side.credit_entity.__name__} {credit['Id']}: {side.format_amount(credit[side.remaining_field])}"
                f" remains and the journal says {side.format_amount(remains)}; a checker refuses the file"
            )
        out.writelines(f"{entry}\n" for entry in beancount_directives(side, credit, moves))
        written += 1
    return written


@dataclass(frozen=True, slots=True)
class Movement:
    """By how much something moved a credit, signed, in its smallest step; a note when by 0."""

    kind: EntryType
    amount: Amount
    recorded: datetime
    sequence: int | None = None
    source: str = ""


def _movement(line: JournalEntry) -> Movement:
    source = f"{line.source_kind} {line.source_id}" if line.source_kind else ""
    recorded = from_epoch_microseconds(line.recorded_microseconds)
    return Movement(line.kind, line.balance_change, recorded, line.sequence, source)


def _movements_without_journal(side: CreditTypeMapping, credit: Record) -> Iterator[Movement]:
    """What a credit without a journal says of itself."""
    created = credit["CreatedOn"]
    yield Movement(EntryType.GRANT, credit[side.total_field], created)
    if used := credit[side.total_field] - credit[side.remaining_field]:
        yield Movement(EntryType.USE, -used, created)


def beancount_directives(
    side: CreditTypeMapping, credit: Record, movements: Sequence[Movement]
) -> Iterator[str]:
    """One credit's directives: open, a transaction for each move, the assertion at the end."""
    name = f"{side.account_type.value.title()}{credit['Id']}"
    account = f"Assets:Credit:{name}"
    commodity, value = _commodity(side, credit)
    first, last = movements[0].recorded.date(), movements[-1].recorded.date()
    # What comes back is the very lot it came from, so every posting names it in full.
    lot = f'{{1 {value}, {first}, "{name}"}}'
    yield f"\n{first} open {account} {commodity}"
    for move in _split_at_zero(movements):
        day = move.recorded.date()
        if not move.amount:
            yield f'{day} note {account} "{move.kind}"'
            continue
        shown, across = _format_amount(side, move.amount), _format_amount(side, -move.amount)
        yield f'{day} * "{move.kind}" ""'
        yield f'  recorded: "{format_datetime(move.recorded)}"'
        if move.sequence is not None:
            yield f"  line: {move.sequence}"
        if move.source:
            yield f"  source: {_quote(move.source)}"
        yield f"  {account}  {shown} {commodity} {lot}"
        yield f"  {_CONTRA_ACCOUNTS[move.kind]}  {across} {value}"
    remaining = _format_amount(side, credit[side.remaining_field])
    # An assertion speaks of the beginning of its day; without a tolerance it forgives a step.
    yield f"{last + timedelta(days=1)} balance {account}  {remaining} ~ 0 {commodity}"


def _split_at_zero(movements: Sequence[Movement]) -> Iterator[Movement]:
    """The moves, one that crosses zero as two: a lot is used up before the overdraft begins, and
    the overdraft is made good before a lot begins again (rule 33).
    """
    remains = 0
    for move in movements:
        if remains and remains + move.amount and (remains < 0) != (remains + move.amount < 0):
            yield replace(move, amount=-remains)
            move = replace(move, amount=move.amount + remains)
            remains = 0
        yield move
        remains += move.amount


def _commodity(side: CreditTypeMapping, credit: Record) -> tuple[str, str]:
    """What the account holds and what one of it is worth: credit of a currency, uses of a rate."""
    if side is not MONEY_MAPPING:
        return f"RATE{credit['ExtraServiceId'] or 0}", "USES"
    code = str(credit.get("BusinessCurrencyCode") or "").upper()
    # A code is whatever a person typed; the file takes only some letters.
    currency = code if re.fullmatch("[A-Z]{2,10}", code) else "MONEY"
    return f"{currency}.CREDIT", currency


def _format_amount(side: CreditTypeMapping, amount: Amount) -> str:
    return format_decimal(amount, 4) if side is MONEY_MAPPING else str(amount)


def _quote(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _create_file(file: Path) -> IO[str]:
    file.parent.mkdir(parents=True, exist_ok=True)
    return file.open("w", encoding="utf-8")
