"""What every call to the ledger's paths goes through: its role, its body, its answer.

Must not know which paths there are.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from creditdesk.api.body import named_values, raw_body
from creditdesk.api.envelope import action_answer
from creditdesk.api.idempotency import fingerprint_of
from creditdesk.schema.errors import NotAllowed
from creditdesk.schema.service import Call

READ: Final = "Ledger-Read"
SPEND: Final = "Ledger-Spend"
CORRECT: Final = "Ledger-Correct"
LEDGER_ROLES: Final = (READ, SPEND, CORRECT)

Endpoint = Callable[[Request], Awaitable[Response]]
Said = tuple[str, Any]
"""The message of an answer, and its Value."""


@dataclass(frozen=True, slots=True)
class Body:
    """The named values of a body, and what tells the call from another under the same key."""

    values: Mapping[str, Any]
    fingerprint: str


def called(request: Request, role: str) -> Call:
    """The call, by a caller who has the role. Raises NotAllowed."""
    call: Call = request.state.call
    if not call.caller.unrestricted and role.lower() not in call.caller.roles:
        raise NotAllowed(f"The role {role} is needed")
    return call


async def read_body(request: Request, limit_bytes: int) -> Body:
    """The body of a POST; an empty one has no values."""
    raw = await raw_body(request, limit_bytes)
    content = request.headers.get("content-type", "")
    values = named_values(raw, content) if raw.strip() else {}
    return Body(values, fingerprint_of("POST", request.url.path, raw))


def answer_of(said: Said, call: Call) -> bytes:
    """The exact bytes of an answer that tells of success."""
    message, value = said
    now = call.now.replace(microsecond=0)
    return action_answer(message, value, now, call.caller.email)
