"""The few icons of the pages as inline SVG, which follow the colour of their text."""

from __future__ import annotations

from typing import Final

from markupsafe import Markup

_PATHS: Final = {
    "today": "M3 10.5 12 3l9 7.5M5.5 9v11h13V9M9.5 20v-6h5v6",
    "customers": "M16 20v-1.5a4 4 0 0 0-4-4H6a4 4 0 0 0-4 4V20M9 10.5a3.5 3.5 0 1 0 0-7 3.5 3.5 0 0 0 0 7ZM22 20v-1.5a4 4 0 0 0-3-3.9M15.5 3.7a3.5 3.5 0 0 1 0 6.7",
    "credits": "M3 6.5h18v12H3zM3 10.5h18M7 15h4",
    "spend": "M4 12h15M13 6l6 6-6 6",
    "api": "m8 7-5 5 5 5M16 7l5 5-5 5",
    "bulk": "M4 6h10M4 12h10M4 18h6M15 17l2.5 2.5L22 15",
    "exceptions": "M12 9v4.5M12 17h.01M10.4 3.9 2.3 18a1.9 1.9 0 0 0 1.6 2.9h16.2a1.9 1.9 0 0 0 1.6-2.9L13.6 3.9a1.9 1.9 0 0 0-3.2 0Z",
    "reports": "M4 20V9M10 20V4M16 20v-8M22 20H2",
    "journal": "M6 3h12v18H6zM9.5 8h5M9.5 12h5M9.5 16h3",
    "records": "M4 6c0-1.7 3.6-3 8-3s8 1.3 8 3-3.6 3-8 3-8-1.3-8-3ZM4 6v12c0 1.7 3.6 3 8 3s8-1.3 8-3V6M4 12c0 1.7 3.6 3 8 3s8-1.3 8-3",
    "search": "M10.5 17a6.5 6.5 0 1 0 0-13 6.5 6.5 0 0 0 0 13ZM15.5 15.5 21 21",
    "close": "M6 6l12 12M18 6 6 18",
    "menu": "M4 7h16M4 12h16M4 17h16",
    "settings": "M4 7h10M18 7h2M4 17h2M10 17h10M16 9.5a2.5 2.5 0 1 0 0-5 2.5 2.5 0 0 0 0 5ZM8 19.5a2.5 2.5 0 1 0 0-5 2.5 2.5 0 0 0 0 5Z",
    "next": "m9 5 7 7-7 7",
    "previous": "m15 5-7 7 7 7",
    "check": "m4 12.5 5 5L20 6.5",
    "download": "M12 4v11M7 10.5l5 5 5-5M4 20h16",
}


def icon(name: str) -> Markup:
    """An icon that screen readers skip, because text is beside it. Raises KeyError."""
    return Markup(
        '<svg class="icon" viewBox="0 0 24 24" width="16" height="16" fill="none" stroke="currentColor" '
        'stroke-width="1.8" stroke-linecap="round" stroke-linejoin="round" aria-hidden="true" focusable="false">'
        '<path d="{}"/></svg>'
    ).format(_PATHS[name])
