"""Why a line was written: the decision behind it, every credit with its rank and reason."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, Final

from starlette.responses import Response

from creditdesk.console.allocation_view import allocation_items
from creditdesk.console.api_client import ApiError
from creditdesk.console.journal_table import CREDIT_ENTITIES, credit_name, credits_of, journal_rows
from creditdesk.console.links import record_path
from creditdesk.console.page import ConsolePage, Screen
from creditdesk.entities.ledger.allocation_document import AllocationDocument
from creditdesk.entities.ledger.journal_line import JournalLine


async def _why(page: ConsolePage) -> Response:
    line: dict[str, Any] = await page.client.get(f"{JournalLine.path()}/{page.request.path_params['line']}")
    key = (line["CreditKind"], line["CreditId"])
    names = await credits_of(page, {key})
    items, decided = [], None
    document = await _decision(page, line["AllocationId"])
    if document is not None:
        items, decided = await allocation_items(page, document), document["decided"]
    return page.render(
        "why.html",
        line=(await journal_rows(page, [line], names))[0],
        items=items,
        error=None,
        decided=decided,
        is_elsewhere=line["AllocationId"] is not None and document is None,
        credit=credit_name(line["CreditId"], names.get(key)),
        credit_path=record_path(CREDIT_ENTITIES[line["CreditKind"]], line["CreditId"]),
    )


async def _decision(page: ConsolePage, allocation_id: int | None) -> dict[str, Any] | None:
    """The decision behind a line; None if there is none, or if it is of a location that the user does not see."""
    if allocation_id is None:
        return None
    try:
        found: dict[str, Any] = await page.client.get(f"{AllocationDocument.path()}/{allocation_id}")
    except ApiError as error:
        if error.status != HTTPStatus.NOT_FOUND:
            raise
        return None
    document: dict[str, Any] = found["Document"]
    return document


WHY_SCREENS: Final = (Screen("/console/why/{line:int}", _why),)
