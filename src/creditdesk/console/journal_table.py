"""Journal lines as rows of a table: when, what, for, by, amount and balance."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from types import MappingProxyType
from typing import Any, Final

from markupsafe import Markup

from creditdesk.console.api_client import ApiError
from creditdesk.console.line_facts import CAUSE_TEXTS, term_changes_text
from creditdesk.console.links import fields_path, record_path
from creditdesk.console.page import ConsolePage
from creditdesk.console.sources import SourceLink, source_links
from creditdesk.console.translations import mark
from creditdesk.entities.billing.coworker_booking_credit import CoworkerBookingCredit
from creditdesk.entities.billing.coworker_booking_credit_use_history import CoworkerBookingCreditUseHistory
from creditdesk.entities.billing.coworker_extra_service import CoworkerExtraService
from creditdesk.entities.billing.coworker_extra_service_use_history import CoworkerExtraServiceUseHistory
from creditdesk.entities.ledger.journal_line import JournalLine
from creditdesk.entities.roles import CORRECT_ROLE, READ_ROLE
from creditdesk.schema.entity import Entity

CREDIT_ENTITIES: Final[dict[str, type[Entity]]] = {"money": CoworkerBookingCredit, "time": CoworkerExtraService}
USE_ENTITIES: Final[dict[str, type[Entity]]] = {
    "money": CoworkerBookingCreditUseHistory,
    "time": CoworkerExtraServiceUseHistory,
}
_MAX_SOURCE_LINES: Final = 50
LINE_TITLES: Final = {
    "grant": mark("Granted"),
    "use": mark("Used"),
    "reversal": mark("Given back"),
    "adjustment": mark("Adjusted"),
    "expiry": mark("Expired"),
    "reopening": mark("Reopened"),
    "void": mark("Voided"),
    "hold": mark("Held"),
    "release": mark("Released"),
    "change": mark("Changed"),
}
_CAUSES_WITH_KEYS: Final = frozenset({"renewed", "purchased"})
"""Causes whose entries have a benefit's key as their reason."""
_SIGNS: Final = {"grant": 1, "use": -1, "reversal": 1, "adjustment": 1, "void": -1}
"""How a line moves the balance; other kinds do not move it."""


_DECIDED: Final = frozenset({"use", "hold"})
"""Lines with a decision behind them, unless they were posted directly."""


@dataclass(frozen=True, slots=True)
class JournalRow:
    """One line as it is shown.

    `cause` is the cause of a line without a source, or a changed term before → after. `why` is the page with the
    decision, `undo` the form that reverses it; empty if there is none.
    """

    id: int
    kind: str
    title: str
    when: Markup | str
    source: SourceLink | None
    cause: str
    credit_text: str
    credit_path: str
    actor: str
    amount: str
    moves_balance: bool
    balance: str
    reason: str
    is_override: bool
    why: str
    undo: str


def signed_amount(line: Mapping[str, Any]) -> Decimal:
    """How much the line moved the balance."""
    return Decimal(str(line["Amount"])) * _SIGNS.get(line["Kind"], 0)


async def journal_rows(
    page: ConsolePage,
    lines: Sequence[Mapping[str, Any]],
    known: Mapping[tuple[str, int], Mapping[str, Any]] = MappingProxyType({}),
) -> list[JournalRow]:
    """The rows of lines; `known` are records of credits by kind and id, and the others are read."""
    wanted = [(line["SourceKind"], line["SourceId"]) for line in lines if line["SourceKind"] and line["SourceId"]]
    keys = {(line["CreditKind"], line["CreditId"]) for line in lines} - known.keys()
    sources, others = await asyncio.gather(source_links(page, wanted), credits_of(page, keys))
    credits_ = {**known, **others}
    return [_row(page, line, sources, credits_) for line in lines]


async def lines_of_source(page: ConsolePage, kind: str, source_id: int) -> list[JournalRow]:
    """The lines of a source, latest first; none for a user who may not read the journal."""
    if not kind or not page.has_role(READ_ROLE):
        return []
    query = {"JournalLine_SourceKind": kind, "JournalLine_SourceId": source_id, "orderby": "RecordedOn",
             "dir": "descending", "size": _MAX_SOURCE_LINES}  # fmt: skip
    lines = (await page.client.find(JournalLine.path(), query)).records
    return await journal_rows(page, lines)


async def credits_of(page: ConsolePage, keys: set[tuple[str, int]]) -> dict[tuple[str, int], dict[str, Any]]:
    """The records of credits by kind and id; leaves out deleted and hidden ones."""

    async def read(kind: str) -> list[dict[str, Any]]:
        ids = sorted(credit_id for each, credit_id in keys if each == kind)
        if not ids:
            return []
        try:
            listed: list[dict[str, Any]] = await page.client.get(
                CREDIT_ENTITIES[kind].path(), {"id": f"[{','.join(map(str, ids))}]"}
            )
        except ApiError:
            return []
        return listed

    found = await asyncio.gather(*map(read, CREDIT_ENTITIES))
    return {
        (kind, record["Id"]): record for kind, records in zip(CREDIT_ENTITIES, found, strict=True) for record in records
    }


def credit_name(credit_id: int, record: Mapping[str, Any] | None) -> str:
    """The name of a credit: its description, its plan or its rate; else its number."""
    names = ("Description", "TariffBookingCreditName", "ExtraServiceName")
    known = next((str(record[name]) for name in names if record.get(name)), "") if record else ""
    return known or f"#{credit_id}"


def _row(
    page: ConsolePage,
    line: Mapping[str, Any],
    sources: Mapping[tuple[str, int], SourceLink],
    credits_: Mapping[tuple[str, int], Mapping[str, Any]],
) -> JournalRow:
    formatter = page.format_at(line["BusinessId"])
    kind, credit_id = line["CreditKind"], line["CreditId"]
    record = credits_.get((kind, credit_id))
    currency = record.get("BusinessCurrencyCode") if record else None
    sign = _SIGNS.get(line["Kind"], 0)
    amount = formatter.amount(signed_amount(line) if sign else line["Amount"], kind, currency, signed=bool(sign))
    return JournalRow(
        line["Id"],
        line["Kind"],
        page.translate(LINE_TITLES.get(line["Kind"], line["Kind"])),
        formatter.instant(line["RecordedOn"]),
        sources.get((line["SourceKind"], line["SourceId"])) if line["SourceKind"] else None,
        term_changes_text(line, formatter) or _cause(page, line),
        credit_name(credit_id, record),
        record_path(CREDIT_ENTITIES[kind], credit_id),
        person(line["Actor"]),
        amount,
        bool(sign),
        formatter.amount(line["BalanceAfter"], kind, currency),
        _reason(page, line, credit_name(credit_id, record)),
        bool(line["Override"]),
        f"/console/why/{line['Id']}" if line["Kind"] in _DECIDED else "",
        _undo_path(page, line),
    )


def _cause(page: ConsolePage, line: Mapping[str, Any]) -> str:
    text = CAUSE_TEXTS.get(line["Cause"], line["Cause"])
    return page.translate(text) if text else ""


def _reason(page: ConsolePage, line: Mapping[str, Any], credit: str) -> str:
    """The reason that a person wrote, or that of the ledger if it adds to the title and the cause of the line."""
    reason = line["Reason"] or ""
    repeated = {"granted", "confirmed", credit, CAUSE_TEXTS.get(line["Cause"])}
    return "" if reason in repeated or line["Cause"] in _CAUSES_WITH_KEYS else page.recorded(reason)


def person(email: str) -> str:
    """The short name of an actor; the whole address is in its title."""
    return email.partition("@")[0]


def _undo_path(page: ConsolePage, line: Mapping[str, Any]) -> str:
    """The form that undoes a line: a reversal of a use, or an adjustment of an adjustment or void."""
    if not page.has_role(CORRECT_ROLE):
        return ""
    kind, amount = line["CreditKind"], Decimal(str(line["Amount"]))
    credit_path = fields_path(CREDIT_ENTITIES[kind], line["CreditId"])
    match line["Kind"]:
        case "use" if line["HistoryId"]:
            return f"{fields_path(USE_ENTITIES[kind], line['HistoryId'])}/commands/REVERSE_USE?next=/console/credits/{kind}/{line['CreditId']}"
        case "adjustment" if amount:
            return f"{credit_path}/commands/ADJUST_CREDIT?Amount={-amount}"
        case "void" if amount:
            return f"{credit_path}/commands/ADJUST_CREDIT?Amount={amount}"
        case _:
            return ""
