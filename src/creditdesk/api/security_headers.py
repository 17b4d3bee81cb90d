"""Security headers of every response: no type sniffing, no frames, no scripts, and no caching of records."""

from __future__ import annotations

from typing import Final

from starlette.responses import Response

PAGE_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""The policy of the page at /docs, whose icons are `data:` URLs."""
_POLICY: Final = "default-src 'none'; frame-ancestors 'none'"
_ALWAYS: Final = (
    (b"x-content-type-options", b"nosniff"),
    (b"content-security-policy", _POLICY.encode()),
    (b"referrer-policy", b"no-referrer"),
)
_OF_RECORDS: Final = (*_ALWAYS, (b"cache-control", b"no-store"))
_NAMES: Final = frozenset(name for name, _ in _OF_RECORDS)


def add_security_headers(response: Response, path: str) -> None:
    """Adds the headers that the response does not set itself. Paths under /api return records and are not cached."""
    headers = _OF_RECORDS if path[:5].lower() == "/api/" else _ALWAYS
    given = dict(response.raw_headers)
    response.raw_headers += headers if _NAMES.isdisjoint(given) else [each for each in headers if each[0] not in given]
