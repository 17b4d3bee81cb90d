"""The member's history, and for each line why a credit did or did not pay, and its proof as a file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any, Final

from starlette.responses import Response

from creditdesk.console.api_client import ApiError
from creditdesk.console.journal_table import credit_name, credits_of
from creditdesk.console.member.history_rows import HISTORY_PAGE_SIZE, find_history, find_line, history_lines
from creditdesk.console.member.page import MemberPage, MemberScreen
from creditdesk.console.member.words import plain_reason
from creditdesk.console.security import PAGE_HEADERS
from creditdesk.console.translations import mark
from creditdesk.entities.ledger.allocation_document import AllocationDocument
from creditdesk.schema.errors import NotFound

_TEAM_CREDIT: Final = mark("Credit of your team")
_MAX_PAGE_DIGITS: Final = 4


async def _show(page: MemberPage) -> Response:
    number = page.request.query_params.get("page", "1")
    is_number = number.isascii() and number.isdecimal() and len(number) <= _MAX_PAGE_DIGITS
    found = await find_history(page, int(number) if is_number and int(number) else 1, HISTORY_PAGE_SIZE)
    return page.render("member_history.html", lines=await history_lines(page, found.records), listed=found)


async def _why(page: MemberPage) -> Response:
    line = await find_line(page, page.request.path_params["line"])
    if line is None:
        raise NotFound
    [shown] = [replace(each, why="") for each in await history_lines(page, [line])]
    document = await _decision(page, line["AllocationId"])
    paying, others, uncovered = await _explain(page, document) if document else ([], [], "")
    return page.render(
        "member_why.html", line=shown, document=document, paying=paying, others=others, uncovered=uncovered,
        currency=document["currency"] if document else "",
        proof=page.link(f"/me/proof/{line['Id']}") if shown.is_own else "",
    )  # fmt: skip


async def _decision(page: MemberPage, allocation_id: int | None) -> dict[str, Any] | None:
    """The decision behind a line; None if there is none, or if it is another customer's."""
    if allocation_id is None:
        return None
    try:
        found: dict[str, Any] = await page.client.get(f"{AllocationDocument.path()}/{allocation_id}")
    except ApiError as error:
        if error.status != 404:
            raise
        return None
    document: dict[str, Any] = found["Document"]
    return next(iter(document.get("sources") or ()), document)


async def _explain(
    page: MemberPage, document: Mapping[str, Any]
) -> tuple[list[dict[str, str]], list[dict[str, str]], str]:
    """The credits that paid, each with its part of the price; the others with the reason; and the unpaid rest."""
    currency = document["currency"]
    keys = {_credit_key(seen["credit"]) for seen in document["considered"]}
    names = await credits_of(page, keys)
    parts = {part["credit"]: part for part in document["parts"]}
    paying, others = [], []
    for seen in document["considered"]:
        kind, number = _credit_key(seen["credit"])
        record, part = names.get((kind, number)), parts.get(seen["credit"])
        name = credit_name(number, record) if record else page.translate(_TEAM_CREDIT)
        if part is None:
            others.append({"name": name, "reason": page.translate(plain_reason(seen["reason"]))})
            continue
        paying.append(
            {
                "name": name,
                "taken": page.format.amount(part["taken"], kind, currency),
                "unit": "" if kind == "money" else (record or {}).get("ExtraServiceName") or "",
                "covered": page.format.money(part["covered"], currency),
                "kind": kind,
            }
        )
    uncovered = Decimal(document["uncovered"])
    return paying, others, page.format.money(uncovered, currency) if uncovered else ""


def _credit_key(text: str) -> tuple[str, int]:
    """Printing credit is kept among time credit."""
    kind, _, number = text.partition("/")
    return ("money" if kind == "money" else "time"), int(number)


async def _proof(page: MemberPage) -> Response:
    """The proof of a line, which anyone can check with the published key of the ledger."""
    entry_id = page.request.path_params["line"]
    content = await page.client.get_file(f"/api/ledger/proofs/{entry_id}")
    headers = {**PAGE_HEADERS, "Content-Disposition": f'attachment; filename="proof-{entry_id}.json"'}
    return Response(content, media_type="application/json", headers=headers)


HISTORY_SCREENS: Final = (
    MemberScreen("/me/history", _show),
    MemberScreen("/me/why/{line:int}", _why),
    MemberScreen("/me/proof/{line:int}", _proof),
)
