"""Users: who may sign in, where, with which groups of roles; their sessions and tokens."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

from starlette.responses import Response

from creditdesk.api.passwords import SECOND_FACTOR_PATH
from creditdesk.console.api_client import MAX_PAGE_RECORDS, ApiError, RecordPage
from creditdesk.console.numbers import record_number
from creditdesk.console.page import ConsolePage, Screen
from creditdesk.console.screens.customers import allowed
from creditdesk.console.translations import mark
from creditdesk.entities.security.user_role import UserRole
from creditdesk.entities.sys.user import User
from creditdesk.schema.errors import PermissionDenied

USERS_PATH: Final = "/console/admin/users"
_PAGE_SIZE: Final = 50
_LANGUAGE: Final = 1
_TOKEN_DAYS: Final = ("30", "90", "365")
API_TOKEN: Final = "API token"  # noqa: S105 - the name of a method


async def _list(page: ConsolePage) -> Response:
    _require(page)
    text = page.request.query_params.get("q", "").strip()
    number = page.request.query_params.get("page", "1")
    query = {"size": _PAGE_SIZE, "page": record_number(number) or 1, "orderby": "FullName"}
    listed = await page.client.find(User.path(), query | ({"User_FullName": text} if text else {}))
    return page.render("users.html", listed=listed, text=text, groups=await user_groups(page), path=USERS_PATH)


async def _show(page: ConsolePage) -> Response:
    return await _user(page, await _read(page))


async def _user(page: ConsolePage, user: Mapping[str, Any], error: ApiError | None = None, token: str = "") -> Response:
    sessions = await page.client.get("/api/auth/sessions", {"UserId": user["Id"]})
    running = [each for each in sessions if each["EndedOn"] is None and not page.format.is_past(each["ExpireDate"])]
    return page.render(
        "user.html", error.status if error else HTTPStatus.OK,
        user=user, error=error, token=token, path=f"{USERS_PATH}/{user['Id']}",
        sessions=[each for each in running if each["Method"] != API_TOKEN],
        tokens=[each for each in running if each["Method"] == API_TOKEN],
        groups=await user_groups(page), may_edit=page.may(User, "update"), token_days=_TOKEN_DAYS,
        new_password=secrets.token_urlsafe(12), is_self=user["Id"] == page.principal.user_id,
    )  # fmt: skip


async def _show_new(page: ConsolePage) -> Response:
    _require(page)
    return await _form(page, {"Password": secrets.token_urlsafe(12), "MustResetPassword": "true"})


async def _form(page: ConsolePage, entered: Mapping[str, Any], error: ApiError | None = None) -> Response:
    return page.render(
        "user_new.html", error.status if error else HTTPStatus.OK,
        entered=entered, error=error, groups=await user_groups(page), path=f"{USERS_PATH}/new",
        chosen={name: many(entered, name) for name in ("Businesses", "UserRoles")},
    )  # fmt: skip


async def _create(page: ConsolePage) -> Response:
    _require(page)
    form = await page.form()
    body = {name: form.get(name) or None for name in ("FullName", "Email", "Password")}
    body |= {"Active": True, "APIAccess": True, "Language": _LANGUAGE, "IsAdmin": form.get("IsAdmin") == "true"}
    body |= {name: many(form, name) for name in ("Businesses", "UserRoles")}
    body["MustResetPassword"] = form.get("MustResetPassword") == "true"
    try:
        answer = await page.client.post(User.path(), body, str(form.get("key", "")) or None)
    except ApiError as error:
        return await _form(page, form, shown_error(error))
    return page.redirect(f"{USERS_PATH}/{answer['Value']['Id']}", notice=mark("The user was created"))


async def _change(page: ConsolePage) -> Response:
    """One of the buttons of a user's page: rights, access, password, second factor, a session, a token."""
    user = await _read(page)
    form = await page.form()
    act = _ACTS.get(str(form.get("act", "")))
    if act is None:
        return await _user(page, user)
    try:
        return await act(page, user, form)
    except ApiError as error:
        return await _user(page, user, shown_error(error))


async def _set_access(page: ConsolePage, user: dict[str, Any], form: Mapping[str, Any]) -> Response:
    is_on = form.get("value") == "on"
    await page.client.put(f"{User.path()}/{user['Id']}", {**user, "Active": is_on})
    return _back(page, user, mark("The user may sign in again") if is_on else mark("The user was disabled"))


async def _set_rights(page: ConsolePage, user: dict[str, Any], form: Mapping[str, Any]) -> Response:
    changed: dict[str, Any] = {name: many(form, name) for name in ("Businesses", "UserRoles")}
    changed |= {"FullName": form.get("FullName"), "Email": form.get("Email"), "IsAdmin": form.get("IsAdmin") == "true"}
    await page.client.put(f"{User.path()}/{user['Id']}", {**user, **changed})
    return _back(page, user, mark("The user was changed"))


async def _set_password(page: ConsolePage, user: dict[str, Any], form: Mapping[str, Any]) -> Response:
    must_reset = form.get("MustResetPassword") == "true"
    changed = {"NewPassword": form.get("password") or None, "MustResetPassword": must_reset}
    await page.client.put(f"{User.path()}/{user['Id']}", {**user, **changed})
    return _back(page, user, mark("The password was set, and every session of the user ended"))


async def _remove_second_factor(page: ConsolePage, user: dict[str, Any], form: Mapping[str, Any]) -> Response:
    await page.client.post(SECOND_FACTOR_PATH, {"UserId": user["Id"], "Reason": form.get("reason") or None})
    return _back(page, user, mark("The second factor was removed, and every session of the user ended"))


async def _end_session(page: ConsolePage, user: dict[str, Any], form: Mapping[str, Any]) -> Response:
    session_id = str(form.get("session", ""))
    if record_number(session_id) is not None:
        await page.client.delete(f"/api/auth/sessions/{session_id}")
    return _back(page, user, mark("The session has ended"))


async def _create_token(page: ConsolePage, user: dict[str, Any], form: Mapping[str, Any]) -> Response:
    body = {"Name": form.get("name") or None, "Days": form.get("days") or None, "UserId": user["Id"]}
    answer = await page.client.post("/api/auth/tokens", body)
    return await _user(page, user, token=answer["Value"]["Token"])


_ACTS: Final = {
    "access": _set_access,
    "rights": _set_rights,
    "password": _set_password,
    "second-factor": _remove_second_factor,
    "session": _end_session,
    "token": _create_token,
}


def _back(page: ConsolePage, user: Mapping[str, Any], notice: str) -> Response:
    return page.redirect(f"{USERS_PATH}/{user['Id']}", notice=notice)


async def _read(page: ConsolePage) -> dict[str, Any]:
    user: dict[str, Any] = await page.client.get(f"{User.path()}/{page.request.path_params['id']}")
    return user


async def user_groups(page: ConsolePage) -> dict[int, dict[str, Any]]:
    """The groups of roles by id, in order of name; none for a user who may not list them."""
    query = {"size": MAX_PAGE_RECORDS, "orderby": "Name"}
    listed = await allowed(page.client.find(UserRole.path(), query), RecordPage([], 0))
    return {each["Id"]: each for each in listed.records}


def many(form: Mapping[str, Any], name: str) -> list[str]:
    """The values of a field that may be there several times."""
    value = form.get(name) or []
    return [value] if isinstance(value, str) else list(value)


def _require(page: ConsolePage) -> None:
    if not page.may(User, "list"):
        raise PermissionDenied(f"The role {User.roles['list']} is needed")


def shown_error(error: ApiError) -> ApiError:
    """The error, to be shown with the form. Raises it if it does not concern the form."""
    if error.status >= HTTPStatus.INTERNAL_SERVER_ERROR or error.status == HTTPStatus.UNAUTHORIZED:
        raise error
    return error


USER_SCREENS: Final = (
    Screen(USERS_PATH, _list),
    Screen(f"{USERS_PATH}/new", _show_new),
    Screen(f"{USERS_PATH}/new", _create, ("POST",)),
    Screen(f"{USERS_PATH}/{{id:int}}", _show),
    Screen(f"{USERS_PATH}/{{id:int}}", _change, ("POST",)),
)
