"""Groups of roles as a matrix of records and verbs, with presets for common jobs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

from starlette.responses import Response

from creditdesk.console.api_client import MAX_PAGE_RECORDS, ApiError
from creditdesk.console.labels import entity_plural
from creditdesk.console.page import ConsolePage, Screen
from creditdesk.console.role_presets import PRESETS, WHOLE_AREA_ROLES
from creditdesk.console.screens.users import many, user_groups
from creditdesk.console.translations import mark
from creditdesk.entities.security.role import Role
from creditdesk.entities.security.user_role import UserRole
from creditdesk.entities.sys.user import User
from creditdesk.schema.entity import ALL_VERBS, Entity, Verb
from creditdesk.schema.errors import PermissionDenied

ROLES_PATH: Final = "/console/admin/roles"
VERB_TITLES: Final[dict[Verb, str]] = {
    "list": mark("List"),
    "get": mark("Read"),
    "create": mark("Create"),
    "update": mark("Edit"),
    "delete": mark("Delete"),
}


@dataclass(frozen=True, slots=True)
class MatrixRow:
    """One kind of record: the role of each verb it offers, None for the others."""

    title: str
    roles: tuple[str | None, ...]


def matrix(entities: tuple[type[Entity], ...], language: str) -> list[MatrixRow]:
    """The kinds of records that have roles of their own, by title."""
    rows = [
        MatrixRow(
            entity_plural(entity, language),
            tuple(
                entity.roles[verb] if verb in entity.verbs and entity.roles[verb] not in WHOLE_AREA_ROLES else None
                for verb in ALL_VERBS
            ),
        )
        for entity in entities
    ]
    return sorted((row for row in rows if any(row.roles)), key=lambda row: row.title)


async def _list(page: ConsolePage) -> Response:
    """The groups, each with how many kinds of records it may list, read, create, edit and delete."""
    _require(page)
    names = {role_id: name for name, role_id in (await _role_ids(page)).items()}
    rows = matrix(page.context.entities, page.language)
    groups = []
    for group in (await user_groups(page)).values():
        full = await page.client.get(f"{UserRole.path()}/{group['Id']}")
        held = {names[each].lower() for each in full["Roles"] or () if each in names}
        counts = [sum((row.roles[place] or "").lower() in held for row in rows) for place in range(len(ALL_VERBS))]
        areas = [name for name in WHOLE_AREA_ROLES if name.lower() in held]
        groups.append((group, counts, areas, len(full["Users"] or ())))
    return page.render(
        "roles.html", groups=groups, verbs=VERB_TITLES, areas=WHOLE_AREA_ROLES, kinds=len(rows), presets=PRESETS,
        path=ROLES_PATH, may_create=page.may(UserRole, "create"),
    )  # fmt: skip


async def _show_new(page: ConsolePage) -> Response:
    _require(page)
    key = page.request.query_params.get("preset", "")
    preset = next((each for each in PRESETS if each.key == key), None)
    held = preset.roles(page.context.entities) if preset else set()
    group: dict[str, Any] = {"Name": page.translate(preset.title) if preset else "", "BusinessId": None, "Users": []}
    return await _form(page, group, {name.lower() for name in held})


async def _show(page: ConsolePage) -> Response:
    _require(page)
    group = await page.client.get(f"{UserRole.path()}/{page.request.path_params['id']}")
    names = {role_id: name for name, role_id in (await _role_ids(page)).items()}
    return await _form(page, group, {names[each].lower() for each in group["Roles"] or () if each in names})


async def _save(page: ConsolePage) -> Response:
    _require(page)
    form = await page.form()
    ids = {name.lower(): role_id for name, role_id in (await _role_ids(page)).items()}
    chosen = {name.lower() for name in many(form, "role")}
    body = {
        "Name": form.get("Name") or None,
        "BusinessId": form.get("BusinessId") or None,
        "Roles": sorted(ids[name] for name in chosen if name in ids),
        "Users": many(form, "Users"),
    }
    group_id = page.request.path_params.get("id")
    try:
        _require_known(page, chosen - ids.keys())
        if group_id is None:
            await page.client.post(UserRole.path(), body, str(form.get("key", "")) or None)
        else:
            stored = await page.client.get(f"{UserRole.path()}/{group_id}")
            await page.client.put(f"{UserRole.path()}/{group_id}", {**stored, **body})
    except ApiError as error:
        if error.status >= HTTPStatus.INTERNAL_SERVER_ERROR or error.status == HTTPStatus.UNAUTHORIZED:
            raise
        return await _form(page, {**body, "Id": group_id}, chosen, error)
    return page.redirect(ROLES_PATH, notice=mark("The group was saved"))


def _require_known(page: ConsolePage, unknown: set[str]) -> None:
    if unknown:
        names = ", ".join(sorted(unknown))
        text = mark("Not in this database: %(names)s. Run creditdesk migrate.")
        raise ApiError(HTTPStatus.UNPROCESSABLE_ENTITY, page.translate(text, names=names))


async def _form(page: ConsolePage, group: Mapping[str, Any], held: set[str], error: ApiError | None = None) -> Response:
    users = await page.client.find(User.path(), {"size": MAX_PAGE_RECORDS, "orderby": "FullName"})
    group_id = page.request.path_params.get("id")
    return page.render(
        "role.html", error.status if error else HTTPStatus.OK,
        group=group, held=held, error=error, rows=matrix(page.context.entities, page.language), verbs=VERB_TITLES, presets=PRESETS,
        areas=WHOLE_AREA_ROLES, users=users.records, chosen={str(each) for each in group["Users"] or ()}, list_path=ROLES_PATH,
        path=f"{ROLES_PATH}/{group_id or 'new'}", may_save=page.may(UserRole, "update" if group_id else "create"),
    )  # fmt: skip


async def _role_ids(page: ConsolePage) -> dict[str, int]:
    listed = await page.client.find(Role.path(), {"size": MAX_PAGE_RECORDS})
    return {each["Name"]: each["Id"] for each in listed.records}


def _require(page: ConsolePage) -> None:
    if not (page.may(UserRole, "list") and page.may(User, "list") and page.may(Role, "list")):
        raise PermissionDenied(f"The role {UserRole.roles['list']} is needed")


ROLE_SCREENS: Final = (
    Screen(ROLES_PATH, _list),
    Screen(f"{ROLES_PATH}/new", _show_new),
    Screen(f"{ROLES_PATH}/new", _save, ("POST",)),
    Screen(f"{ROLES_PATH}/{{id:int}}", _show),
    Screen(f"{ROLES_PATH}/{{id:int}}", _save, ("POST",)),
)
