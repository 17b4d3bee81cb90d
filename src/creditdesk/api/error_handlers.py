"""Every failure as its status and body, in one place.

Refusals say what a caller did; anything else is a fault of ours: logged whole, shown as one
sentence. Must not know what was being asked.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, Final

from starlette.responses import Response

from creditdesk.api.responses import JsonBytesResponse
from creditdesk.api.serializer import encode
from creditdesk.schema.errors import (
    Conflict,
    DomainError,
    NotFound,
    RateLimited,
    StateConflict,
    Unauthenticated,
    ValidationError,
)

INTERNAL_ERROR_MESSAGE: Final = (
    "Something went wrong on our side. Nothing was changed; please try again."
)
UNAVAILABLE_MESSAGE: Final = (
    "The records cannot be reached now; try again with the same idempotency key."
)
_logger = logging.getLogger("creditdesk.api")


class BodyTooLarge(DomainError):
    """A body over the limit."""

    status = 413


def error_response(error: DomainError) -> Response:
    """The documented shape of a refusal: see docs/wire.md, one row per status."""
    return json_response(error.status, error_body(error), error_headers(error))


def error_body(error: DomainError) -> Any:
    """The JSON of a refusal."""
    if isinstance(error, NotFound):
        return "Not found"
    if isinstance(error, StateConflict):
        return state_conflict_body(error.message)
    if isinstance(error, ValidationError):
        return {
            "Message": error.message,
            "Value": None,
            "Errors": [
                {
                    "AttemptedValue": error.AttemptedValue,
                    "Message": error.Message,
                    "PropertyName": error.PropertyName,
                }
                for error in error.errors
            ],
            "WasSuccessful": False,
        }
    return {"Message": error.message, "Value": None, "Errors": [], "WasSuccessful": False}


def state_conflict_body(message: str) -> dict[str, Any]:
    """What the record's state does not allow: the action envelope, not successful."""
    return {
        "Status": 200,
        "Message": message,
        "Value": None,
        "OpenInDialog": False,
        "OpenInWindow": False,
        "RedirectURL": None,
        "JavaScript": None,
        "UpdatedOn": None,
        "UpdatedBy": None,
        "Errors": None,
        "WasSuccessful": False,
    }


def error_headers(error: DomainError) -> dict[str, str]:
    if isinstance(error, Unauthenticated):
        return {"WWW-Authenticate": 'Bearer, Basic realm="creditdesk"'}
    if isinstance(error, RateLimited):
        return {"Retry-After": str(error.retry_after_seconds)}
    return {}


def internal_error_response(error: Exception) -> Response:
    """A fault of ours: the trace goes to the log, the caller gets one sentence."""
    _logger.error("a call failed", exc_info=error)
    return json_response(500, {"Message": INTERNAL_ERROR_MESSAGE})


def unavailable_response(error: Exception) -> Response:
    """A connection that was lost: what had begun may or may not be done, so a key helps."""
    _logger.warning("the store could not be reached", exc_info=error)
    return error_response(Conflict(UNAVAILABLE_MESSAGE))


def json_response(status: int, value: Any, headers: Mapping[str, str] | None = None) -> Response:
    return JsonBytesResponse(encode(value), status, headers)
