"""Protection against cross-site request forgery: writes that another site starts are refused.

This applies to all credentials, because a browser adds remembered Basic credentials also to requests of foreign pages.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final
from urllib.parse import urlsplit

from starlette.datastructures import Headers

from creditdesk.schema.errors import DomainError, PermissionDenied

SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_OWN_SITE: Final = frozenset({"same-origin", "none"})
"""`none` means that the user started the request, for example from the address bar."""
_BROWSER_HEADERS: Final = frozenset({b"sec-fetch-site", b"sec-fetch-mode", b"origin"})
_BODY_TYPES: Final = frozenset({"application/json", "application/x-www-form-urlencoded", "application/octet-stream"})
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}


class UnsupportedMediaType(DomainError):
    """A browser sent a body that is not declared as JSON, a form or a file."""

    status = 415


def require_own_site(headers: Headers, allowed_origins: frozenset[str]) -> None:
    """Raises PermissionDenied for a write that a page of another site started.

    Origins compare by host and port: behind a proxy the scheme of a request is not known.
    """
    origin = headers.get("origin")
    if origin is not None and origin.lower().rstrip("/") in allowed_origins:
        return
    site = headers.get("sec-fetch-site")
    if site is not None and site.lower() not in _OWN_SITE:
        raise PermissionDenied("Pages of another site cannot write here")
    if origin is not None and not _is_own(origin, headers.get("host", "")):
        raise PermissionDenied(f"Pages of another site cannot write here: {origin[:200]}")


def require_declared_type(headers: Headers) -> None:
    """Raises UnsupportedMediaType if the body of a browser's request has no declared type.

    Without a preflight request a foreign page can send text, or a file without a type, but neither `application/json`
    nor `application/octet-stream`.
    """
    has_body = headers.get("content-length", "0") != "0" or "transfer-encoding" in headers
    content_type = headers.get("content-type", "").partition(";")[0].strip().lower()
    if has_body and content_type not in _BODY_TYPES:
        raise UnsupportedMediaType("A browser must send the body as application/json")


def is_browser(headers: Iterable[tuple[bytes, bytes]]) -> bool:
    """Whether a browser sent these headers. Older browsers are recognised only by their User-Agent."""
    for name, value in headers:
        if name in _BROWSER_HEADERS or (name == b"user-agent" and value.startswith(b"Mozilla/")):
            return True
    return False


def _is_own(origin: str, host: str) -> bool:
    try:
        sent = urlsplit(origin)
        own = urlsplit(f"{sent.scheme}://{host}")
        sent_port, own_port = sent.port, own.port
    except ValueError:
        return False
    default = _DEFAULT_PORTS.get(sent.scheme)
    if default is None or sent.hostname is None:
        return False
    return (sent.hostname, sent_port or default) == (own.hostname, own_port or default)
