"""Maps errors to responses: status, headers and body. Unexpected errors are logged and get a generic body."""

from __future__ import annotations

import logging
from typing import Any, Final

from starlette.responses import Response

from creditdesk.api.responses import json_response, state_conflict_body
from creditdesk.schema.errors import (
    DomainError,
    NotFound,
    RateLimited,
    StateConflict,
    Unauthenticated,
    Unavailable,
    ValidationError,
)

INTERNAL_ERROR_MESSAGE: Final = "Something went wrong on our side. Nothing was changed; please try again."
UNAVAILABLE_MESSAGE: Final = "The records cannot be reached now; try again with the same idempotency key."
_logger = logging.getLogger("creditdesk.api")


class BodyTooLarge(DomainError):
    """The body is over the limit."""

    status = 413


class BodyTimeout(DomainError):
    """The body did not arrive in time; the connection is closed, as the rest of it may still come."""

    status = 408


def error_response(error: DomainError, *, offers_basic: bool = True) -> Response:
    """The documented status, body and headers of an error that a caller can cause.

    Browsers are not offered Basic: they would remember the password and add it to every request.
    """
    return json_response(error.status, _body(error), _headers(error, offers_basic=offers_basic))


def internal_error_response(error: Exception) -> Response:
    """500: the trace goes to the log, the caller gets one generic sentence."""
    _logger.error("request failed", exc_info=error)
    return json_response(500, {"Message": INTERNAL_ERROR_MESSAGE})


def unavailable_response(error: Exception) -> Response:
    """503: the connection was lost, so a write may or may not have been committed."""
    _logger.warning("database unavailable", exc_info=error)
    return error_response(Unavailable(UNAVAILABLE_MESSAGE))


def _body(error: DomainError) -> Any:
    if isinstance(error, NotFound):
        return "Not found"
    if isinstance(error, StateConflict):
        return state_conflict_body(error.message)
    field_errors = error.errors if isinstance(error, ValidationError) else ()
    return {
        "Message": error.message,
        "Value": None,
        "Errors": [
            {
                "AttemptedValue": each.AttemptedValue,
                "Message": each.Message,
                "PropertyName": each.PropertyName,
            }
            for each in field_errors
        ],
        "WasSuccessful": False,
    }


def _headers(error: DomainError, *, offers_basic: bool) -> dict[str, str]:
    if isinstance(error, Unauthenticated):
        offered = 'Bearer, Basic realm="creditdesk"' if offers_basic else "Bearer"
        return {"WWW-Authenticate": offered}
    if isinstance(error, BodyTimeout):
        return {"Connection": "close"}
    if isinstance(error, RateLimited | Unavailable):
        return {"Retry-After": str(error.retry_after_seconds)}
    return {}
