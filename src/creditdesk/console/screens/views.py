"""Saved views: their list, and the form that names, shares, renames or deletes one."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import parse_qsl

from starlette.responses import Response

from creditdesk.console.api_client import ApiError
from creditdesk.console.labels import entity_plural
from creditdesk.console.links import list_path
from creditdesk.console.list_query import ListAddress
from creditdesk.console.page import ConsolePage, Screen
from creditdesk.console.saved_views import ONLY_ME, VIEWS_API, audience_of, audiences, read_views, sharing, view_link
from creditdesk.console.translations import mark
from creditdesk.schema.entity import Entity
from creditdesk.schema.errors import NotFound

VIEWS_PATH: Final = "/console/views"
_CHANGEABLE: Final = ("Name", "Query", "Shared", "BusinessId", "UserRoleId")


async def _all(page: ConsolePage) -> Response:
    return page.render("views.html", views=await read_views(page))


async def _new(page: ConsolePage) -> Response:
    """The form for the list whose address is this one's without `list`."""
    entity = _entity(page, page.request.query_params.get("list", ""))
    pairs = tuple(pair for pair in page.query if pair[0] != "list")
    return await _form(page, entity, {"Query": ListAddress(entity, pairs).saved_query}, ONLY_ME)


async def _create(page: ConsolePage) -> Response:
    form = await page.form()
    entity = _entity(page, str(form.get("list", "")))
    body = _body(form) | {"EntityName": entity.__name__}
    try:
        answer = await page.client.post(VIEWS_API, body, str(form.get("key", "")) or None)
    except ApiError as error:
        return await _form(page, entity, body, str(form.get("audience", "")), error)
    return page.redirect(view_link(page, answer["Value"]).path, notice=mark("The view was saved."))


async def _edit(page: ConsolePage) -> Response:
    view = await _read(page)
    return await _form(page, _entity(page, view["EntityName"]), view, audience_of(view))


async def _update(page: ConsolePage) -> Response:
    """Renames or shares the view; with a query it is also saved as the list is now."""
    view = await _read(page)
    form = await page.form()
    body = {name: view[name] for name in _CHANGEABLE} | _body(form)
    try:
        answer = await page.client.put(f"{VIEWS_API}/{view['Id']}", body)
    except ApiError as error:
        return await _form(page, _entity(page, view["EntityName"]), view | body, str(form.get("audience", "")), error)
    return page.redirect(view_link(page, answer["Value"]).path, notice=mark("The view was saved."))


async def _delete(page: ConsolePage) -> Response:
    view = await _read(page)
    await page.client.delete(f"{VIEWS_API}/{view['Id']}")
    return page.redirect(VIEWS_PATH, notice=mark("The view was deleted."))


async def _read(page: ConsolePage) -> dict[str, Any]:
    """The view that the address names. Raises NotFound where the user does not see it."""
    view_id = page.request.path_params["id"]
    found: list[dict[str, Any]] = await page.client.get(VIEWS_API)
    view = next((each for each in found if each["Id"] == view_id), None)
    if view is None:
        raise NotFound
    return view


def _entity(page: ConsolePage, name: str) -> type[Entity]:
    entity = next((each for each in page.context.entities if each.__name__ == name), None)
    if entity is None or not page.may(entity, "list"):
        raise NotFound
    return entity


def _body(form: Mapping[str, Any]) -> dict[str, Any]:
    """The API's values for the fields of the form."""
    body = sharing(str(form["audience"])) if "audience" in form else {}
    sent = {"Name": "name", "Query": "query"}
    return body | {name: str(form[field]) for name, field in sent.items() if field in form}


async def _form(
    page: ConsolePage, entity: type[Entity], view: Mapping[str, Any], audience: str, error: ApiError | None = None
) -> Response:
    """The form with each error beside its field. Raises an error that no form can show."""
    if error is not None and error.status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND):
        raise error
    address = ListAddress(entity, tuple(parse_qsl(view["Query"])))
    return page.render(
        "view_form.html",
        error.status if error else HTTPStatus.OK,
        entity=entity, title=entity_plural(entity, page.language), list_path=list_path(entity), view=view, error=error,
        address=address, audience=audience, audiences=await audiences(page, chosen=audience), views_path=VIEWS_PATH,
        path=f"{VIEWS_PATH}/{view['Id']}" if "Id" in view else VIEWS_PATH,
    )  # fmt: skip


VIEW_SCREENS: Final = (
    Screen(VIEWS_PATH, _all),
    Screen(VIEWS_PATH, _create, ("POST",)),
    Screen(f"{VIEWS_PATH}/new", _new),
    Screen(f"{VIEWS_PATH}/{{id:int}}", _edit),
    Screen(f"{VIEWS_PATH}/{{id:int}}", _update, ("POST",)),
    Screen(f"{VIEWS_PATH}/{{id:int}}/delete", _delete, ("POST",)),
)
