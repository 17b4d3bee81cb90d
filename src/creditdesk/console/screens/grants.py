"""Grants credit to a customer: amount, purpose, validity and reason, with before → after while it is filled in."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from http import HTTPStatus
from typing import Any, Final

from starlette.responses import Response

from creditdesk.console.api_client import ApiError, RecordPage
from creditdesk.console.command_effects import ValueChange, entered_number
from creditdesk.console.inputs import CONTROLS
from creditdesk.console.journal_table import CREDIT_ENTITIES
from creditdesk.console.line_facts import FUNDING_TEXTS
from creditdesk.console.links import record_path
from creditdesk.console.numbers import record_number
from creditdesk.console.page import ConsolePage, Screen
from creditdesk.console.screens.customers import allowed
from creditdesk.console.translations import mark
from creditdesk.entities.billing.extra_service import ExtraService
from creditdesk.entities.roles import CORRECT_ROLE
from creditdesk.entities.spaces.coworker import Coworker
from creditdesk.schema.errors import NotFound
from creditdesk.schema.fields import DateTime

USE_FLAGS: Final = {
    "CaneBeUsedForBookings": mark("Bookings"),
    "CaneBeUsedForEvents": mark("Events"),
    "IsUniversalCredit": mark("Products, passes and plans"),
    "AppliesToCharges": mark("Charges"),
}
"""What money credit may pay for (rule 13)."""
DESCRIPTION_NEEDED: Final = mark("Say what it is for: the customer reads it.")
_MAX_RATES: Final = 200
_AMOUNT_FIELDS: Final = {"money": "TotalCredit", "time": "TotalUses"}


async def _show(page: ConsolePage) -> Response:
    kind, customer = await _read(page)
    return await _form(page, kind, customer, {"location": customer.get("InvoicingBusinessId") or "",
                                              "CaneBeUsedForBookings": "true", "funding": "goodwill"})  # fmt: skip


async def _effects(page: ConsolePage) -> Response:
    """The part of the form that shows what the customer could spend afterwards."""
    kind, customer = await _read(page)
    changes = await _changes(page, kind, customer["Id"], await page.form())
    return page.render("command_effects.html", changes=changes, formatter=page.format, kind=kind)


async def _grant(page: ConsolePage) -> Response:
    kind, customer = await _read(page)
    form = await page.form()
    if "preview" in form:
        return await _form(page, kind, customer, form)
    if not str(form.get("Description", "")).strip():
        error = ApiError(HTTPStatus.UNPROCESSABLE_ENTITY, "", {"Description": page.translate(DESCRIPTION_NEEDED)})
        return await _form(page, kind, customer, form, error)
    entity = CREDIT_ENTITIES[kind]
    try:
        answer = await page.client.post(entity.path(), _body(page, kind, customer, form), str(form.get("key", "")))
    except ApiError as error:
        if error.status >= HTTPStatus.INTERNAL_SERVER_ERROR or error.status == HTTPStatus.UNAUTHORIZED:
            raise
        return await _form(page, kind, customer, form, error)
    credit_id = answer["Value"]["Id"]
    notice = mark("The credit was granted")
    if page.has_role(CORRECT_ROLE) and form.get("funding") in FUNDING_TEXTS:
        notice = await _state_funding(page, kind, credit_id, form)
    return page.redirect(record_path(entity, credit_id), notice=notice)


async def _state_funding(page: ConsolePage, kind: str, credit_id: int, form: Mapping[str, Any]) -> str:
    """Sets the funding of the new credit and returns the notice. The grant is kept either way."""
    stated = {"Funding": form["funding"], "PricePaid": form.get("price"), "Reason": form["Description"]}
    sent = {name: value for name, value in stated.items() if value}
    path, key = CREDIT_ENTITIES[kind].path(), f"{form.get('key', '')}-funding"
    try:
        await page.client.run_command(path, "SET_FUNDING", [credit_id], sent, key)
    except ApiError as error:
        return page.translate(mark("The credit was granted, its funding was not stated: %(why)s"), why=error.message)
    return mark("The credit was granted")


async def _read(page: ConsolePage) -> tuple[str, dict[str, Any]]:
    kind = page.request.path_params["kind"]
    if kind not in CREDIT_ENTITIES:
        raise NotFound
    return kind, await page.client.get(f"{Coworker.path()}/{page.request.path_params['id']}")


def _body(page: ConsolePage, kind: str, customer: Mapping[str, Any], form: Mapping[str, Any]) -> dict[str, Any]:
    """The new credit for the API; dates are in the location's time zone."""
    location = str(form.get("location", ""))
    formatter = page.format_at(record_number(location))
    instant = CONTROLS[DateTime].to_api
    body: dict[str, Any] = {
        "CoworkerId": customer["Id"],
        "BusinessId": location or None,
        _AMOUNT_FIELDS[kind]: str(form.get("amount", "")).strip() or None,
        "ValidFrom": instant(formatter, str(form.get("ValidFrom", ""))),
        "ExpireDate": instant(formatter, str(form.get("ExpireDate", ""))),
    }
    if kind == "money":
        return body | {"Description": form.get("Description")} | {flag: form.get(flag) == "true" for flag in USE_FLAGS}
    return body | {"Notes": form.get("Description"), "ExtraServiceId": form.get("rate") or None}


async def _changes(page: ConsolePage, kind: str, customer_id: int, form: Mapping[str, Any]) -> list[ValueChange]:
    """What the customer could spend of this currency or rate, before and after."""
    amount = entered_number(form.get("amount"))
    if amount is None:
        return []
    balances = await allowed(page.client.get("/api/ledger/balances", {"CoworkerId": customer_id}), {"Value": []})
    location = page.locations.get(record_number(form.get("location")) or 0)
    same = [
        Decimal(str(each["Available"]))
        for each in balances["Value"]
        if each["Kind"] == kind and (kind == "time" or location is None or each["CurrencyCode"] == location.currency)
    ]
    before = sum(same, Decimal(0))
    problem = mark("The amount must be greater than zero.") if amount <= 0 else ""
    return [ValueChange(mark("Can spend"), before, before + amount, problem)]


async def _form(
    page: ConsolePage, kind: str, customer: Mapping[str, Any], form: Mapping[str, Any], error: ApiError | None = None
) -> Response:
    rates = RecordPage([], 0)
    if kind == "time":
        query = {"size": _MAX_RATES, "orderby": "Name"}
        rates = await allowed(page.client.find(ExtraService.path(), query), rates)
    return page.render(
        "grant.html", error.status if error else HTTPStatus.OK,
        kind=kind, customer=customer, form=form, error=error, rates=rates.records, flags=USE_FLAGS,
        funding_texts=FUNDING_TEXTS, may_state=page.has_role(CORRECT_ROLE),
        path=f"{record_path(Coworker, customer['Id'])}/grant/{kind}", back=record_path(Coworker, customer["Id"]),
        changes=await _changes(page, kind, customer["Id"], form), formatter=page.format,
    )  # fmt: skip


_PATH: Final = "/console/customers/{id:int}/grant/{kind}"
GRANT_SCREENS: Final = (
    Screen(_PATH, _show),
    Screen(_PATH, _grant, ("POST",)),
    Screen(f"{_PATH}/effects", _effects, ("POST",)),
)
