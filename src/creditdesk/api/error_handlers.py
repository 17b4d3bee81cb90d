"""Every failure as its status and body, in one place.

Refusals say what a caller did; anything else is a fault of ours: logged whole, shown as one
sentence. Must not know what was being asked.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, Final

from starlette.responses import Response

from creditdesk.api.responses import JsonAnswer
from creditdesk.api.serializer import encode
from creditdesk.schema.errors import (
    Blocked,
    Conflict,
    Invalid,
    NotFound,
    NotSignedIn,
    Refusal,
    Throttled,
)

APOLOGY: Final = "Something went wrong on our side. Nothing was changed; please try again."
UNREACHED: Final = "The records cannot be reached now; try again with the same idempotency key."
_log = logging.getLogger("creditdesk.api")


class TooLarge(Refusal):
    """A body over the limit."""

    status = 413


def answer_refusal(refusal: Refusal) -> Response:
    """The documented shape of a refusal: see docs/wire.md, one row per status."""
    return json_answer(refusal.status, refusal_body(refusal), refusal_headers(refusal))


def refusal_body(refusal: Refusal) -> Any:
    """The JSON of a refusal."""
    if isinstance(refusal, NotFound):
        return "Not found"
    if isinstance(refusal, Blocked):
        return blocked_body(refusal.sentence)
    if isinstance(refusal, Invalid):
        return {
            "Message": refusal.sentence,
            "Value": None,
            "Errors": [
                {
                    "AttemptedValue": error.AttemptedValue,
                    "Message": error.Message,
                    "PropertyName": error.PropertyName,
                }
                for error in refusal.errors
            ],
            "WasSuccessful": False,
        }
    return {"Message": refusal.sentence, "Value": None, "Errors": [], "WasSuccessful": False}


def blocked_body(sentence: str) -> dict[str, Any]:
    """What the record's state does not allow: the action envelope, not successful."""
    return {
        "Status": 200,
        "Message": sentence,
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


def refusal_headers(refusal: Refusal) -> dict[str, str]:
    if isinstance(refusal, NotSignedIn):
        return {"WWW-Authenticate": 'Bearer, Basic realm="creditdesk"'}
    if isinstance(refusal, Throttled):
        return {"Retry-After": str(refusal.wait_seconds)}
    return {}


def answer_fault(fault: Exception) -> Response:
    """A fault of ours: the trace goes to the log, the caller gets one sentence."""
    _log.error("a call failed", exc_info=fault)
    return json_answer(500, {"Message": APOLOGY})


def answer_passing(fault: Exception) -> Response:
    """A connection that was lost: what had begun may or may not be done, so a key helps."""
    _log.warning("the store could not be reached", exc_info=fault)
    return answer_refusal(Conflict(UNREACHED))


def json_answer(status: int, value: Any, headers: Mapping[str, str] | None = None) -> Response:
    return JsonAnswer(encode(value), status, headers)
