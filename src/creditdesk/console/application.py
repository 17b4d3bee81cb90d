"""The ASGI application of the pages, in front of the API: `/`, `/console` and `/me` are its own."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from datetime import datetime
from functools import partial
from http import HTTPStatus
from urllib.parse import urlencode

from starlette.convertors import register_url_convertor
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route as StarletteRoute
from starlette.routing import Router
from starlette.types import ASGIApp, Receive, Scope, Send

from creditdesk.api.browser_requests import SAFE_METHODS
from creditdesk.api.origin import client_address
from creditdesk.api.routes import Api
from creditdesk.console.api_client import ApiError, InProcessClient
from creditdesk.console.error_pages import error_page
from creditdesk.console.locations import visible_locations
from creditdesk.console.member.link import LINK_PATH, show_link, use_link
from creditdesk.console.member.overview import show_overview
from creditdesk.console.member.page import MEMBER_HOME, MemberPage, MemberScreen, load_member_page
from creditdesk.console.member.registry import MEMBER_SCREENS
from creditdesk.console.numbers import RecordNumberConvertor
from creditdesk.console.page import ConsolePage, Screen
from creditdesk.console.preferences import read_preferences
from creditdesk.console.screens.registry import ALL_SCREENS
from creditdesk.console.security import PAGE_HEADERS, frame_headers, require_own_page
from creditdesk.console.session import end_session, session_token
from creditdesk.console.sign_in import LINK_REQUEST_PATH, NEW_PASSWORD_PATH, SIGN_IN_PATH, SignInPages, leave
from creditdesk.console.static_files import EMBED_PATH, serve_embed, serve_static
from creditdesk.schema.errors import DomainError, NotFound, Unauthenticated
from creditdesk.schema.service import Principal
from creditdesk.telemetry.request_record import SCOPE_KEY, RequestRecord

_logger = logging.getLogger("creditdesk.console")
_COMPRESS_FROM_BYTES = 1_000
FRAME_PATH = "/me/frame/{token}"
_OWN_PATHS = frozenset({"/", "/console", "/me"})
_OWN_PREFIXES = ("/console/", "/me/")

# Starlette's own convertor fails for more digits than Python parses as a number.
register_url_convertor("int", RecordNumberConvertor())

Endpoint = Callable[[Request], Awaitable[Response]]


class Console:
    """Serves the pages, and hands every other path to the API.

    `frame_ancestors` are the origins that may frame a member's page. Raises ValidationError for others.
    With `sends_links` members may ask for a sign-in link by e-mail.
    """

    def __init__(self, api: Api, frame_ancestors: str = "", *, sends_links: bool = False) -> None:
        self.context = api.context
        self._frame_headers = frame_headers(frame_ancestors)
        self._api = api
        self._sends_links, doors = sends_links, SignInPages(sends_links)
        routes = [
            StarletteRoute("/", _to_console),
            StarletteRoute("/console", _to_console),
            StarletteRoute("/console/static/{version}/{name}", serve_static),
            *(
                StarletteRoute(path, self._public(path, handler), methods=[method])
                for path, method, handler in (
                    (SIGN_IN_PATH, "GET", doors.show),
                    (SIGN_IN_PATH, "POST", doors.sign_in),
                    (NEW_PASSWORD_PATH, "GET", doors.show),
                    (NEW_PASSWORD_PATH, "POST", doors.set_new_password),
                    (LINK_REQUEST_PATH, "POST", doors.request_link),
                )
            ),
            StarletteRoute("/console/sign-out", self._public("/console/sign-out", leave), methods=["POST"]),
            *(
                StarletteRoute(each.path, self._signed_in(each), methods=list(each.methods), name=each.path)
                for each in ALL_SCREENS
            ),
            StarletteRoute("/me", _to_member),
            StarletteRoute(LINK_PATH, self._public(LINK_PATH, show_link)),
            StarletteRoute(LINK_PATH, self._public(LINK_PATH, use_link), methods=["POST"]),
            StarletteRoute(EMBED_PATH, serve_embed),
            StarletteRoute(FRAME_PATH, partial(self._guarded, FRAME_PATH, self._show_frame)),
            *(
                StarletteRoute(each.path, self._member(each), methods=list(each.methods), name=each.path)
                for each in MEMBER_SCREENS
            ),
        ]
        router = Router(routes, redirect_slashes=True, default=self._not_found)
        self._pages: ASGIApp = GZipMiddleware(router, minimum_size=_COMPRESS_FROM_BYTES, compresslevel=5)

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        path = scope.get("path", "")
        is_page = scope["type"] == "http" and (path in _OWN_PATHS or path.startswith(_OWN_PREFIXES))
        return (self._pages if is_page else self._api)(scope, receive, send)

    def _public(self, path: str, handler: Callable[[Request, InProcessClient], Awaitable[Response]]) -> Endpoint:
        async def endpoint(request: Request) -> Response:
            return await handler(request, InProcessClient(self._api, request.scope))

        return partial(self._guarded, path, endpoint)

    def _signed_in(self, screen: Screen) -> Endpoint:
        async def endpoint(request: Request) -> Response:
            now = self.context.clock()
            principal, client = await self._sign_in(request, session_token(request), now)
            if principal.is_member:
                return RedirectResponse(MEMBER_HOME, HTTPStatus.SEE_OTHER, headers=PAGE_HEADERS)
            locations = await visible_locations(client)
            preferences = read_preferences(request)
            return await screen.handler(
                ConsolePage(request, self.context, client, principal, preferences, locations, now, self._sends_links)
            )

        return partial(self._guarded, screen.path, endpoint)

    def _member(self, screen: MemberScreen) -> Endpoint:
        async def endpoint(request: Request) -> Response:
            page = await self._member_page(request, session_token(request))
            if page is None:
                return RedirectResponse("/console/", HTTPStatus.SEE_OTHER, headers=PAGE_HEADERS)
            return await screen.handler(page)

        return partial(self._guarded, screen.path, endpoint)

    async def _show_frame(self, request: Request) -> Response:
        """The member's first page in a frame of another site, authenticated by the link in the address."""
        if self._frame_headers is None:
            raise NotFound
        try:
            token = await self.context.authenticator.open_frame(request.path_params["token"], self.context.clock())
            page = await self._member_page(request, token)
        except Unauthenticated as error:
            return error_page(request, HTTPStatus.FORBIDDEN, error.message, self._frame_headers)
        if page is None:
            raise NotFound
        page.is_framed, page.headers = True, self._frame_headers
        return await show_overview(page)

    async def _member_page(self, request: Request, token: str | None) -> MemberPage | None:
        """The page of a signed-in member; None for a user of the operator. Raises Unauthenticated."""
        now = self.context.clock()
        principal, client = await self._sign_in(request, token, now)
        if not principal.is_member:
            return None
        return await load_member_page(request, self.context, client, principal, read_preferences(request), now)

    async def _sign_in(self, request: Request, token: str | None, now: datetime) -> tuple[Principal, InProcessClient]:
        """The user of a token and its client of the API. Raises Unauthenticated."""
        address = client_address(request.scope, self.context.proxy_hops)
        principal = await self.context.authenticator.authenticate(f"Bearer {token or ''}", now, address)
        record: RequestRecord | None = request.scope.get(SCOPE_KEY)
        if record is not None:
            record.user_id = principal.user_id
        language = read_preferences(request).language
        return principal, InProcessClient(self._api, request.scope, token, language)

    async def _guarded(self, path: str, endpoint: Endpoint, request: Request) -> Response:
        """Runs an endpoint; every error becomes a page, and a missing session redirects to the sign-in."""
        record: RequestRecord | None = request.scope.get(SCOPE_KEY)
        if record is not None:
            record.route = path
        try:
            if request.method not in SAFE_METHODS:
                require_own_page(request.headers)
            return await endpoint(request)
        except Unauthenticated:
            return _to_sign_in(request)
        except ApiError as error:
            if error.status == HTTPStatus.UNAUTHORIZED:
                return _to_sign_in(request)
            return error_page(request, error.status, error.message)
        except DomainError as error:
            return error_page(request, error.status, error.message)
        except self.context.transient_errors as error:
            _logger.warning("database unavailable", exc_info=error)
            return error_page(request, HTTPStatus.SERVICE_UNAVAILABLE)
        except Exception:  # the trace goes to the log, never to a browser
            _logger.exception("page failed")
            return error_page(request, HTTPStatus.INTERNAL_SERVER_ERROR)

    async def _not_found(self, scope: Scope, receive: Receive, send: Send) -> None:
        response = error_page(Request(scope, receive), HTTPStatus.NOT_FOUND)
        await response(scope, receive, send)


async def _to_console(_request: Request) -> Response:
    return RedirectResponse("/console/", headers=PAGE_HEADERS)


async def _to_member(_request: Request) -> Response:
    return RedirectResponse(MEMBER_HOME, headers=PAGE_HEADERS)


def _to_sign_in(request: Request) -> Response:
    """Redirects to the sign-in, which leads back to the page; a script's request makes the whole page go there."""
    path = request.url.path
    query: dict[str, str] = {}
    if request.method in SAFE_METHODS and path != "/console/":
        query["next"] = f"{path}?{request.url.query}" if request.url.query else path
    target = f"{SIGN_IN_PATH}?{urlencode(query)}" if query else SIGN_IN_PATH
    response: Response
    if request.headers.get("hx-request") == "true":
        response = Response(headers={**PAGE_HEADERS, "HX-Redirect": SIGN_IN_PATH})
    else:
        response = RedirectResponse(target, HTTPStatus.SEE_OTHER, headers=PAGE_HEADERS)
    if session_token(request):
        end_session(response, request)
    return response
