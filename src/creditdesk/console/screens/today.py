"""Today: what needs somebody, and the latest changes by hand."""

from __future__ import annotations

from typing import Final

from starlette.responses import Response

from creditdesk.console.page import Page, Screen


async def _today(page: Page) -> Response:
    return page.render("today.html")


TODAY_SCREENS: Final = (Screen("/console/", _today),)
