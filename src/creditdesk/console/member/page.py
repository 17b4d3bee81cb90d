"""The context of a request of a member's page: its customer and its rendering."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from http import HTTPStatus
from typing import Any, ClassVar, Final
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from starlette.requests import Request
from starlette.responses import Response

from creditdesk.api.context import ApiContext
from creditdesk.api.members import CURRENT_MEMBER_PATH
from creditdesk.console.api_client import InProcessClient
from creditdesk.console.locations import Location
from creditdesk.console.page import ConsolePage
from creditdesk.console.preferences import Preferences
from creditdesk.console.security import PAGE_HEADERS
from creditdesk.console.translations import mark
from creditdesk.schema.service import Principal

MEMBER_HOME: Final = "/me/"
_TABS: Final = (
    (MEMBER_HOME, mark("Credit")),
    ("/me/history", mark("History")),
    ("/me/statement", mark("Statement")),
)


@dataclass
class MemberPage(ConsolePage):
    """A page about one of the member's customers; `customers` are all of them, as the API shows them.

    A framed page is shown in another site: it has no links to other pages, which need a session.
    """

    customers: list[dict[str, Any]] = field(default_factory=list)
    may_set_first_password: bool = False
    is_framed: bool = False
    headers: Mapping[str, str] = field(default_factory=lambda: PAGE_HEADERS)

    notice_path: ClassVar[str] = MEMBER_HOME

    @property
    def customer(self) -> dict[str, Any]:
        """The customer that the address names, else the first."""
        named = self.request.query_params.get("customer", "")
        return next((each for each in self.customers if str(each["Id"]) == named), self.customers[0])

    def link(self, path: str, **values: Any) -> str:
        """The address of a page about the same customer."""
        chosen = {"customer": self.customer["Id"]} if self.customer is not self.customers[0] else {}
        query = urlencode({**chosen, **values})
        return f"{path}?{query}" if query else path

    def render(self, template: str, status: int = HTTPStatus.OK, **values: Any) -> Response:
        path = self.request.url.path
        tabs = [(self.link(each), title, path == each) for each, title in _TABS]
        return self.respond(template, status, self.headers, tabs=tabs, **values)


MemberHandler = Callable[[MemberPage], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class MemberScreen:
    """A page of a signed-in member."""

    path: str
    handler: MemberHandler
    methods: tuple[str, ...] = ("GET",)


async def load_member_page(
    request: Request,
    context: ApiContext,
    client: InProcessClient,
    principal: Principal,
    preferences: Preferences,
    now: datetime,
) -> MemberPage:
    """The page of a member, with the locations of all her customers. Raises ApiError."""
    current: dict[str, Any] = await client.get(CURRENT_MEMBER_PATH)
    locations = {
        each["Id"]: Location(each["Id"], each["Name"], each["CurrencyCode"], ZoneInfo(each["TimeZone"]))
        for customer in current["Customers"]
        for each in customer["Locations"]
    }
    return MemberPage(
        request, context, client, principal, preferences, locations, now,
        customers=current["Customers"], may_set_first_password=current["MaySetFirstPassword"],
    )  # fmt: skip
