"""Sign-in with e-mail, password and one-time code, over the token endpoint; and sign-out."""

from __future__ import annotations

from http import HTTPStatus
from typing import Final
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from creditdesk.api.body import parse_form, read_body
from creditdesk.console.api_client import ApiError, InProcessClient
from creditdesk.console.page import safe_path
from creditdesk.console.preferences import read_preferences
from creditdesk.console.security import PAGE_HEADERS
from creditdesk.console.session import device_secret, end_session, request_session, session_token, start_session
from creditdesk.console.templating import environment
from creditdesk.console.translations import mark

SIGN_IN_PATH: Final = "/console/sign-in"
MAX_SIGN_IN_BYTES: Final = 16_384
_MENTIONS_CODE: Final = "one-time code"
CODE_NEEDED: Final = mark("This user has a second factor. Enter the password again, and the one-time code.")
NO_COOKIE: Final = mark("The browser did not keep the session. Open this page over https, or on this machine.")


async def show_sign_in(request: Request, _client: InProcessClient) -> Response:
    """The form. A browser that comes back without the cookie it was given learns why."""
    target = request.query_params.get("next", "")
    begun = "begun" in request.query_params
    if begun and session_token(request):
        return RedirectResponse(safe_path(target), HTTPStatus.SEE_OTHER, headers=PAGE_HEADERS)
    return _form(request, HTTPStatus.OK, message=NO_COOKIE if begun else "", target=target)


async def sign_in(request: Request, client: InProcessClient) -> Response:
    """Begins a session and leads to the page that was wanted."""
    form = parse_form(await read_body(request, MAX_SIGN_IN_BYTES))
    email, password, code, target = (str(form.get(name, "")) for name in ("email", "password", "code", "next"))
    device = device_secret(request)
    try:
        tokens = await request_session(client, email, password, code, device)
    except ApiError as error:
        needs_code = _MENTIONS_CODE in error.message
        message = CODE_NEEDED if needs_code and not code else error.message
        return _form(request, error.status, message=message, email=email, target=target)
    begun = f"{SIGN_IN_PATH}?{urlencode({'begun': 1, 'next': target})}"
    response = RedirectResponse(begun, HTTPStatus.SEE_OTHER, headers=PAGE_HEADERS)
    start_session(response, request, tokens["access_token"], device)
    return response


async def leave(request: Request, client: InProcessClient) -> Response:
    """Ends the session of this browser, in all its tabs; a copy of its cookie is worthless from then on."""
    if token := session_token(request):
        await client.submit_form("/api/token/revoke", {"token": token}, {})
    response = RedirectResponse(SIGN_IN_PATH, HTTPStatus.SEE_OTHER, headers=PAGE_HEADERS)
    end_session(response, request)
    return response


def _form(request: Request, status: int, *, message: str = "", email: str = "", target: str = "") -> Response:
    preferences = read_preferences(request)
    text = (
        environment(preferences.language)
        .get_template("sign_in.html")
        .render(preferences=preferences, message=message, email=email, target=target)
    )
    return HTMLResponse(text, status, headers=PAGE_HEADERS)
