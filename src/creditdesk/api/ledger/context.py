"""What every call to the ledger's paths goes through: its role, its body, its answer.

Must not know which paths there are.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from creditdesk.api.body import parse_body, read_body_bytes
from creditdesk.api.envelope import action_body
from creditdesk.api.idempotency import request_fingerprint
from creditdesk.schema.errors import PermissionDenied
from creditdesk.schema.service import RequestContext

READ_ROLE: Final = "Ledger-Read"
SPEND_ROLE: Final = "Ledger-Spend"
CORRECT_ROLE: Final = "Ledger-Correct"
LEDGER_ROLES: Final = (READ_ROLE, SPEND_ROLE, CORRECT_ROLE)

LedgerHandler = Callable[[Request], Awaitable[Response]]
ActionResult = tuple[str, Any]
"""The message of an answer, and its Value."""


@dataclass(frozen=True, slots=True)
class ParsedBody:
    """The named values of a body, and what tells the call from another under the same key."""

    values: Mapping[str, Any]
    fingerprint: str


def require_ledger_role(request: Request, role: str) -> RequestContext:
    """The call, by a caller who has the role. Raises NotAllowed."""
    call: RequestContext = request.state.call
    if not call.principal.unrestricted and role.lower() not in call.principal.roles:
        raise PermissionDenied(f"The role {role} is needed")
    return call


async def read_ledger_body(request: Request, limit_bytes: int) -> ParsedBody:
    """The body of a POST; an empty one has no values."""
    raw = await read_body_bytes(request, limit_bytes)
    content = request.headers.get("content-type", "")
    values = parse_body(raw, content) if raw.strip() else {}
    return ParsedBody(values, request_fingerprint("POST", request.url.path, raw))


def result_body(said: ActionResult, context: RequestContext) -> bytes:
    """The exact bytes of an answer that tells of success."""
    message, value = said
    now = context.now.replace(microsecond=0)
    return action_body(message, value, now, context.principal.email)
