"""Saved views of lists: the links to them, and with whom they can be shared."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode

from creditdesk.console.api_client import MAX_PAGE_RECORDS, RecordPage
from creditdesk.console.labels import entity_plural
from creditdesk.console.links import list_path
from creditdesk.console.list_query import VIEW_PARAM, ListAddress
from creditdesk.console.page import ConsolePage
from creditdesk.console.translations import mark
from creditdesk.entities.security.user_role import UserRole
from creditdesk.schema.entity import Entity, entity_by_name

VIEWS_API: Final = "/api/sys/savedviews"
ONLY_ME: Final = ""
EVERYBODY: Final = "all"
_LOCATION: Final = "location"
_ROLE: Final = "role"


@dataclass(frozen=True, slots=True)
class ViewLink:
    """A saved view as pages show it. `shared_with` is empty for a private one."""

    id: int
    name: str
    list_title: str
    path: str
    owner: str
    shared_with: str
    is_own: bool
    may_change: bool
    pairs: tuple[tuple[str, str], ...]

    def differs_from(self, address: ListAddress) -> bool:
        """Whether the list at the address is no longer as it was saved."""
        return sorted(self.pairs) != sorted(address.saved_pairs)


async def read_views(page: ConsolePage, entity: type[Entity] | None = None) -> list[ViewLink]:
    """The views that the user sees, by name; those of one list, or of all lists."""
    query = {"EntityName": entity.__name__} if entity else {}
    return [view_link(page, view) for view in await page.client.get(VIEWS_API, query)]


def view_link(page: ConsolePage, view: Mapping[str, Any]) -> ViewLink:
    """The link to a view of the API."""
    entity = entity_by_name(view["EntityName"])
    pairs = tuple(parse_qsl(view["Query"]))
    return ViewLink(
        view["Id"], view["Name"], entity_plural(entity, page.language),
        f"{list_path(entity)}?{urlencode([*pairs, (VIEW_PARAM, str(view['Id']))])}",
        view["UserFullName"] or "", _shared_with(page, view), view["IsOwn"], view["MayChange"], pairs,
    )  # fmt: skip


def _shared_with(page: ConsolePage, view: Mapping[str, Any]) -> str:
    if view["UserRoleId"]:
        return str(view["UserRoleName"] or f"#{view['UserRoleId']}")
    if view["BusinessId"]:
        return str(view["BusinessName"] or f"#{view['BusinessId']}")
    return page.translate(mark("All locations")) if view["Shared"] else ""


def audience_of(view: Mapping[str, Any]) -> str:
    """The value of the audience control for a view of the API."""
    if view["UserRoleId"]:
        return f"{_ROLE}:{view['UserRoleId']}"
    if view["BusinessId"]:
        return f"{_LOCATION}:{view['BusinessId']}"
    return EVERYBODY if view["Shared"] else ONLY_ME


async def audiences(page: ConsolePage, *, chosen: str) -> list[tuple[str, str]]:
    """Who a view can be shared with, as value and title; the chosen value is always among them."""
    found = [(ONLY_ME, page.translate(mark("Only me")))]
    if page.principal.locations is None:
        found.append((EVERYBODY, page.translate(mark("Everybody, at all locations"))))
    found += [
        (f"{_LOCATION}:{each.id}", page.translate(mark("Everybody at %(location)s"), location=each.name))
        for each in page.locations.values()
    ]
    if page.may(UserRole, "list"):
        listed: RecordPage = await page.client.find(UserRole.path(), {"size": MAX_PAGE_RECORDS, "orderby": "Name"})
        found += [
            (f"{_ROLE}:{role['Id']}", page.translate(mark("Role: %(role)s"), role=_role_name(role)))
            for role in listed.records
        ]
    if chosen not in (value for value, _ in found):
        found.append((chosen, page.translate(mark("As before"))))
    return found


def _role_name(role: Mapping[str, Any]) -> str:
    name = role["Name"] or f"#{role['Id']}"
    return f"{name}, {role['BusinessName']}" if role.get("BusinessName") else str(name)


def sharing(audience: str) -> dict[str, Any]:
    """The API's values of an audience; what is none of them goes to the API, whose error says so."""
    kind, _, number = audience.partition(":")
    return {
        "Shared": bool(audience),
        "BusinessId": number if kind == _LOCATION else None,
        "UserRoleId": number if kind == _ROLE else None,
    }
