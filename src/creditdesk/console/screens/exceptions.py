"""Exceptions by kind, with what to do about them and who accepted which."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

from markupsafe import Markup
from starlette.responses import Response

from creditdesk.console.api_client import RecordPage
from creditdesk.console.journal_table import CREDIT_ENTITIES
from creditdesk.console.links import record_path
from creditdesk.console.list_query import ListAddress
from creditdesk.console.page import ConsolePage, Screen
from creditdesk.console.screens.customers import allowed
from creditdesk.console.screens.record_lists import with_location
from creditdesk.console.translations import mark
from creditdesk.entities.ledger.journal_line import JournalLine
from creditdesk.entities.roles import CORRECT_ROLE
from creditdesk.entities.spaces.coworker import Coworker
from creditdesk.schema.errors import NotFound

EXCEPTIONS_PATH: Final = "/console/exceptions"
SEVERITIES: Final = {"high": mark("High"), "medium": mark("Medium"), "low": mark("Low")}
NOTE_NEEDED: Final = mark("Say why it is accepted: others read the note.")
MAX_ENTRIES_COUNTED_UNASKED: Final = 200_000
"""The number of journal entries up to which exceptions are found within some seconds."""

_SHOWN_OF_A_GROUP: Final = 5
_SHOWN_OF_ONE: Final = 200
_MOST_NAMES: Final = 1000


@dataclass(frozen=True, slots=True)
class ShownException:
    """One exception, with the pages of what it concerns."""

    key: str
    explanation: str
    customer: str
    customer_path: str
    credit: str
    credit_path: str
    location: str
    amount: str
    since: Markup | str
    accepted: str


@dataclass(frozen=True, slots=True)
class ExceptionsOfKind:
    """The exceptions of one kind; `rows` are the first of them."""

    code: str
    severity: str
    title: str
    action: str
    total: int
    rows: list[ShownException]


async def reported_exceptions(page: ConsolePage) -> list[dict[str, Any]]:
    """The rows of the exceptions report at the chosen location. Raises ApiError."""
    query = {"LocationIds": page.location.id} if page.location else {}
    report = await page.client.get("/api/reports/exceptions", query)
    rows: list[dict[str, Any]] = report["Rows"]
    return rows


async def _show(page: ConsolePage) -> Response:
    """Open ones by kind, the most severe first; accepted ones on demand."""
    rows = await reported_exceptions(page)
    still_open = [row for row in rows if not row["AcknowledgedBy"]]
    with_accepted = "all" in page.request.query_params
    code = page.request.query_params.get("code", "")
    shown = [row for row in (rows if with_accepted else still_open) if code in ("", row["Code"])]
    return page.render(
        "exceptions.html",
        groups=await _groups(page, shown, _SHOWN_OF_ONE if code else _SHOWN_OF_A_GROUP),
        severities=SEVERITIES, code=code, total=len(still_open), accepted=len(rows) - len(still_open),
        with_accepted=with_accepted, may_accept=page.has_role(CORRECT_ROLE),
    )  # fmt: skip


async def _count(page: ConsolePage) -> Response:
    """The number of open exceptions; loaded after the page, because it reads the whole journal.

    Over a large journal it is not counted each time that somebody opens the first page.
    """
    address = ListAddress(JournalLine, (("size", "1"),))
    entries = await allowed(page.client.find(JournalLine.path(), with_location(page, address)), RecordPage([], 0))
    if entries.total > MAX_ENTRIES_COUNTED_UNASKED:
        return page.render("task_count.html", total=None)
    rows = await reported_exceptions(page)
    return page.render("task_count.html", total=sum(not row["AcknowledgedBy"] for row in rows))


async def _groups(page: ConsolePage, rows: list[dict[str, Any]], most: int) -> list[ExceptionsOfKind]:
    by_code: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        by_code.setdefault(row["Code"], []).append(row)
    first = {code: found[:most] for code, found in by_code.items()}
    names = await _customer_names(page, [row for found in first.values() for row in found])
    return [
        ExceptionsOfKind(
            code, found[0]["Severity"], page.wording(found[0]["What"]), page.wording(found[0]["Action"]), len(found),
            [_row(page, row, names) for row in first[code]],
        )
        for code, found in by_code.items()
    ]  # fmt: skip


async def _customer_names(page: ConsolePage, rows: list[dict[str, Any]]) -> Mapping[int, str]:
    """The names of the customers that the user may read; the report has only the names of credits' owners."""
    ids = sorted({row["CustomerId"] for row in rows if row["CustomerId"] and not row["Customer"]})
    if not ids or not page.may(Coworker, "get"):
        return {}
    listed = await page.client.get(Coworker.path(), {"id": str(ids[:_MOST_NAMES])})
    return {record["Id"]: record["FullName"] for record in listed}


def _row(page: ConsolePage, row: Mapping[str, Any], names: Mapping[int, str]) -> ShownException:
    kind = "money" if row["Kind"] == "money" else "time"
    amount = page.format.amount(row["Amount"], kind, row["Unit"]) if row["Amount"] is not None else ""
    accepted = f"{row['AcknowledgedBy']}: {row['Note']}" if row["AcknowledgedBy"] else ""
    return ShownException(
        row["Key"],
        page.wording(row["Explanation"]),
        row["Customer"] or names.get(row["CustomerId"]) or (f"#{row['CustomerId']}" if row["CustomerId"] else ""),
        record_path(Coworker, row["CustomerId"]) if row["CustomerId"] else "",
        f"#{row['CreditId']}" if row["CreditId"] else "",
        record_path(CREDIT_ENTITIES[kind], row["CreditId"]) if row["CreditId"] else "",
        row["Location"],
        f"{row['Unit']} {amount}".strip(),
        page.format.instant(row["Since"]),
        accepted,
    )


async def _show_accept(page: ConsolePage) -> Response:
    return await _accept_form(page, page.request.query_params.get("key", ""))


async def _accept_form(page: ConsolePage, key: str, error: str = "") -> Response:
    row = next((each for each in await reported_exceptions(page) if each["Key"] == key), None)
    if row is None:
        raise NotFound
    status = HTTPStatus.UNPROCESSABLE_ENTITY if error else HTTPStatus.OK
    return page.render(
        "exception_accept.html",
        status,
        row=_row(page, row, await _customer_names(page, [row])),
        what=page.wording(row["What"]),
        error=error,
    )


async def _accept(page: ConsolePage) -> Response:
    """Accepts one exception, with a note."""
    form = await page.form()
    key, note = str(form.get("exception", "")), str(form.get("note", "")).strip()
    if not note:
        return await _accept_form(page, key, page.translate(NOTE_NEEDED))
    body = {"Key": key, "Note": note}
    await page.client.post("/api/reports/exceptions/acknowledgements", body, str(form.get("key", "")) or None)
    return page.redirect(EXCEPTIONS_PATH, notice=mark("The exception was accepted"))


EXCEPTION_SCREENS: Final = (
    Screen(EXCEPTIONS_PATH, _show),
    Screen(f"{EXCEPTIONS_PATH}/count", _count),
    Screen(f"{EXCEPTIONS_PATH}/accept", _show_accept),
    Screen(f"{EXCEPTIONS_PATH}/accept", _accept, ("POST",)),
)
