"""The ledger's movements for accounting programs: hledger, QuickBooks Online and Xero.

Every journal balances. hledger gets every unit, with an assertion of what is owed at the end; the CSV files have
only money, because their programs have no other commodities.
"""

from __future__ import annotations

import csv
import io
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from types import MappingProxyType
from typing import Final

from creditdesk.ledger.journal.entry import from_epoch_microseconds
from creditdesk.ledger.rules.credit import CreditType
from creditdesk.reports.ledger_view import LedgerView
from creditdesk.reports.loader import load_locations, load_view
from creditdesk.reports.postings import DailyJournal, LiabilityAccount, daily_journals, liability_balances
from creditdesk.reports.request import ReportRequest
from creditdesk.schema.repository import ReadSession
from creditdesk.schema.spreadsheets import inert_text
from creditdesk.transfer.account_mapping import AccountMapping

_LETTERS: Final = re.compile("[A-Za-z]+")
_NOT_IN_COMMODITY: Final = re.compile(r"[^\w -]")
_NOT_IN_NAME: Final = re.compile(r"[;|\[\]()\x00-\x1f]")


async def load_accounting_view(session: ReadSession, request: ReportRequest) -> LedgerView:
    """The view of a request for `ACCOUNTING_FORMATS`, in which every location has a unique name.

    Raises ValidationError like `load_view`.
    """
    view = await load_view(session, request)
    # Names are unique among all locations, so that an account does not depend on the exported ones.
    every = await load_locations(session, replace(request, locations=()))
    names = distinct_names({each.id: each.name for each in every.values()})
    return replace(view, locations={i: replace(each, name=names[i]) for i, each in view.locations.items()})


def distinct_names(names: Mapping[int, str]) -> dict[int, str]:
    """The names by Id; blank ones, and those that accounting programs may confuse, get the Id appended."""
    plain = {i: " ".join(_NOT_IN_NAME.sub(" ", name).split()) for i, name in names.items()}
    uses = Counter(map(str.casefold, plain.values()))
    found: dict[int, str] = {}
    for i, name in plain.items():
        own = names[i] if name and uses[name.casefold()] == 1 else f"{name} #{i}".strip()
        while own != names[i] and uses[own.casefold()]:
            own += f" #{i}"
        found[i] = own
    return found


def hledger_journal(view: LedgerView, mapping: AccountMapping) -> str:
    """An hledger journal: what was owed before, the journals of each day, what is owed after."""
    journals = daily_journals(view)
    balances = liability_balances(view)
    out = ["; Credit ledger. Amounts of the liability are negative: they are owed.", ""]
    first = min((journal.day for journal in journals), default=None)
    for balance in balances:
        if balance.opening and first is not None:
            account = balance.account
            out += [f"{first - timedelta(days=1)} opening balance"]
            out += _hledger_lines(
                account, {mapping.liability(account): -balance.opening, mapping.opening(account): balance.opening}
            )
    for journal in journals:
        out += [f"{journal.day} credit at {_plain(journal.account.location)}"]
        out += _hledger_lines(journal.account, _lines(journal, mapping))
    last = _last_day(view, journals)
    owed: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
    for balance in balances:
        owed[mapping.liability(balance.account), balance.account.unit] += balance.closing
    for (name, unit), closing in sorted(owed.items()):
        if last is not None:
            out += [
                f"{last} closing balance",
                f"    {_plain(name)}  0 {_commodity(unit)} = {-closing:f} {_commodity(unit)}",
                "",
            ]
    return "\n".join(out) + "\n"


def quickbooks_csv(view: LedgerView, mapping: AccountMapping) -> str:
    """Journal entries for QuickBooks Online: one number for each day, location and currency."""
    rows = [
        (
            f"CR{journal.day:%Y%m%d}-{number}",
            f"{journal.day:%m/%d/%Y}",
            journal.account.unit,
            account,
            f"{amount:f}" if amount > 0 else "",
            f"{-amount:f}" if amount < 0 else "",
            f"Credit at {journal.account.location}",
            journal.account.location,
        )
        for number, journal in _numbered(_money(view))
        for account, amount in _lines(journal, mapping).items()
    ]
    header = ("JournalNo", "JournalDate", "Currency", "AccountName", "Debits", "Credits", "Description", "Location")
    return _csv(header, rows)


def xero_csv(view: LedgerView, mapping: AccountMapping) -> str:
    """Manual journals for Xero: positive amounts are debits; one narration for each day, location and currency."""
    rows = [
        (
            f"Credit at {journal.account.location} {journal.day} {journal.account.unit}",
            f"{journal.day:%d/%m/%Y}",
            f"Credit in {journal.account.unit}",
            account,
            mapping.tax_rate,
            f"{amount:f}",
            "Location",
            journal.account.location,
        )
        for _, journal in _numbered(_money(view))
        for account, amount in _lines(journal, mapping).items()
    ]
    header = (
        "*Narration", "*Date", "Description", "*AccountCode", "*TaxRate", "*Amount", "TrackingName1", "TrackingOption1",
    )  # fmt: skip
    return _csv(header, rows)


ACCOUNTING_FORMATS: Final[Mapping[str, Callable[[LedgerView, AccountMapping], str]]] = MappingProxyType(
    {"hledger": hledger_journal, "quickbooks": quickbooks_csv, "xero": xero_csv}
)


def _lines(journal: DailyJournal, mapping: AccountMapping) -> dict[str, Decimal]:
    """The amount of each account, debits positive; they add up to 0."""
    lines: dict[str, Decimal] = defaultdict(Decimal)
    for posting in journal.postings:
        lines[mapping.liability(journal.account)] -= posting.amount
        lines[mapping.counterpart(journal.account, posting)] += posting.amount
    return {account: amount for account, amount in sorted(lines.items()) if amount}


def _money(view: LedgerView) -> list[DailyJournal]:
    return [journal for journal in daily_journals(view) if journal.account.kind is CreditType.MONEY]


def _numbered(journals: Sequence[DailyJournal]) -> Iterator[tuple[int, DailyJournal]]:
    """Journals with their number within the day, from 1."""
    day: date | None = None
    number = 0
    for journal in journals:
        number = number + 1 if journal.day == day else 1
        day = journal.day
        yield number, journal


def _hledger_lines(account: LiabilityAccount, lines: Mapping[str, Decimal]) -> list[str]:
    unit = _commodity(account.unit)
    return [*(f"    {_plain(name)}  {amount:f} {unit}" for name, amount in lines.items()), ""]


def _commodity(unit: str) -> str:
    """The unit as a commodity: quoted if it has other characters than letters."""
    if _LETTERS.fullmatch(unit):
        return unit
    return '"' + (_NOT_IN_COMMODITY.sub("", unit) or "MONEY") + '"'


def _plain(text: str) -> str:
    """The text without characters that hledger reads as a comment or as the end of an account's name."""
    return " ".join(_NOT_IN_NAME.sub(" ", text).split()) or "unnamed"


def _last_day(view: LedgerView, journals: Sequence[DailyJournal]) -> date | None:
    """The last local date of the period; no journal is later."""
    ends = [
        from_epoch_microseconds(view.ends(h.credit, view.request.ends).expired_by - 1)
        .astimezone(view.locations[h.credit.business_id].zone)
        .date()
        for h in view.histories
    ]
    return max([*ends, *(journal.day for journal in journals)], default=None)


def _csv(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(header)
    writer.writerows([_cell(name, text) for name, text in zip(header, row, strict=True)] for row in rows)
    return out.getvalue()


def _cell(name: str, text: str) -> str:
    """The cell of a column: amounts unchanged, other text inert for spreadsheets."""
    return text if name in ("*Amount", "Debits", "Credits") else inert_text(text)
