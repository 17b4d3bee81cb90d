"""The browser's session: an access token in a cookie that scripts cannot read.

The cookie has the `__Host-` prefix, which browsers take over https alone; on plain http of the own
machine it has another name.
"""

from __future__ import annotations

import ipaddress
from typing import Any, Final
from uuid import uuid4

from starlette.requests import Request
from starlette.responses import Response

from creditdesk.console.api_client import InProcessClient

SECURE_COOKIE: Final = "__Host-creditdesk"
LOCAL_COOKIE: Final = "creditdesk-local"


def session_token(request: Request) -> str | None:
    """The access token of the session; None without one."""
    return request.cookies.get(_cookie_name(request))


async def request_session(client: InProcessClient, email: str, password: str, code: str) -> dict[str, Any]:
    """The token endpoint's response for these credentials. Raises ApiError.

    Each sign-in is a client of its own, so that one browser's session does not end another's.
    """
    form = {"grant_type": "password", "username": email, "password": password, "totp": code}
    tokens: dict[str, Any] = await client.submit_form("/api/token", form, {"client_id": f"console-{uuid4()}"})
    return tokens


def start_session(response: Response, request: Request, token: str) -> None:
    """Sets the session's cookie, which ends with the browser."""
    secure = not _is_plain_local(request)
    response.set_cookie(_cookie_name(request), token, path="/", secure=secure, httponly=True, samesite="strict")


def end_session(response: Response, request: Request) -> None:
    """Removes the session's cookie."""
    secure = not _is_plain_local(request)
    response.delete_cookie(_cookie_name(request), path="/", secure=secure, httponly=True, samesite="strict")


def _cookie_name(request: Request) -> str:
    return LOCAL_COOKIE if _is_plain_local(request) else SECURE_COOKIE


def _is_plain_local(request: Request) -> bool:
    """Whether the browser speaks plain http to its own machine."""
    host = request.url.hostname or ""
    if request.url.scheme != "http":
        return False
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
