"""The context of a page's request: its user, API client, preferences, formats and rendering."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from gettext import NullTranslations
from http import HTTPStatus
from typing import Any, ClassVar, Final
from urllib.parse import quote, unquote
from uuid import uuid4

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from creditdesk.api.body import parse_form, read_body
from creditdesk.api.context import ApiContext
from creditdesk.console.api_client import InProcessClient
from creditdesk.console.formats import Formatter
from creditdesk.console.locations import Location
from creditdesk.console.navigation import menu_of
from creditdesk.console.preferences import Preferences
from creditdesk.console.security import PAGE_HEADERS
from creditdesk.console.templating import environment
from creditdesk.console.translations import translated_message, translations
from creditdesk.reports.result import readable_cell
from creditdesk.schema.entity import Entity, Verb
from creditdesk.schema.service import Principal

MAX_FORM_BYTES: Final = 262_144
_NOTICE_COOKIE: Final = "creditdesk-notice"
_MAX_NOTICE: Final = 500


@dataclass
class ConsolePage:
    """The context of a screen. `now` is read once per request; `sends_links` says whether e-mails can be sent."""

    request: Request
    context: ApiContext
    client: InProcessClient
    principal: Principal
    preferences: Preferences
    locations: Mapping[int, Location]
    now: datetime
    sends_links: bool = False

    notice_path: ClassVar[str] = "/console/"
    """The path on which a notice is shown."""

    @cached_property
    def translations(self) -> NullTranslations:
        return translations(self.preferences.language)

    @property
    def language(self) -> str:
        """The code of the user's language."""
        return self.preferences.language

    def translate(self, text: str, **values: Any) -> str:
        """The text in the user's language, with its placeholders filled."""
        found = self.translations.gettext(text) if text else ""
        return found % values if values else found

    def wording(self, text: str) -> str:
        """Translates a text of the API to the user's language."""
        return translated_message(text, self.language, str(self.preferences.locale))

    def recorded(self, reason: str | None) -> str:
        """The reason of an entry; a generated one is translated to the user's language."""
        return readable_cell("Reason", reason or "", self.wording)

    @cached_property
    def location(self) -> Location | None:
        """The location that lists are limited to; None for all."""
        return self.locations.get(self.preferences.location_id or 0)

    @cached_property
    def format(self) -> Formatter:
        """Formats in the time zone of the chosen location, or of the only one; else in UTC."""
        only = next(iter(self.locations.values())) if len(self.locations) == 1 else None
        location = self.location or only
        return Formatter(self.preferences.locale, location.zone if location else UTC, self.now)

    def format_at(self, location_id: int | None) -> Formatter:
        """Formats in the time zone of a location, if the user sees it."""
        location = self.locations.get(location_id or 0)
        return replace(self.format, zone=location.zone) if location else self.format

    def has_role(self, role: str) -> bool:
        return self.principal.unrestricted or role.lower() in self.principal.roles

    def may(self, entity: type[Entity], verb: Verb) -> bool:
        """Whether the entity offers the verb and the user has its role."""
        return verb in entity.verbs and self.has_role(entity.roles[verb])

    @property
    def query(self) -> list[tuple[str, str]]:
        """The parameters of the address, in order."""
        return list(self.request.query_params.multi_items())

    @property
    def is_fragment(self) -> bool:
        """Whether a script of the page requests a part of it."""
        return self.request.headers.get("hx-request") == "true"

    @cached_property
    def new_key(self) -> str:
        """The idempotency key of the forms that are rendered now."""
        return str(uuid4())

    async def form(self) -> dict[str, Any]:
        """The fields of the submitted form; repeated ones are lists. Raises BodyTooLarge or ValidationError."""
        return parse_form(await read_body(self.request, MAX_FORM_BYTES))

    def render(self, template: str, status: int = HTTPStatus.OK, **values: Any) -> Response:
        """The page of a template; its values are those of the screen and this object as `page`.

        A notice of the page before is shown, and then forgotten.
        """
        return self.respond(
            template, status, PAGE_HEADERS, menu=menu_of(self.has_role, self.request.url.path), **values
        )

    def respond(self, template: str, status: int, headers: Mapping[str, str], **values: Any) -> Response:
        """The rendered template as a response with these headers."""
        text = environment(self.preferences.language).get_template(template).render(page=self, **values)
        response = HTMLResponse(text, status, headers=headers)
        if self.notice and not self.is_fragment:
            response.delete_cookie(_NOTICE_COOKIE, path=self.notice_path, httponly=True, samesite="strict")
        return response

    @cached_property
    def notice(self) -> str:
        """The message of the last write. It is in a cookie, so that a link cannot put a text on the page."""
        return self.wording(unquote(self.request.cookies.get(_NOTICE_COOKIE, "")))

    def redirect(self, path: str, notice: str = "") -> Response:
        """Sends the browser to another page, which shows the notice once."""
        response = RedirectResponse(path, HTTPStatus.SEE_OTHER, headers=PAGE_HEADERS)
        if notice:
            response.set_cookie(
                _NOTICE_COOKIE, quote(notice[:_MAX_NOTICE]), path=self.notice_path, httponly=True, samesite="strict"
            )
        return response


def safe_path(path: str | None) -> str:
    """A path of the console or of a member, for a redirect after sign-in; any other becomes the first page."""
    if path and path.startswith(("/console/", "/me/")) and "\\" not in path and "//" not in path.partition("?")[0]:
        return quote(path, safe="/?&=%[]:,;+-_.~")
    return "/console/"


ScreenHandler = Callable[[ConsolePage], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class Screen:
    """A page of a signed-in user: Starlette's path syntax, and what answers it."""

    path: str
    handler: ScreenHandler
    methods: tuple[str, ...] = ("GET",)
