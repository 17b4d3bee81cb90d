"""The origin of a request, from its headers: the client's address behind trusted proxies, and the device."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.requests import Request

from creditdesk.api.context import ApiContext
from creditdesk.auth.origin import RequestOrigin


def request_origin(api: ApiContext, request: Request) -> RequestOrigin:
    """The origin of a request that presents credentials."""
    return RequestOrigin(
        client_address(request.scope, api.proxy_hops),
        request.headers.get("user-agent"),
        request.headers.get("device-secret"),
        has_client_credentials=request.headers.get("authorization", "").lower().startswith("basic "),
    )


def client_address(scope: Mapping[str, Any], proxy_hops: int = 0) -> str | None:
    """The client's address, with `proxy_hops` trusted proxies in front of the server.

    Without trusted proxies, ignores forwarded headers: any client can send one.
    """
    if proxy_hops > 0:
        sent = [v for k, v in scope.get("headers", ()) if k == b"x-forwarded-for"]
        hops = [hop.strip() for hop in b",".join(sent).decode("latin-1").split(",") if hop.strip()]
        if len(hops) >= proxy_hops:
            return hops[-proxy_hops]
    client = scope.get("client")
    return str(client[0]) if client else None


def first_header(scope: Mapping[str, Any], name: bytes) -> str | None:
    """The first header with this lower-case name; ASGI servers pass names in lower case."""
    for key, value in scope["headers"]:
        if key == name:
            text: str = value.decode("latin-1")
            return text
    return None
