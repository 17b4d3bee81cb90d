"""Previews what charging or cancelling a booking does to credit."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

from creditdesk.console.allocation_view import ItemView, allocation_items
from creditdesk.console.api_client import MAX_PAGE_RECORDS, ApiError, RecordPage
from creditdesk.console.command_effects import ValueChange
from creditdesk.console.journal_table import credit_name, credits_of
from creditdesk.console.page import ConsolePage
from creditdesk.console.screens.customers import allowed
from creditdesk.entities.ledger.journal_line import JournalLine

CHARGE: Final = "CHARGE_BOOKING"
CANCEL: Final = "CANCEL_BOOKING"
_SIGNS: Final = {"use": 1, "reversal": -1}


async def charge_preview(page: ConsolePage, booking: Mapping[str, Any]) -> list[ItemView]:
    """The credits that a charge would take now; none if it would be refused."""
    basket = {"CoworkerId": booking["CoworkerId"], "Sources": [{"Kind": "booking", "Id": booking["Id"]}]}
    try:
        answer = await page.client.post("/api/ledger/previews", basket)
    except ApiError:
        # The charge itself reports the error; the preview only shows effects.
        return []
    return await allocation_items(page, answer["Value"]["Allocation"])


async def cancellation_effects(page: ConsolePage, booking: Mapping[str, Any]) -> list[ValueChange]:
    """What each credit gets back: what the booking used of it, less what was given back already (rule 30)."""
    query = {"JournalLine_SourceKind": "booking", "JournalLine_SourceId": booking["Id"], "size": MAX_PAGE_RECORDS}
    listed = await allowed(page.client.find(JournalLine.path(), query), RecordPage([], 0))
    used: dict[tuple[str, int], Decimal] = defaultdict(Decimal)
    for line in listed.records:
        used[line["CreditKind"], line["CreditId"]] += _SIGNS.get(line["Kind"], 0) * Decimal(str(line["Amount"]))
    records = await credits_of(page, set(used))
    return [_change(key, amount, records[key]) for key, amount in sorted(used.items()) if amount > 0 and key in records]


def _change(key: tuple[str, int], amount: Decimal, credit: Mapping[str, Any]) -> ValueChange:
    kind, credit_id = key
    field = "RemainingCredit" if kind == "money" else "RemainingUses"
    before = Decimal(str(credit[field]))
    return ValueChange(f"{credit_name(credit_id, credit)} #{credit_id}", before, before + amount, kind=kind)
