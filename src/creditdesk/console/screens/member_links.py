"""A link for a customer to her own page: to sign in once, or for a frame in another site."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, Final

from starlette.responses import Response

from creditdesk.api.link_mail import OWN_LINK_PATH, SEND_LINK_PATH
from creditdesk.api.members import MEMBER_LINKS_PATH
from creditdesk.console.api_client import ApiError
from creditdesk.console.links import record_path
from creditdesk.console.page import ConsolePage, Screen
from creditdesk.console.translations import mark
from creditdesk.entities.spaces.coworker import Coworker

LIFETIMES: Final = ((60, mark("one hour")), (24 * 60, mark("one day")), (7 * 24 * 60, mark("seven days")))
REQUEST_TEXTS: Final = {
    "queued": mark("Queued"),
    "retrying": mark("Not sent yet"),
    "sent": mark("Sent"),
    "failed": mark("Not sent"),
}
"""The states of a link by e-mail."""
_DEFAULT_MINUTES: Final = 24 * 60


async def _show(page: ConsolePage) -> Response:
    return await _render(page)


async def _create(page: ConsolePage) -> Response:
    """Creates a link and shows it once; it is not stored."""
    form = await page.form()
    body = {
        "CoworkerId": page.request.path_params["id"],
        "Purpose": form.get("purpose", ""),
        "Minutes": form.get("minutes", ""),
    }
    if form.get("act") == "send":
        return await _send(page, body, str(form.get("language", "")))
    try:
        link = (await page.client.post(MEMBER_LINKS_PATH, body))["Value"]
    except ApiError as error:
        if error.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            raise
        return await _render(page, error=error, chosen=body)
    address = str(page.request.base_url).rstrip("/") + link["Path"]
    return await _render(page, link={**link, "Address": address}, chosen=body)


async def _send(page: ConsolePage, body: dict[str, Any], language: str) -> Response:
    """Requests that the link is sent by e-mail; the operator never sees it."""
    chosen = {**body, "Purpose": "sign-in", "Language": language}
    try:
        sent = (await page.client.post(SEND_LINK_PATH, chosen))["Value"]
    except ApiError as error:
        if error.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            raise
        return await _render(page, error=error, chosen=chosen)
    return await _render(page, sent_to=sent["Email"], chosen=chosen)


async def link_requests(page: ConsolePage, customer_id: int) -> list[dict[str, Any]]:
    """The states of the customer's links by e-mail; none if none can be sent, or the user may not send any."""
    if not (page.sends_links and page.may(Coworker, "update")):
        return []
    found = await page.client.get(OWN_LINK_PATH, {"CoworkerId": customer_id})
    return [{**each, "Text": REQUEST_TEXTS[each["State"]]} for each in found["Records"]]


async def _render(
    page: ConsolePage,
    *,
    sent_to: str = "",
    link: dict[str, Any] | None = None,
    error: ApiError | None = None,
    chosen: dict[str, Any] | None = None,
) -> Response:
    customer_id = page.request.path_params["id"]
    customer = await page.client.get(f"{Coworker.path()}/{customer_id}")
    chosen = chosen or {}
    return page.render(
        "member_link_form.html",
        error.status if error else HTTPStatus.OK,
        customer=customer, path=record_path(Coworker, customer_id), link=link, sent_to=sent_to, error=error,
        link_requests=await link_requests(page, customer_id), lifetimes=LIFETIMES,
        language=chosen.get("Language") or page.preferences.language,
        purpose=chosen.get("Purpose") or "sign-in", minutes=str(chosen.get("Minutes") or _DEFAULT_MINUTES),
    )  # fmt: skip


MEMBER_LINK_SCREENS: Final = (
    Screen("/console/customers/{id:int}/link", _show),
    Screen("/console/customers/{id:int}/link", _create, ("POST",)),
)
