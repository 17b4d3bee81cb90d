"""The user's own account: its sessions and its password."""

from __future__ import annotations

from http import HTTPStatus
from typing import Final

from starlette.responses import Response

from creditdesk.api.passwords import PASSWORD_PATH
from creditdesk.console.api_client import ApiError
from creditdesk.console.numbers import record_number
from creditdesk.console.page import ConsolePage, Screen
from creditdesk.console.sign_in import NOT_THE_SAME
from creditdesk.console.translations import mark

ACCOUNT_PATH: Final = "/console/account"


async def _show(page: ConsolePage) -> Response:
    return await _account(page)


async def _account(page: ConsolePage, error: ApiError | None = None) -> Response:
    sessions = await page.client.get("/api/auth/sessions")
    running = [each for each in sessions if each["EndedOn"] is None and not page.format.is_past(each["ExpireDate"])]
    return page.render("account.html", error.status if error else HTTPStatus.OK, sessions=running, error=error)


async def _end_session(page: ConsolePage) -> Response:
    form = await page.form()
    session_id = str(form.get("session", ""))
    if record_number(session_id) is not None:
        await page.client.delete(f"/api/auth/sessions/{session_id}")
    return page.redirect(ACCOUNT_PATH, notice=mark("The session has ended"))


async def _change_password(page: ConsolePage) -> Response:
    """Changes the password, which ends every other session of the user."""
    form = await page.form()
    if form.get("new") != form.get("again"):
        return await _account(page, ApiError(HTTPStatus.UNPROCESSABLE_ENTITY, page.translate(NOT_THE_SAME)))
    body = {"Email": page.principal.email, "Password": form.get("password"), "NewPassword": form.get("new")}
    try:
        await page.client.post(PASSWORD_PATH, body | ({"Totp": form["code"]} if form.get("code") else {}))
    except ApiError as error:
        if error.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            raise
        return await _account(page, error)
    return page.redirect(ACCOUNT_PATH, notice=mark("The password was changed, and every other session ended"))


ACCOUNT_SCREENS: Final = (
    Screen(ACCOUNT_PATH, _show),
    Screen(f"{ACCOUNT_PATH}/sessions", _end_session, ("POST",)),
    Screen(f"{ACCOUNT_PATH}/password", _change_password, ("POST",)),
)
