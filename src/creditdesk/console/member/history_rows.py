"""The lines of a member's history as rows: time, purpose, amount and description."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from markupsafe import Markup

from creditdesk.api.members import MEMBER_HISTORY_PATH
from creditdesk.console.api_client import RecordPage
from creditdesk.console.journal_table import LINE_TITLES, credit_name, credits_of, signed_amount
from creditdesk.console.line_facts import CAUSE_TEXTS
from creditdesk.console.member.page import MemberPage
from creditdesk.console.member.words import BY_TEAM_MEMBER, OF_TEAM
from creditdesk.console.sources import SOURCE_TITLES

HISTORY_PAGE_SIZE: Final = 20
_WRITTEN_BY_JOBS: Final = frozenset({"renewed", "purchased", "reissued", "rolled_over", "expiry_run", "imported"})
"""Causes whose entries have a reason with record names, which are meaningless to a member."""
_WITH_DECISION: Final = frozenset({"use", "hold"})


@dataclass(frozen=True, slots=True)
class HistoryLine:
    """One line. `title` is what it was for, else what happened; `note` has the details in words.

    `why` is the page that explains it, empty without a decision.
    """

    id: int
    kind: str
    title: str
    at: Markup | str
    when: Markup | str
    note: str
    reason: str
    amount: str
    unit: str
    moves_balance: bool
    balance: str
    why: str
    is_own: bool


async def find_history(page: MemberPage, number: int, size: int) -> RecordPage:
    """A page of the customer's history, latest line first. Raises ApiError."""
    query = {"CoworkerId": page.customer["Id"], "page": number, "size": size}
    body = await page.client.get(MEMBER_HISTORY_PATH, query)
    records, total = body["Records"], body["TotalItems"]
    first = (number - 1) * size + 1 if records else 0
    last = first + len(records) - 1 if records else 0
    return RecordPage(records, total, number, size, "", first, last, max(1, -(-total // size)))


async def find_line(page: MemberPage, entry_id: int) -> dict[str, Any] | None:
    """One line of the member's history; None if it is not hers."""
    body = await page.client.get(MEMBER_HISTORY_PATH, {"Id": entry_id})
    return body["Records"][0] if body["Records"] else None


async def history_lines(page: MemberPage, records: Sequence[Mapping[str, Any]]) -> list[HistoryLine]:
    """The rows of lines, each in the time zone of its location."""
    own = {(each["CreditKind"], each["CreditId"]) for each in records if not each["OfTeam"]}
    credits_ = await credits_of(page, own)
    return [_line(page, each, credits_.get((each["CreditKind"], each["CreditId"]))) for each in records]


def _line(page: MemberPage, line: Mapping[str, Any], credit: Mapping[str, Any] | None) -> HistoryLine:
    formatter = page.format_at(line["BusinessId"])
    location = page.locations.get(line["BusinessId"])
    kind = line["CreditKind"]
    currency = location.currency if location and kind == "money" else None
    moves, amount = signed_amount(line), Decimal(str(line["Amount"]))
    happened = page.translate(LINE_TITLES.get(line["Kind"], line["Kind"]))
    title = line["SourceName"] or _source_title(page, line) or happened
    return HistoryLine(
        line["Id"],
        line["Kind"],
        title,
        formatter.instant(line["SourceTime"]) if line["SourceTime"] else "",
        formatter.day(line["RecordedOn"]),
        _note(page, line, "" if title == happened else happened, credit),
        _reason(page, line, credit),
        formatter.amount(moves or amount, kind, currency, signed=bool(moves)),
        currency or "",
        bool(moves),
        formatter.amount(line["BalanceAfter"], kind, currency) if line["BalanceAfter"] is not None else "",
        page.link(f"/me/why/{line['Id']}") if line["Kind"] in _WITH_DECISION and not line["ByTeamMember"] else "",
        not line["OfTeam"],
    )


def _reason(page: MemberPage, line: Mapping[str, Any], credit: Mapping[str, Any] | None) -> str:
    """What a person wrote, unless it repeats what the line says anyway."""
    repeated = {"granted", "confirmed", credit_name(line["CreditId"], credit)}
    return "" if line["Cause"] in _WRITTEN_BY_JOBS or line["Reason"] in repeated else page.recorded(line["Reason"])


def _source_title(page: MemberPage, line: Mapping[str, Any]) -> str:
    title = SOURCE_TITLES.get(line["SourceKind"] or "")
    return page.translate(title) if title and not line["ByTeamMember"] else ""


def _note(page: MemberPage, line: Mapping[str, Any], happened: str, credit: Mapping[str, Any] | None) -> str:
    """Such as `used · Rooms`, `bought · Rooms`, or `used · paid with credit of your team`."""
    cause = "" if line["SourceKind"] else CAUSE_TEXTS.get(line["Cause"], "")
    if line["OfTeam"]:
        credit_text = page.translate(OF_TEAM)
    elif line["ByTeamMember"]:
        credit_text = page.translate(BY_TEAM_MEMBER)
    else:
        credit_text = credit_name(line["CreditId"], credit)
    parts = (happened, page.translate(cause) if cause else "", credit_text)
    return " · ".join(part for part in parts if part)
