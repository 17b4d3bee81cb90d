"""Error pages, with an explanation and a way back."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Final

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from creditdesk.console.preferences import read_preferences
from creditdesk.console.security import PAGE_HEADERS
from creditdesk.console.templating import environment
from creditdesk.console.translations import mark, translated_message

_TITLES: Final = {
    HTTPStatus.FORBIDDEN: mark("You may not see this"),
    HTTPStatus.NOT_FOUND: mark("There is nothing here"),
    HTTPStatus.TOO_MANY_REQUESTS: mark("Too many requests"),
    HTTPStatus.INTERNAL_SERVER_ERROR: mark("Something went wrong on our side"),
    HTTPStatus.SERVICE_UNAVAILABLE: mark("The records cannot be reached now"),
}
_EXPLANATIONS: Final = {
    HTTPStatus.NOT_FOUND: mark("The record does not exist, or it belongs to a location that you do not see."),
    HTTPStatus.INTERNAL_SERVER_ERROR: mark("Nothing was changed. Please try again."),
    HTTPStatus.SERVICE_UNAVAILABLE: mark("Please try again in a moment."),
}


def error_page(request: Request, status: int, message: str = "", headers: Mapping[str, str] = PAGE_HEADERS) -> Response:
    """The page for a status; `message` is that of the API."""
    preferences = read_preferences(request)
    known = HTTPStatus(status)
    text = (
        environment(preferences.language)
        .get_template("error.html")
        .render(
            preferences=preferences,
            status=status,
            title=_TITLES.get(known, mark("This did not work")),
            message=_EXPLANATIONS.get(known) or translated_message(message, preferences.language),
            is_member=request.url.path.startswith("/me/"),
        )
    )
    return HTMLResponse(text, status, headers=headers)
