"""The whole credit ledger as a plain-text accounting file, for a stranger's program to check.

One account a credit. A grant puts a lot into it, uses reduce that lot, and an assertion of what
remains ends each credit, so a checker that knows nothing of us refuses a wrong balance.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import IO, Final

from creditdesk.entities.ledger.journal_line import JournalLine
from creditdesk.ledger.journal import is_charge
from creditdesk.ledger.line import LineKind
from creditdesk.ledger.records import SIDES, Side, where
from creditdesk.schema.entity import Record
from creditdesk.schema.kinds import show_instant, show_scaled
from creditdesk.schema.store import Reading, Store
from creditdesk.sync.report import Report

BATCH: Final = 250
_PLACES: Final = 4
_SIGNS: Final = {
    LineKind.GRANT: 1,
    LineKind.USE: -1,
    LineKind.REVERSAL: 1,
    LineKind.ADJUSTMENT: 1,
    LineKind.VOID: -1,
}


async def export_beancount(store: Store, file: Path, report: Report) -> int:
    """Writes the ledger of every credit with a journal; gives how many there are.

    Amounts are exact: money in its currency, uses in `USES`.
    """
    written = 0
    with _created(file) as out:
        out.write('option "title" "Credit ledger"\n')
        out.write('option "booking_method" "FIFO"\n')
        out.write("1900-01-01 open Income:Granted\n1900-01-01 open Expenses:Used\n")
        async with store.reading() as reading:
            for side in SIDES.values():
                report.step(side.credit.plural, await reading.count(side.credit))
                last = 0
                while credits_ := await reading.find(side.credit, limit=BATCH, after_id=last):
                    last = credits_[-1]["Id"]
                    written += await _write_credits(reading, side, credits_, out)
                    report.advance(len(credits_))
    return written


async def _write_credits(
    reading: Reading, side: Side, credits_: Sequence[Record], out: IO[str]
) -> int:
    ids = [credit["Id"] for credit in credits_]
    lines: dict[int, list[Record]] = {}
    filters = where(JournalLine, CreditKind=side.kind.value, CreditId=ids)
    for line in await reading.find(JournalLine, filters):
        lines.setdefault(line["CreditId"], []).append(line)
    written = 0
    for credit in credits_:
        of_credit = sorted(lines.get(credit["Id"], ()), key=lambda line: line["Sequence"])
        if of_credit and not is_charge(side, credit):
            out.writelines(f"{entry}\n" for entry in entries(side, credit, of_credit))
            written += 1
    return written


def entries(side: Side, credit: Record, lines: Sequence[Record]) -> Iterator[str]:
    """One credit's directives: open, a transaction for each line that moves it, the assertion."""
    account = f"Assets:Credit:{side.kind.value.title()}{credit['Id']}"
    unit = _unit(side, credit)
    first, last = lines[0]["RecordedOn"].date(), lines[-1]["RecordedOn"].date()
    yield f"\n{first} open {account}"
    for line in lines:
        amount = _SIGNS.get(LineKind(line["Kind"]), 0) * line["Amount"]
        if not amount:
            continue
        # Every lot costs one of its own unit, dated by its grant: what comes back is that lot.
        lot = f"{{1 {unit}VALUE, {first}}}"
        other = "Income:Granted" if line["Kind"] == LineKind.GRANT else "Expenses:Used"
        shown = show_scaled(amount, _PLACES)
        yield f'{line["RecordedOn"].date()} * "{line["Kind"]}" ""'
        yield f'  recorded: "{show_instant(line["RecordedOn"])}"'
        yield f"  line: {line['Sequence']}"
        yield f"  {account}  {shown} {unit} {lot}"
        yield f"  {other}  {show_scaled(-amount, _PLACES)} {unit}VALUE"
    remaining = show_scaled(credit[side.remaining] * side.scale, _PLACES)
    # A balance directive speaks of the beginning of its day.
    yield f"{last + timedelta(days=1)} balance {account}  {remaining} {unit}"


def _unit(side: Side, credit: Record) -> str:
    """The currency's code as the accounting file may write it, or USES."""
    code = credit.get("BusinessCurrencyCode") if side.scale == 1 else "USES"
    return str(code or "CREDIT").upper()


def _created(file: Path) -> IO[str]:
    file.parent.mkdir(parents=True, exist_ok=True)
    return file.open("w", encoding="utf-8")
