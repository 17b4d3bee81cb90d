"""Language and colours of a member's browser."""

from __future__ import annotations

from typing import Final

from starlette.responses import Response

from creditdesk.console.member.page import MemberPage, MemberScreen
from creditdesk.console.page import safe_path
from creditdesk.console.preferences import save_preference

_CHOICES: Final = ("language", "theme")


async def _save(page: MemberPage) -> Response:
    form = await page.form()
    response = page.redirect(safe_path(str(form.get("next", ""))))
    for name in _CHOICES:
        if name in form:
            save_preference(response, page.request, name, str(form[name])[:40])
    return response


APPEARANCE_SCREENS: Final = (MemberScreen("/me/appearance", _save, ("POST",)),)
