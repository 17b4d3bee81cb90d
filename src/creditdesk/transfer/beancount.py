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
from creditdesk.ledger.journal.entry import Line, LineKind, instant_of
from creditdesk.ledger.journal.mapping import MONEY, SIDES, Side, line_of, where
from creditdesk.ledger.journal.transaction import is_charge
from creditdesk.ledger.rules.amounts import Amount
from creditdesk.schema.entity import Record
from creditdesk.schema.fields import show_instant, show_scaled
from creditdesk.schema.progress import Report
from creditdesk.schema.repository import Reading, Store

BATCH: Final = 250
_ACROSS: Final = {
    LineKind.GRANT: "Income:Granted",
    LineKind.VOID: "Income:Granted",
    LineKind.ADJUSTMENT: "Income:Adjusted",
    LineKind.USE: "Expenses:Used",
    LineKind.REVERSAL: "Expenses:Used",
}
_HEADING: Final = """option "title" "Credit ledger"
option "booking_method" "STRICT"
1900-01-01 open Income:Granted
1900-01-01 open Income:Adjusted
1900-01-01 open Expenses:Used
"""


async def export_beancount(store: Store, file: Path, report: Report) -> int:
    """Writes the ledger of every credit and gives how many there are.

    Amounts are exact. A credit whose record and journal do not agree is written as the database
    has it, so that the checker refuses the file, and reported as a problem (rule 34).
    """
    written = 0
    with _created(file) as out:
        out.write(_HEADING)
        async with store.reading() as reading:
            for side in SIDES.values():
                report.step(side.credit.plural, await reading.count(side.credit))
                last = 0
                while credits_ := await reading.find(side.credit, limit=BATCH, after_id=last):
                    last = credits_[-1]["Id"]
                    written += await _write_credits(reading, side, credits_, out, report)
                    report.advance(len(credits_))
    return written


async def _write_credits(
    reading: Reading, side: Side, credits_: Sequence[Record], out: IO[str], report: Report
) -> int:
    ids = [credit["Id"] for credit in credits_]
    lines: dict[int, list[Line]] = {}
    filters = where(JournalLine, CreditKind=side.kind.value, CreditId=ids)
    for record in await reading.find(JournalLine, filters):
        lines.setdefault(record["CreditId"], []).append(line_of(record))
    written = 0
    for credit in credits_:
        if is_charge(side, credit):
            continue
        of_credit = sorted(lines.get(credit["Id"], ()), key=lambda line: line.sequence)
        moves = [_move(line) for line in of_credit] or list(_unopened(side, credit))
        remains = sum(move.amount for move in moves)
        if remains != credit[side.remaining]:
            report.problem(
                f"{side.credit.__name__} {credit['Id']}: {side.shown(credit[side.remaining])}"
                f" remains and the journal says {side.shown(remains)}; a checker refuses the file"
            )
        out.writelines(f"{entry}\n" for entry in entries(side, credit, moves))
        written += 1
    return written


@dataclass(frozen=True, slots=True)
class Move:
    """By how much something moved a credit, signed, in its smallest step; a note when by 0."""

    kind: LineKind
    amount: Amount
    recorded: datetime
    sequence: int | None = None
    source: str = ""


def _move(line: Line) -> Move:
    source = f"{line.source_kind} {line.source_id}" if line.source_kind else ""
    recorded = instant_of(line.recorded_microseconds)
    return Move(line.kind, line.balance_change, recorded, line.sequence, source)


def _unopened(side: Side, credit: Record) -> Iterator[Move]:
    """What a credit without a journal says of itself."""
    created = credit["CreatedOn"]
    yield Move(LineKind.GRANT, credit[side.total], created)
    if used := credit[side.total] - credit[side.remaining]:
        yield Move(LineKind.USE, -used, created)


def entries(side: Side, credit: Record, moves: Sequence[Move]) -> Iterator[str]:
    """One credit's directives: open, a transaction for each move, the assertion at the end."""
    name = f"{side.kind.value.title()}{credit['Id']}"
    account = f"Assets:Credit:{name}"
    commodity, value = _commodity(side, credit)
    first, last = moves[0].recorded.date(), moves[-1].recorded.date()
    # What comes back is the very lot it came from, so every posting names it in full.
    lot = f'{{1 {value}, {first}, "{name}"}}'
    yield f"\n{first} open {account} {commodity}"
    for move in _apart_at_zero(moves):
        day = move.recorded.date()
        if not move.amount:
            yield f'{day} note {account} "{move.kind}"'
            continue
        shown, across = _shown(side, move.amount), _shown(side, -move.amount)
        yield f'{day} * "{move.kind}" ""'
        yield f'  recorded: "{show_instant(move.recorded)}"'
        if move.sequence is not None:
            yield f"  line: {move.sequence}"
        if move.source:
            yield f"  source: {_quoted(move.source)}"
        yield f"  {account}  {shown} {commodity} {lot}"
        yield f"  {_ACROSS[move.kind]}  {across} {value}"
    remaining = _shown(side, credit[side.remaining])
    # An assertion speaks of the beginning of its day; without a tolerance it forgives a step.
    yield f"{last + timedelta(days=1)} balance {account}  {remaining} ~ 0 {commodity}"


def _apart_at_zero(moves: Sequence[Move]) -> Iterator[Move]:
    """The moves, one that crosses zero as two: a lot is used up before the overdraft begins, and
    the overdraft is made good before a lot begins again (rule 33).
    """
    remains = 0
    for move in moves:
        if remains and remains + move.amount and (remains < 0) != (remains + move.amount < 0):
            yield replace(move, amount=-remains)
            move = replace(move, amount=move.amount + remains)
            remains = 0
        yield move
        remains += move.amount


def _commodity(side: Side, credit: Record) -> tuple[str, str]:
    """What the account holds and what one of it is worth: credit of a currency, uses of a rate."""
    if side is not MONEY:
        return f"RATE{credit['ExtraServiceId'] or 0}", "USES"
    code = str(credit.get("BusinessCurrencyCode") or "").upper()
    # A code is whatever a person typed; the file takes only some letters.
    currency = code if re.fullmatch("[A-Z]{2,10}", code) else "MONEY"
    return f"{currency}.CREDIT", currency


def _shown(side: Side, amount: Amount) -> str:
    return show_scaled(amount, 4) if side is MONEY else str(amount)


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _created(file: Path) -> IO[str]:
    file.parent.mkdir(parents=True, exist_ok=True)
    return file.open("w", encoding="utf-8")
