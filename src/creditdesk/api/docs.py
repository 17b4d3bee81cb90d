"""The pages beside the API: its document, and a page to read and try it that needs no network."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from creditdesk.api.context import ApiContext
from creditdesk.api.openapi import openapi_document
from creditdesk.api.responses import JsonBytesResponse
from creditdesk.api.serializer import encode

_PAGE = Path(__file__).with_name("docs.html")


def routes(api: ApiContext) -> list[Route]:
    """`/openapi.json` and `/docs`; the document is written when it is first asked for."""

    @cache
    def written() -> bytes:
        return encode(openapi_document(api.entities, api.extra_routes))

    async def openapi(_: Request) -> Response:
        return JsonBytesResponse(written())

    async def docs(_: Request) -> Response:
        policy = {"Content-Security-Policy": "default-src 'self' 'unsafe-inline'"}
        return HTMLResponse(_PAGE.read_text("utf-8"), headers=policy)

    return [Route("/openapi.json", openapi), Route("/docs", docs)]
