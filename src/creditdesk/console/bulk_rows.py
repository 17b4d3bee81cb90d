"""The rows of a bulk change: read from text with a heading, completed, and shown before and after."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from io import StringIO
from typing import Any, Final

from creditdesk.console.api_client import ApiError, InProcessClient
from creditdesk.console.command_effects import entered_number
from creditdesk.console.translations import mark

MAX_TYPED_ROWS: Final = 1000
_REQUEST_ROWS: Final = 200
_SEPARATORS: Final = ",;\t"
_BYTE_ORDER_MARK: Final = "\ufeff"
TOO_MANY: Final = mark("A list has at most 1,000 rows.")
NO_ROWS: Final = mark("The list has no rows.")


@dataclass(frozen=True, slots=True)
class BulkAct:
    """One kind of bulk change: its path below `/api/ledger/bulk`, its columns, and the act that undoes it.

    The first column names the credit or the customer; the form has a default for the second.
    """

    name: str
    path: str
    title: str
    hint: str
    columns: tuple[str, ...]
    undo: str


ACTS: Final = {
    act.name: act
    for act in (
        BulkAct(
            "grant", "grants", mark("Grant credit"), mark("New credit for many customers."),
            ("CoworkerId", "Amount", "ExpireDate", "Description"), "void",
        ),
        BulkAct(
            "adjust", "adjustments", mark("Adjust credit"), mark("Adds to what is left; a negative amount subtracts."),
            ("Id", "Amount"), "adjust",
        ),
        BulkAct(
            "extend", "extensions", mark("Extend credit"), mark("A new expiry for many credits."),
            ("Id", "ExpireDate"), "extend",
        ),
        BulkAct(
            "void", "voids", mark("Void credit"), mark("Removes what is unused; what was used stays."),
            ("Id",), "adjust",
        ),
    )
}  # fmt: skip
"""By name, in the order in which they are offered."""


@dataclass(slots=True)
class BulkRow:
    """One row: the body to send, or its errors; then the result of the API."""

    number: int
    body: dict[str, Any]
    errors: list[str] = field(default_factory=list)
    before: Mapping[str, Any] | None = None
    after: Mapping[str, Any] | None = None
    credit_id: int | None = None
    name: str = ""
    note: str = ""
    path: str = ""
    currency: str = ""

    @property
    def moved(self) -> Decimal:
        """By how much what remains changes."""
        after = entered_number(self.after["Remaining"]) if self.after else None
        before = entered_number(self.before["Remaining"]) if self.before else None
        return (after or Decimal(0)) - (before or Decimal(0))


@dataclass(frozen=True, slots=True)
class ListedRow:
    """A row as entered, by column name in lower case; `is_too_long`: it has more cells than the first line names."""

    values: dict[str, str]
    is_too_long: bool


def parse_rows(text: str) -> list[ListedRow]:
    """The rows of a text with a heading; separated by comma, semicolon or tab.

    Raises ValueError with what is wrong.
    """
    lines = text.removeprefix(_BYTE_ORDER_MARK).strip("\r\n")
    heading = lines.partition("\n")[0]
    separator = max(_SEPARATORS, key=heading.count)
    try:
        listed = [
            row for row in csv.reader(StringIO(lines, newline=""), delimiter=separator) if any(map(str.strip, row))
        ]
    except csv.Error as error:
        raise ValueError(str(error)) from None
    if not listed[1:]:
        raise ValueError(NO_ROWS)
    if len(listed) > MAX_TYPED_ROWS + 1:
        raise ValueError(TOO_MANY)
    names = [name.strip() for name in listed[0]]
    return [
        ListedRow(
            {name.lower(): value.strip() for name, value in zip(names, row, strict=False) if name},
            any(map(str.strip, row[len(names) :])),
        )
        for row in listed[1:]
    ]


def rows_text(columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> str:
    """Rows as the text that `parse_rows` reads."""
    written = StringIO()
    writer = csv.writer(written, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([["" if row.get(name) is None else row[name] for name in columns] for row in rows])
    return written.getvalue()


async def send_rows(
    client: InProcessClient, act: BulkAct, rows: Sequence[BulkRow], shared: Mapping[str, Any], key: str | None = None
) -> None:
    """Sends the rows without errors in groups; each row gets its result. Raises ApiError.

    Each group is one transaction, and with a key is written once.
    """
    sent = [row for row in rows if not row.errors]
    for start in range(0, len(sent), _REQUEST_ROWS):
        group = sent[start : start + _REQUEST_ROWS]
        body = {**shared, "Rows": [row.body for row in group]}
        answer = await client.post(f"/api/ledger/bulk/{act.path}", body, f"{key}-{start}" if key else None)
        for row, result in zip(group, answer["Value"]["Rows"], strict=True):
            row.before, row.after, row.credit_id = result["Before"], result["After"], result["Id"]
            row.errors = [f"{error['PropertyName']} {error['Message']}".strip() for error in result["Errors"]]


def undo_rows(act: BulkAct, rows: Sequence[BulkRow]) -> str:
    """The rows that undo a bulk change, as text for the act that undoes it."""
    done = [row for row in rows if row.after is not None]
    undo = ACTS[act.undo]
    values = [
        {
            "Id": row.credit_id,
            "Amount": -row.moved,
            "ExpireDate": row.before["ExpireDate"] if row.before else None,
        }
        for row in done
    ]
    return rows_text(undo.columns, values) if done else ""


async def find_by_email(client: InProcessClient, emails: Sequence[str]) -> dict[str, int]:
    """The customers with one of these e-mails, by the e-mail in lower case; leaves out e-mails of several customers."""
    found: dict[str, int] = {}
    for email in dict.fromkeys(each.lower() for each in emails):
        try:
            listed = await client.find("/api/spaces/coworkers", {"Coworker_Email": email, "size": 50})
        except ApiError:
            continue
        ids = [each["Id"] for each in listed.records if (each["Email"] or "").lower() == email]
        if len(ids) == 1:
            found[email] = ids[0]
    return found
