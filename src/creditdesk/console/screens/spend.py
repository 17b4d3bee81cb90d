"""The spend desk: choose customer and items, preview every credit before and after, then pay or hold."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from http import HTTPStatus
from typing import Any, Final

from starlette.responses import Response

from creditdesk.console.allocation_view import ItemView, allocation_items
from creditdesk.console.api_client import ApiError, RecordPage
from creditdesk.console.links import record_path
from creditdesk.console.numbers import record_number
from creditdesk.console.page import ConsolePage, Screen
from creditdesk.console.screens.customers import allowed
from creditdesk.console.translations import mark
from creditdesk.entities.roles import READ_ROLE, SPEND_ROLE
from creditdesk.entities.spaces.booking import Booking
from creditdesk.entities.spaces.coworker import Coworker
from creditdesk.schema.conversions import format_datetime

_PAST_DAYS: Final = 60
_MAX_BOOKINGS: Final = 30
_MAX_MATCHES: Final = 12
NOTHING_CHOSEN: Final = mark("Choose what is paid: a booking, a charge or a print job.")


async def _show(page: ConsolePage) -> Response:
    """Without a customer, the search for one; with one, the items that can be paid for."""
    wanted = record_number(page.request.query_params.get("customer"))
    if wanted is None:
        return await _choose_customer(page)
    return await _desk(page, wanted, dict(page.query))


async def _choose_customer(page: ConsolePage) -> Response:
    text = page.request.query_params.get("q", "").strip()
    query = {"size": _MAX_MATCHES, "orderby": "FullName"} | ({"Coworker_FullName": text} if text else {})
    listed = await page.client.find(Coworker.path(), query)
    return page.render("spend_customer.html", text=text, listed=listed)


async def _preview(page: ConsolePage) -> Response:
    """The part of the desk that shows the decision, while the form is filled in."""
    form = await page.form()
    try:
        items = await _decide(page, form)
    except ApiError as error:
        return page.render("spend_preview.html", items=None, error=error, nothing=NOTHING_CHOSEN)
    return page.render("spend_preview.html", items=items, error=None, nothing=NOTHING_CHOSEN)


async def _submit(page: ConsolePage) -> Response:
    """Pays, holds, or shows the preview on the whole page, as the button says."""
    form = await page.form()
    customer_id, act = record_number(form.get("customer")) or 0, str(form.get("act", "preview"))
    if act not in ("pay", "hold"):
        return await _desk(page, customer_id, form, preview=True)
    path = "/api/ledger/spends" if act == "pay" else "/api/ledger/holds"
    try:
        answer = await page.client.post(path, _basket(page, form), str(form.get("key", "")) or None)
    except ApiError as error:
        if error.status >= HTTPStatus.INTERNAL_SERVER_ERROR or error.status == HTTPStatus.UNAUTHORIZED:
            raise
        return await _desk(page, customer_id, form, error=error)
    return page.redirect(record_path(Coworker, customer_id), notice=str(answer["Message"]))


async def _desk(
    page: ConsolePage,
    customer_id: int,
    form: Mapping[str, Any],
    *,
    preview: bool = False,
    error: ApiError | None = None,
) -> Response:
    customer = await page.client.get(f"{Coworker.path()}/{customer_id}")
    items: list[ItemView] | None = None
    if preview and error is None:
        try:
            items = await _decide(page, form)
        except ApiError as raised:
            error = raised
    bookings = await _open_bookings(page, customer_id)
    chosen = {each["Id"] for each in _basket(page, form)["Sources"] if each["Kind"] == "booking"}
    return page.render(
        "spend.html", error.status if error else HTTPStatus.OK,
        customer=customer, customer_path=record_path(Coworker, customer_id), form=form, error=error, items=items,
        bookings=[(booking, page.format_at(booking.get("BusinessId")), booking["Id"] in chosen) for booking in bookings],
        home=customer.get("InvoicingBusinessId"), may_spend=page.has_role(SPEND_ROLE), may_preview=page.has_role(READ_ROLE),
        nothing=NOTHING_CHOSEN,
    )  # fmt: skip


async def _open_bookings(page: ConsolePage, customer_id: int) -> list[dict[str, Any]]:
    """The customer's bookings that are not charged yet, the next ones last."""
    since = (page.now - timedelta(days=_PAST_DAYS)).replace(microsecond=0)
    query = {"Booking_Coworker": customer_id, "Booking_Invoiced": "false", "from_Booking_FromTime": format_datetime(since),
             "orderby": "FromTime", "size": _MAX_BOOKINGS}  # fmt: skip
    listed = await allowed(page.client.find(Booking.path(), query), RecordPage([], 0))
    return listed.records


async def _decide(page: ConsolePage, form: Mapping[str, Any]) -> list[ItemView]:
    """What a spend would do now; None if nothing is chosen. Raises ApiError."""
    basket = _basket(page, form)
    if not basket["Sources"]:
        return []
    answer = await page.client.post("/api/ledger/previews", basket)
    return await allocation_items(page, answer["Value"]["Allocation"])


def _basket(page: ConsolePage, form: Mapping[str, Any]) -> dict[str, Any]:
    """The form as a basket of the API."""
    bookings = form.get("booking") or []
    sources: list[dict[str, Any]] = [
        {"Kind": "booking", "Id": number}
        for each in (bookings if isinstance(bookings, list) else [bookings])
        if (number := record_number(each)) is not None
    ]
    charge = record_number(form.get("number")) or int(page.now.timestamp())
    if amount := str(form.get("amount") or "").strip():
        sources.append({"Kind": "charge", "Id": charge, "Amount": amount})
    if pages := str(form.get("pages") or "").strip():
        sources.append({"Kind": "print_job", "Id": charge, "Units": pages})
    return {
        "CoworkerId": record_number(form.get("customer")) or 0,
        "BusinessId": record_number(form.get("location")) or None,
        "Sources": sources,
    }


SPEND_SCREENS: Final = (
    Screen("/console/spend", _show),
    Screen("/console/spend", _submit, ("POST",)),
    Screen("/console/spend/preview", _preview, ("POST",)),
)
