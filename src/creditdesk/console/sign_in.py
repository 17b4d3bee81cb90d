"""Sign-in with e-mail, password and one-time code, over the token endpoint; and sign-out."""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from creditdesk.api.body import parse_form, read_body
from creditdesk.api.link_mail import OWN_LINK_PATH
from creditdesk.api.passwords import PASSWORD_PATH
from creditdesk.console.api_client import ApiError, InProcessClient
from creditdesk.console.page import safe_path
from creditdesk.console.preferences import read_preferences
from creditdesk.console.security import PAGE_HEADERS
from creditdesk.console.session import device_secret, end_session, request_session, session_token, start_session
from creditdesk.console.templating import environment
from creditdesk.console.translations import mark

SIGN_IN_PATH: Final = "/console/sign-in"
NEW_PASSWORD_PATH: Final = "/console/sign-in/password"  # noqa: S105 - a path
LINK_REQUEST_PATH: Final = "/me/link"
MAX_SIGN_IN_BYTES: Final = 16_384
_NEEDS_CODE: Final = "two_factor_auth_check"
_MENTIONS_CODE: Final = "one-time code"
_MUST_SET_PASSWORD: Final = "password_reset_required"  # noqa: S105 - an error's name
CODE_NEEDED: Final = mark("This user has a second factor. Enter the password again, and the one-time code.")
SIGN_IN_AGAIN: Final = mark("The password was set. Sign in with it.")
NOT_THE_SAME: Final = mark("The two new passwords differ.")
NO_COOKIE: Final = mark("The browser did not keep the session. Open this page over https, or on this machine.")


@dataclass(frozen=True, slots=True)
class SignInPages:
    """The pages of users who are not signed in. With `sends_links` members may ask for a link by e-mail."""

    sends_links: bool

    async def show(self, request: Request, _client: InProcessClient) -> Response:
        """The form. A browser that returns without the cookie that it was given gets an explanation."""
        target = request.query_params.get("next", "")
        begun = "begun" in request.query_params
        if begun and session_token(request):
            return RedirectResponse(safe_path(target), HTTPStatus.SEE_OTHER, headers=PAGE_HEADERS)
        return self._form(request, HTTPStatus.OK, message=NO_COOKIE if begun else "", target=target)

    async def sign_in(self, request: Request, client: InProcessClient) -> Response:
        """Begins a session and leads to the page that was wanted."""
        form = parse_form(await read_body(request, MAX_SIGN_IN_BYTES))
        email, password, code, target = (str(form.get(name, "")) for name in ("email", "password", "code", "next"))
        device = device_secret(request)
        try:
            tokens = await request_session(client, email, password, code, device)
        except ApiError as error:
            if error.code == _MUST_SET_PASSWORD:
                return _new_password_form(request, email, target)
            needs_code = error.code == _NEEDS_CODE and not code
            message = CODE_NEEDED if needs_code else error.message
            return self._form(request, error.status, message=message, email=email, target=target)
        return _begin(request, tokens["access_token"], device, target)

    async def set_new_password(self, request: Request, client: InProcessClient) -> Response:
        """Sets the password that a user must set before anything else, and begins a session with it."""
        form = parse_form(await read_body(request, MAX_SIGN_IN_BYTES))
        email, password, code, target = (str(form.get(name, "")) for name in ("email", "password", "code", "next"))
        new, device = str(form.get("new", "")), device_secret(request)
        if new != form.get("again"):
            return _new_password_form(request, email, target, ApiError(HTTPStatus.UNPROCESSABLE_ENTITY, NOT_THE_SAME))
        sent = {"Email": email, "Password": password, "NewPassword": new} | ({"Totp": code} if code else {})
        try:
            await client.submit_form(PASSWORD_PATH, sent, {"device-secret": device})
        except ApiError as error:
            if error.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
                raise
            needs_code = _MENTIONS_CODE in error.message and not code
            return _new_password_form(
                request, email, target, ApiError(error.status, CODE_NEEDED) if needs_code else error
            )
        try:
            tokens = await request_session(client, email, new, "", device)
        except ApiError:
            # The one-time code is used up: the next sign-in needs another one.
            return self._form(request, HTTPStatus.OK, message=SIGN_IN_AGAIN, email=email, target=target)
        return _begin(request, tokens["access_token"], device, target)

    async def request_link(self, request: Request, client: InProcessClient) -> Response:
        """Asks for a link by e-mail; the page is the same whether or not the address is known."""
        form = parse_form(await read_body(request, MAX_SIGN_IN_BYTES))
        email, target = str(form.get("email", "")), "/me/"
        body = {"Email": email, "Language": read_preferences(request).language}
        try:
            answer = await client.post(OWN_LINK_PATH, body)
        except ApiError as error:
            if error.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
                raise
            text = "; ".join(f"{name} {message}" for name, message in error.fields.items()) or error.message
            return self._form(request, error.status, message=text, email=email, target=target)
        return _render(request, "link_requested.html", HTTPStatus.OK, email=email, minutes=answer["Value"]["Minutes"])

    def _form(self, request: Request, status: int, *, message: str = "", email: str = "", target: str = "") -> Response:
        link_path = LINK_REQUEST_PATH if self.sends_links and target.startswith("/me") else ""
        return _render(
            request, "sign_in.html", status, message=message, email=email, target=target, link_path=link_path
        )


async def leave(request: Request, client: InProcessClient) -> Response:
    """Ends the session of this browser, in all its tabs; a copy of its cookie is worthless from then on."""
    if token := session_token(request):
        await client.submit_form("/api/token/revoke", {"token": token}, {})
    response = RedirectResponse(SIGN_IN_PATH, HTTPStatus.SEE_OTHER, headers=PAGE_HEADERS)
    end_session(response, request)
    return response


def _begin(request: Request, token: str, device: str, target: str) -> Response:
    """Starts the session, by way of the sign-in, which learns whether the browser keeps the cookie."""
    begun = f"{SIGN_IN_PATH}?{urlencode({'begun': 1, 'next': target})}"
    response = RedirectResponse(begun, HTTPStatus.SEE_OTHER, headers=PAGE_HEADERS)
    start_session(response, request, token, device)
    return response


def _new_password_form(request: Request, email: str, target: str, error: ApiError | None = None) -> Response:
    return _render(
        request, "new_password.html", error.status if error else HTTPStatus.OK,
        error=error, email=email, target=target, path=NEW_PASSWORD_PATH,
    )  # fmt: skip


def _render(request: Request, template: str, status: int, **values: Any) -> Response:
    preferences = read_preferences(request)
    text = environment(preferences.language).get_template(template).render(preferences=preferences, **values)
    return HTMLResponse(text, status, headers=PAGE_HEADERS)
