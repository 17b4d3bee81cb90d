"""Language, colours, density and location of this browser."""

from __future__ import annotations

from typing import Final

from starlette.responses import Response

from creditdesk.console.page import ConsolePage, Screen, safe_path
from creditdesk.console.preferences import save_preferences


async def _show(page: ConsolePage) -> Response:
    return page.render("preferences.html", back=safe_path(page.request.query_params.get("next")))


async def _save(page: ConsolePage) -> Response:
    form = await page.form()
    response = page.redirect(safe_path(str(form.get("next", ""))))
    save_preferences(response, page.request, form)
    return response


PREFERENCE_SCREENS: Final = (
    Screen("/console/preferences", _show),
    Screen("/console/preferences", _save, ("POST",)),
)
