"""A member's password: sets the first one after a sign-in link, or changes it."""

from __future__ import annotations

from http import HTTPStatus
from typing import Final

from starlette.responses import Response

from creditdesk.api.passwords import FIRST_PASSWORD_PATH, PASSWORD_PATH
from creditdesk.console.api_client import ApiError
from creditdesk.console.member.page import MEMBER_HOME, MemberPage, MemberScreen
from creditdesk.console.sign_in import NOT_THE_SAME
from creditdesk.console.translations import mark

MEMBER_PASSWORD_PATH: Final = "/me/password"  # noqa: S105 - a path


async def _show(page: MemberPage) -> Response:
    return _render_form(page)


def _render_form(page: MemberPage, error: ApiError | None = None) -> Response:
    return page.render(
        "member_password.html", error.status if error else HTTPStatus.OK, error=error, path=MEMBER_PASSWORD_PATH
    )


async def _save(page: MemberPage) -> Response:
    form = await page.form()
    new = form.get("new")
    if new != form.get("again"):
        return _render_form(page, ApiError(HTTPStatus.UNPROCESSABLE_ENTITY, NOT_THE_SAME))
    try:
        if page.may_set_first_password:
            await page.client.post(FIRST_PASSWORD_PATH, {"NewPassword": new})
        else:
            body = {"Email": page.principal.email, "Password": form.get("password"), "NewPassword": new}
            await page.client.post(PASSWORD_PATH, body | ({"Totp": form["code"]} if form.get("code") else {}))
    except ApiError as error:
        if error.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            raise
        return _render_form(page, error)
    return page.redirect(page.link(MEMBER_HOME), notice=mark("The password was set, and every other session ended"))


PASSWORD_SCREENS: Final = (
    MemberScreen(MEMBER_PASSWORD_PATH, _show),
    MemberScreen(MEMBER_PASSWORD_PATH, _save, ("POST",)),
)
