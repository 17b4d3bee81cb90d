"""Closing months: their state by location, a preview, closing, and reopening with a reason."""

from __future__ import annotations

from http import HTTPStatus
from itertools import groupby
from typing import Any, Final

from starlette.responses import Response

from creditdesk.console.api_client import ApiError
from creditdesk.console.page import ConsolePage, Screen
from creditdesk.console.report_tables import ReportReader
from creditdesk.console.translations import mark
from creditdesk.entities.roles import CORRECT_ROLE
from creditdesk.schema.errors import NotFound

CLOSINGS_PATH: Final = "/console/closings"
_API: Final = "/api/reports/closings"
_MONTH: Final = f"{CLOSINGS_PATH}/{{location:int}}/{{month}}"
STATE_TEXTS: Final = {
    "open": mark("Open"),
    "closed": mark("Closed"),
    "covered": mark("Closed with a later month"),
    "reopened": mark("Opened again"),
}
REOPEN_REASON_NEEDED: Final = mark("Say why it is reopened: later reports of the month show it.")


async def _list(page: ConsolePage) -> Response:
    """The months of each location, or of the chosen one."""
    months = (await page.client.get(_API))["Value"]
    shown = [each for each in months if page.location is None or each["LocationId"] == page.location.id]
    places = [(name, list(rows)) for name, rows in groupby(shown, lambda each: each["Location"])]
    return page.render(
        "closings.html", places=places, states=STATE_TEXTS, path=CLOSINGS_PATH, may_close=page.has_role(CORRECT_ROLE)
    )


async def _show(page: ConsolePage) -> Response:
    return await _month_page(page)


async def _month_page(page: ConsolePage, error: ApiError | None = None, reason_error: str = "") -> Response:
    """What closing the month will do: unexplained balances, the movements, what is locked and written."""
    location, month = _place(page)
    preview = await _preview(page)
    requested = {"LocationIds": str(location), "From": preview["From"], "To": preview["To"]}
    document = await page.client.get("/api/reports/roll-forward", requested)
    status = error.status if error else HTTPStatus.UNPROCESSABLE_ENTITY if reason_error else HTTPStatus.OK
    return page.render(
        "closing.html", status,
        preview=preview, month=month, location=_location_name(page, location), error=error,
        reason_error=reason_error, states=STATE_TEXTS, path=f"{CLOSINGS_PATH}/{location}/{month}", list_path=CLOSINGS_PATH,
        table=ReportReader(page, "roll-forward", document, requested).table(units_together=False),
        variance=document["Footer"]["TiesOut"], may_close=page.has_role(CORRECT_ROLE), format=page.format_at(location),
    )  # fmt: skip


async def _preview(page: ConsolePage) -> dict[str, Any]:
    """The preview of the month. Raises NotFound for a location that the user does not see."""
    location, month = _place(page)
    try:
        found = await page.client.get(f"{_API}/preview", {"LocationId": location, "Month": month})
    except ApiError as error:
        if error.status == HTTPStatus.BAD_REQUEST:
            raise NotFound from error
        raise
    preview: dict[str, Any] = found["Value"]
    return preview


async def _close(page: ConsolePage) -> Response:
    location, month = _place(page)
    await page.form()
    try:
        answer = await page.client.post(_API, {"LocationId": location, "Month": month})
    except ApiError as error:
        return await _refused(page, error)
    return page.redirect(CLOSINGS_PATH, notice=str(answer["Message"]))


async def _reopen(page: ConsolePage) -> Response:
    location, month = _place(page)
    reason = str((await page.form()).get("Reason", "")).strip()
    if not reason:
        return await _month_page(page, reason_error=page.translate(REOPEN_REASON_NEEDED))
    body = {"LocationId": location, "Month": month, "Reason": reason}
    try:
        answer = await page.client.post(f"{_API}/reopen", body)
    except ApiError as error:
        return await _refused(page, error)
    return page.redirect(CLOSINGS_PATH, notice=str(answer["Message"]))


async def _refused(page: ConsolePage, error: ApiError) -> Response:
    """The page again, with the ledger's error; raises errors that do not concern the form."""
    if error.status not in (HTTPStatus.BAD_REQUEST, HTTPStatus.CONFLICT):
        raise error
    return await _month_page(page, error)


def _location_name(page: ConsolePage, location_id: int) -> str:
    found = page.locations.get(location_id)
    return found.name if found else f"#{location_id}"


def _place(page: ConsolePage) -> tuple[int, str]:
    params: dict[str, Any] = page.request.path_params
    return params["location"], params["month"]


CLOSING_SCREENS: Final = (
    Screen(CLOSINGS_PATH, _list),
    Screen(_MONTH, _show),
    Screen(f"{_MONTH}/close", _close, ("POST",)),
    Screen(f"{_MONTH}/reopen", _reopen, ("POST",)),
)
