"""The language and colours of a member's pages, stored in the browser."""

from __future__ import annotations

from typing import Final

from starlette.responses import Response

from creditdesk.console.member.page import MemberPage, MemberScreen
from creditdesk.console.page import safe_path
from creditdesk.console.preferences import save_preferences

_CHOICES: Final = ("language", "theme")


async def _save(page: MemberPage) -> Response:
    form = await page.form()
    response = page.redirect(safe_path(str(form.get("next", ""))))
    save_preferences(response, page.request, form, _CHOICES)
    return response


APPEARANCE_SCREENS: Final = (MemberScreen("/me/appearance", _save, ("POST",)),)
