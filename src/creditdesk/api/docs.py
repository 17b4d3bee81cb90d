"""The API's documentation: the OpenAPI document, and Swagger UI to read and try it.

Everything is served from `static/`, so the page works offline. Its scripts and styles are our own files
or those of the vendored package, never inline; `static/swagger-ui/vendor.json` records the package's
version and hashes, and `tools/vendor.py` downloads it again.
"""

from __future__ import annotations

from functools import cache, partial
from pathlib import Path
from typing import Final

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from creditdesk.api.context import ApiContext, Route, RouteHandler
from creditdesk.api.openapi import openapi_document
from creditdesk.api.reference_data import health, ready
from creditdesk.api.responses import JsonBytesResponse
from creditdesk.api.security_headers import PAGE_POLICY
from creditdesk.api.serializer import encode

_STATIC: Final = Path(__file__).with_name("static")
STATIC_FILES: Final = {
    "/docs": ("docs.html", "text/html"),
    "/docs/docs.js": ("docs.js", "text/javascript"),
    "/docs/docs.css": ("docs.css", "text/css"),
    "/docs/swagger-ui-bundle.js": ("swagger-ui/swagger-ui-bundle.js", "text/javascript"),
    "/docs/swagger-ui.css": ("swagger-ui/swagger-ui.css", "text/css"),
}
"""Path, then the file under `static/` and its media type."""


def page_routes(api: ApiContext) -> list[Route]:
    """`/health` and `/ready`, and, unless the settings disable them, `/openapi.json`, `/docs` and `/`."""

    @cache
    def document() -> bytes:
        return encode(openapi_document(api.entities, api.extra_routes))

    async def openapi(_api: ApiContext, _request: Request) -> Response:
        return JsonBytesResponse(document())

    pages: dict[str, RouteHandler] = {"/health": health, "/ready": ready}
    if api.settings.publish_docs:
        pages |= {
            "": _redirect_to_docs,
            "/openapi.json": openapi,
            **{path: partial(_static_file, *file) for path, file in STATIC_FILES.items()},
        }
    return [
        Route(method, path, handler, is_public=True) for path, handler in pages.items() for method in ("GET", "HEAD")
    ]


async def _redirect_to_docs(_api: ApiContext, _request: Request) -> Response:
    # Relative, so that it also works under a path prefix of a proxy.
    return RedirectResponse("docs")


@cache
def _content(file: str) -> bytes:
    return (_STATIC / file).read_bytes()


async def _static_file(file: str, media_type: str, _api: ApiContext, _request: Request) -> Response:
    return Response(_content(file), media_type=media_type, headers={"Content-Security-Policy": PAGE_POLICY})
