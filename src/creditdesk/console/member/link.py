"""Sign-in by a link: a page asks for confirmation, so that a message preview does not use the link."""

from __future__ import annotations

from http import HTTPStatus
from typing import Final
from uuid import uuid4

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from creditdesk.console.api_client import ApiError, InProcessClient
from creditdesk.console.member.page import MEMBER_HOME
from creditdesk.console.preferences import read_preferences
from creditdesk.console.security import PAGE_HEADERS
from creditdesk.console.session import device_secret, start_session
from creditdesk.console.sign_in import SIGN_IN_PATH
from creditdesk.console.templating import environment

LINK_PATH: Final = "/me/link/{token}"


async def show_link(request: Request, _client: InProcessClient) -> Response:
    """The page that a link leads to; it changes nothing."""
    return _page(request, HTTPStatus.OK, "")


async def use_link(request: Request, client: InProcessClient) -> Response:
    """Opens the session of the link and leads to the member's page."""
    form = {"grant_type": "member_link", "link": request.path_params["token"]}
    device = device_secret(request)
    headers = {"client_id": f"member-{uuid4()}", "device-secret": device}
    try:
        tokens = await client.submit_form("/api/token", form, headers)
    except ApiError as error:
        return _page(request, error.status, error.message)
    response = RedirectResponse(
        f"{SIGN_IN_PATH}?begun=1&next={MEMBER_HOME}", HTTPStatus.SEE_OTHER, headers=PAGE_HEADERS
    )
    start_session(response, request, tokens["access_token"], device)
    return response


def _page(request: Request, status: int, message: str) -> Response:
    preferences = read_preferences(request)
    template = environment(preferences.language).get_template("member_link.html")
    text = template.render(preferences=preferences, message=message, path=request.url.path)
    return HTMLResponse(text, status, headers=PAGE_HEADERS)
