"""What protects the pages: their content security policy, and the origin of every write."""

from __future__ import annotations

from typing import Final

from starlette.datastructures import Headers

from creditdesk.api.browser_requests import require_own_site
from creditdesk.schema.errors import PermissionDenied

CONSOLE_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; font-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
PAGE_HEADERS: Final = {
    "Content-Security-Policy": CONSOLE_POLICY,
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    # Without any referrer a browser would send its forms with the origin `null`.
    "Referrer-Policy": "same-origin",
}
_NO_ORIGINS: Final[frozenset[str]] = frozenset()


def require_own_page(headers: Headers) -> None:
    """Raises PermissionDenied for a write that no page of the console started.

    Browsers send at least one of the two headers with every form; nothing else may write here.
    """
    if "origin" not in headers and "sec-fetch-site" not in headers:
        raise PermissionDenied("Only pages of the console can write here")
    require_own_site(headers, _NO_ORIGINS)
