"""The browser's session: an access token in a cookie that scripts cannot read.

The cookie has the `__Host-` prefix, which browsers accept only over https; on plain http to the same machine it has
another name.
"""

from __future__ import annotations

import ipaddress
from secrets import token_urlsafe
from typing import Any, Final
from uuid import uuid4

from starlette.requests import Request
from starlette.responses import Response

from creditdesk.console.api_client import InProcessClient

SECURE_COOKIE: Final = "__Host-creditdesk"
LOCAL_COOKIE: Final = "creditdesk-local"
_DEVICE: Final = "-device"
_DEVICE_BYTES: Final = 32
_DEVICE_SECONDS: Final = 365 * 24 * 3600


def session_token(request: Request) -> str | None:
    """The access token of the session; None without one."""
    return request.cookies.get(_cookie_name(request))


def device_secret(request: Request) -> str:
    """The secret by which the browser is recognised as a known device; a new one if it has none.

    Guesses by others do not slow down a known device.
    """
    return request.cookies.get(_cookie_name(request) + _DEVICE) or token_urlsafe(_DEVICE_BYTES)


async def request_session(client: InProcessClient, email: str, password: str, code: str, device: str) -> dict[str, Any]:
    """The token endpoint's response for these credentials. Raises ApiError.

    Each sign-in is a client of its own, so that one browser's session does not end another's.
    """
    form = {"grant_type": "password", "username": email, "password": password, "totp": code}
    headers = {"client_id": f"console-{uuid4()}", "device-secret": device}
    tokens: dict[str, Any] = await client.submit_form("/api/token", form, headers)
    return tokens


def start_session(response: Response, request: Request, token: str, device: str) -> None:
    """Sets the session's cookie, which ends with the browser, and the device's, which stays."""
    secure, name = not _is_plain_local(request), _cookie_name(request)
    response.set_cookie(name, token, path="/", secure=secure, httponly=True, samesite="strict")
    response.set_cookie(
        name + _DEVICE, device, _DEVICE_SECONDS, path="/", secure=secure, httponly=True, samesite="strict"
    )


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
