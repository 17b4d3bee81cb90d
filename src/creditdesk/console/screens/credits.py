"""A credit: its amounts, its journal with a check that it adds up, and its actions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from http import HTTPStatus
from types import MappingProxyType
from typing import Any, Final

import msgspec
from starlette.responses import Response

from creditdesk.console.api_client import MAX_PAGE_RECORDS, ApiError, RecordPage
from creditdesk.console.charts import BalancePoint, balance_chart
from creditdesk.console.formats import as_instant
from creditdesk.console.inputs import CONTROLS
from creditdesk.console.journal_table import CREDIT_ENTITIES, credit_name, journal_rows, signed_amount
from creditdesk.console.line_facts import FUNDING_TEXTS, funding_of
from creditdesk.console.links import fields_path, list_path, record_path
from creditdesk.console.page import ConsolePage, Screen
from creditdesk.console.screens.commands import REASON_NEEDED
from creditdesk.console.screens.customers import allowed
from creditdesk.console.security import PAGE_HEADERS
from creditdesk.console.translations import mark
from creditdesk.entities.ledger.journal_line import JournalLine
from creditdesk.entities.roles import CORRECT_ROLE, READ_ROLE, SPEND_ROLE
from creditdesk.entities.spaces.coworker import Coworker
from creditdesk.schema.errors import NotFound
from creditdesk.schema.fields import DateTime

_AMOUNT_FIELDS: Final = {"money": ("TotalCredit", "RemainingCredit"), "time": ("TotalUses", "RemainingUses")}
_MAX_SHOWN_LINES: Final = 200


async def _show(page: ConsolePage) -> Response:
    kind, record = await _read(page)
    entity, credit_id = CREDIT_ENTITIES[kind], record["Id"]
    total_field, remaining_field = _AMOUNT_FIELDS[kind]
    formatter = page.format_at(record["BusinessId"])
    lines = await _lines(page, kind, credit_id)
    held = Decimal(str(lines.records[0]["HeldAfter"])) if lines.records else Decimal(0)
    total, remaining = Decimal(str(record[total_field])), Decimal(str(record[remaining_field]))
    is_over = formatter.is_past(record["ExpireDate"])
    customer = await allowed(page.client.get(f"{Coworker.path()}/{record['CoworkerId']}"), {})
    return page.render(
        "credit.html",
        kind=kind, record=record, name=credit_name(credit_id, record), entity=entity, format=formatter,
        currency=record.get("BusinessCurrencyCode") or "", total=total, remaining=remaining, held=held,
        available=Decimal(0) if is_over else remaining - held, used=total - remaining, is_over=is_over,
        path=record_path(entity, credit_id), fields_path=fields_path(entity, credit_id),
        customer=customer, customer_path=record_path(Coworker, record["CoworkerId"]),
        lines=await journal_rows(page, lines.records[:_MAX_SHOWN_LINES], {(kind, credit_id): record}), listed=lines,
        funding=funding_of(reversed(lines.records)), funding_texts=FUNDING_TEXTS,
        sums=_adds_up(lines, remaining), limits=_limits(page, kind, record),
        location=page.locations.get(record["BusinessId"]), list_path=list_path(JournalLine),
        chart=balance_chart(_points(lines.records), page.now, page.preferences.locale),
        may_correct=page.has_role(CORRECT_ROLE) and page.may(entity, "update"),
        may_extend=page.may(entity, "update") and page.has_role(CORRECT_ROLE), may_spend=page.has_role(SPEND_ROLE), may_prove=page.has_role(READ_ROLE),
    )  # fmt: skip


async def _read(page: ConsolePage) -> tuple[str, dict[str, Any]]:
    kind = page.request.path_params["kind"]
    entity = CREDIT_ENTITIES.get(kind)
    if entity is None:
        raise NotFound
    return kind, await page.client.get(f"{entity.path()}/{page.request.path_params['id']}")


async def _lines(page: ConsolePage, kind: str, credit_id: int) -> RecordPage:
    """The credit's lines, the latest first."""
    query = {"JournalLine_CreditKind": kind, "JournalLine_CreditId": credit_id, "orderby": "Sequence",
             "dir": "descending", "size": MAX_PAGE_RECORDS}  # fmt: skip
    return await allowed(page.client.find(JournalLine.path(), query), RecordPage([], 0))


def _adds_up(lines: RecordPage, remaining: Decimal) -> bool | None:
    """Whether the lines sum to what remains; None if not all of them are on the page, or none is visible."""
    if not lines.records or lines.total > len(lines.records):
        return None
    return sum(map(signed_amount, lines.records), Decimal(0)) == remaining


def _points(lines: Sequence[Mapping[str, Any]]) -> list[BalancePoint]:
    """The balances in order of time, without lines that do not change the balance."""
    points: list[BalancePoint] = []
    for line in reversed(lines):
        at = as_instant(line["RecordedOn"])
        if at is not None and (signed_amount(line) or not points):
            points.append(BalancePoint(at, Decimal(str(line["BalanceAfter"]))))
    return points


def _limits(page: ConsolePage, kind: str, record: Mapping[str, Any]) -> list[str]:
    """What the credit may pay for, in words (rule 13)."""
    if kind != "money":
        return [str(record.get("ExtraServiceName") or "")]
    flags = (
        ("CaneBeUsedForBookings", mark("Bookings"), "ElegibleResourceTypes"),
        ("CaneBeUsedForEvents", mark("Events"), "EventCategories"),
        ("IsUniversalCredit", mark("Products, passes, plans and charges"), "ElegibleProducts"),
    )
    found = []
    for flag, title, listed in flags:
        if record.get(flag):
            count = len(record.get(listed) or ())
            text = page.translate(title)
            found.append(
                page.translate("%(what)s of %(count)s listed kinds", what=text, count=count) if count else text
            )
    return found


async def _proof(page: ConsolePage) -> Response:
    """The proof of a line as a file; not available before the next checkpoint."""
    proof = await page.client.get(f"/api/ledger/proofs/{page.request.path_params['line']}")
    name = f"proof-{page.request.path_params['line']}.json"
    headers = {**PAGE_HEADERS, "Content-Disposition": f'attachment; filename="{name}"'}
    return Response(msgspec.json.encode(proof), media_type="application/json", headers=headers)


async def _show_extend(page: ConsolePage) -> Response:
    kind, record = await _read(page)
    return _extend_form(page, kind, record)


def _extend_form(
    page: ConsolePage,
    kind: str,
    record: Mapping[str, Any],
    entered: Mapping[str, Any] = MappingProxyType({}),
    errors: Mapping[str, str] = MappingProxyType({}),
) -> Response:
    """The form with the end before and after, and what is wrong by the name of a field."""
    formatter = page.format_at(record["BusinessId"])
    text = str(entered.get("ExpireDate", CONTROLS[DateTime].to_text(formatter, record["ExpireDate"])))
    return page.render(
        "credit_extend.html", HTTPStatus.UNPROCESSABLE_ENTITY if errors else HTTPStatus.OK,
        kind=kind, record=record, name=credit_name(record["Id"], record), format=formatter, errors=errors,
        path=record_path(CREDIT_ENTITIES[kind], record["Id"]), text=text, reason=str(entered.get("Reason", "")),
        after=CONTROLS[DateTime].to_api(formatter, text),
    )  # fmt: skip


async def _extend_effects(page: ConsolePage) -> Response:
    """The part of the form that shows before → after, while it is filled in."""
    _, record = await _read(page)
    formatter = page.format_at(record["BusinessId"])
    after = CONTROLS[DateTime].to_api(formatter, str((await page.form()).get("ExpireDate", "")))
    return page.render("credit_extend_effects.html", record=record, format=formatter, after=after)


async def _extend(page: ConsolePage) -> Response:
    """Moves the expiry of a credit, with a reason, by a bulk change of one row."""
    kind, record = await _read(page)
    form = await page.form()
    reason = str(form.get("Reason", "")).strip()
    if "preview" in form:
        return _extend_form(page, kind, record, form)
    if not reason:
        return _extend_form(page, kind, record, form, {"Reason": page.translate(REASON_NEEDED)})
    after = CONTROLS[DateTime].to_api(page.format_at(record["BusinessId"]), str(form.get("ExpireDate", "")))
    body = {"Reason": reason, "Rows": [{"Kind": kind, "Id": record["Id"], "ExpireDate": after}]}
    try:
        answer = await page.client.post("/api/ledger/bulk/extensions", body, str(form.get("key", "")) or None)
    except ApiError as error:
        if error.status not in (HTTPStatus.BAD_REQUEST, HTTPStatus.CONFLICT):
            raise
        return _extend_form(page, kind, record, form, error.fields or {"": error.message})
    [row] = answer["Value"]["Rows"]
    if row["Errors"]:
        return _extend_form(page, kind, record, form, {each["PropertyName"]: each["Message"] for each in row["Errors"]})
    return page.redirect(
        record_path(CREDIT_ENTITIES[kind], record["Id"]), notice=mark("The end of the credit was moved")
    )


async def _list(page: ConsolePage) -> Response:
    """The list of money credits with the columns that tell them apart, the latest first."""
    columns = "CoworkerId,Description,BusinessName,BusinessCurrencyCode,RemainingCredit,TotalCredit,ExpireDate"
    return page.redirect(f"{list_path(CREDIT_ENTITIES['money'])}?orderby=CreatedOn&dir=descending&columns=Id,{columns}")


async def _journal(page: ConsolePage) -> Response:
    """The journal, the latest line first."""
    columns = "RecordedOn,Kind,CoworkerId,BusinessId,CreditKind,CreditId,Amount,BalanceAfter,SourceKind,Actor,Reason"
    return page.redirect(f"{list_path(JournalLine)}?orderby=RecordedOn&dir=descending&columns=Id,{columns}")


_PATH: Final = "/console/credits/{kind}/{id:int}"
CREDIT_SCREENS: Final = (
    Screen("/console/credits", _list),
    Screen("/console/journal", _journal),
    Screen(_PATH, _show),
    Screen(f"{_PATH}/extend", _show_extend),
    Screen(f"{_PATH}/extend", _extend, ("POST",)),
    Screen(f"{_PATH}/extend/effects", _extend_effects, ("POST",)),
    Screen("/console/proofs/{line:int}.json", _proof),
)
