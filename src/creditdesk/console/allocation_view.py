"""Shows an allocation document as tables: for each item the credits in the order of payment, before → after."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from creditdesk.console.journal_table import CREDIT_ENTITIES, credit_name, credits_of
from creditdesk.console.links import record_path
from creditdesk.console.page import ConsolePage
from creditdesk.console.reasons import reason_text
from creditdesk.console.sources import SourceLink, source_links


@dataclass(frozen=True, slots=True)
class ConsideredRow:
    """One credit of one item. `before` and `after` are the available amounts, empty for a credit of another's.

    `taken` is empty if the credit does not pay.
    """

    rank: int
    name: str
    path: str
    number: int
    before: str
    after: str
    taken: str
    covered: str
    reason: str
    pays: bool


@dataclass(frozen=True, slots=True)
class ItemView:
    """How one item is paid for: the credits that pay and the others, both in the order of payment."""

    source: SourceLink
    currency: str
    price: str
    uncovered: str
    is_covered: bool
    paying: list[ConsideredRow]
    others: list[ConsideredRow]


async def allocation_items(page: ConsolePage, document: Mapping[str, Any]) -> list[ItemView]:
    """The items of a document, in its order; a stored one is of a single item."""
    sources = document.get("sources") or [document]
    names = await source_links(page, [_key(each["source"]) for each in sources])
    keys = {_credit_key(seen["credit"]) for each in sources for seen in each["considered"]}
    records = await credits_of(page, keys)
    return [_item(page, each, names[_key(each["source"])], records) for each in sources]


def _item(
    page: ConsolePage,
    source: Mapping[str, Any],
    name: SourceLink,
    records: Mapping[tuple[str, int], Mapping[str, Any]],
) -> ItemView:
    parts = {part["credit"]: part for part in source["parts"]}
    rows = [_row(page, seen, parts.get(seen["credit"]), records, source["currency"]) for seen in source["considered"]]
    uncovered = Decimal(source["uncovered"])
    return ItemView(
        name,
        source["currency"],
        page.format.money(source["price"], source["currency"]),
        page.format.money(uncovered, source["currency"]),
        not uncovered,
        [row for row in rows if row.pays],
        [row for row in rows if not row.pays],
    )


def _row(
    page: ConsolePage,
    seen: Mapping[str, Any],
    part: Mapping[str, Any] | None,
    records: Mapping[tuple[str, int], Mapping[str, Any]],
    currency: str,
) -> ConsideredRow:
    kind, number = _credit_key(seen["credit"])
    before = None if seen["available"] is None else Decimal(str(seen["available"]))
    taken = Decimal(str(part["taken"])) if part else Decimal(0)
    formatter = page.format
    return ConsideredRow(
        seen["rank"],
        credit_name(number, records.get((kind, number))),
        record_path(CREDIT_ENTITIES[kind], number),
        number,
        "" if before is None else formatter.amount(before, kind, currency),
        "" if before is None else formatter.amount(before - taken, kind, currency),
        formatter.amount(-taken, kind, currency) if part else "",
        formatter.money(part["covered"], currency) if part else "",
        page.translate(reason_text(seen["reason"])),
        part is not None,
    )


def _key(text: str) -> tuple[str, int]:
    kind, _, number = text.partition("/")
    return kind, int(number)


def _credit_key(text: str) -> tuple[str, int]:
    """Printing credit is kept among time credit."""
    kind, number = _key(text)
    return ("money" if kind == "money" else "time"), number
