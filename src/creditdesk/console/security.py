"""Protects the pages: their content security policy, and checks of the origin of every write."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from starlette.datastructures import Headers

from creditdesk.api.browser_requests import require_own_site
from creditdesk.schema.errors import PermissionDenied, invalid_field

_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; font-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors "
)
CONSOLE_POLICY: Final = f"{_POLICY}'none'"
_ORIGIN: Final = re.compile(r"https?://(\*\.)?[a-z0-9.-]+(:[0-9]{1,5})?")
PAGE_HEADERS: Final = {
    "Content-Security-Policy": CONSOLE_POLICY,
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    # Without any referrer a browser would send its forms with the origin `null`.
    "Referrer-Policy": "same-origin",
}
_NO_ORIGINS: Final[frozenset[str]] = frozenset()


def frame_headers(origins: str) -> Mapping[str, str] | None:
    """The headers of a page that these origins, separated by commas, may frame; None without any.

    Raises ValidationError for a text that is not an origin.
    """
    listed = [each.strip().lower().rstrip("/") for each in origins.split(",") if each.strip()]
    for origin in listed:
        if not _ORIGIN.fullmatch(origin):
            raise invalid_field("console.frame_ancestors", "must be origins such as https://www.example.com", origin)
    if not listed:
        return None
    return {**PAGE_HEADERS, "Content-Security-Policy": f"{_POLICY}{' '.join(listed)}", "Referrer-Policy": "no-referrer"}


def require_own_page(headers: Headers) -> None:
    """Raises PermissionDenied for a write that no page of the console started.

    Browsers send at least one of the two headers with every form; nothing else may write here.
    """
    if "origin" not in headers and "sec-fetch-site" not in headers:
        raise PermissionDenied("Only pages of the console can write here")
    require_own_site(headers, _NO_ORIGINS)
