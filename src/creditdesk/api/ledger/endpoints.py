"""Endpoints of the ledger, declared by a role, parameters and a function."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

from creditdesk.api.context import ApiContext
from creditdesk.api.responses import JsonBytesResponse, action_body
from creditdesk.api.write_pipeline import TransactionWrite, WriteEndpoint, WriteInput
from creditdesk.auth.permission import require_named_role
from creditdesk.ledger.basket_search import execute_with_search
from creditdesk.ledger.idempotency import SavedResponse
from creditdesk.ledger.journal.transaction import LedgerContext
from creditdesk.schema.actions import ActionResult
from creditdesk.schema.params import Param, ParamList, Params
from creditdesk.schema.repository import ReadSession, WriteSession
from creditdesk.schema.service import Principal, RequestContext


@dataclass(frozen=True, slots=True)
class ReadRequest:
    """One GET: its parameters, the id in its path (0 without one), and the session that it reads from."""

    session: ReadSession
    params: Params
    record_id: int
    context: RequestContext


@dataclass(frozen=True, slots=True)
class WriteRequest:
    """One POST: its parameters, the id in its path (0 without one), and its transaction."""

    session: WriteSession
    ledger: LedgerContext
    params: Params
    record_id: int
    context: RequestContext


class LedgerRead:
    """A GET for callers with a role."""

    def __init__(
        self,
        role: str,
        params: Sequence[Param],
        run: Callable[[ReadRequest], Awaitable[ActionResult]],
    ) -> None:
        self.role = role
        self.params = params
        self._run = run

    async def __call__(self, api: ApiContext, request: Request, context: RequestContext, record_id: int) -> Response:
        require_named_role(context.principal, self.role)
        params = Params(self.params, request.query_params)
        params.raise_errors()
        async with api.store.read_session() as session:
            result = await self._run(ReadRequest(session, params, record_id, context))
        return JsonBytesResponse(result_body(result, context))


@dataclass(frozen=True, slots=True)
class ParsedLedgerWrite:
    """The parameters of a POST, and the id in its path."""

    params: Params
    record_id: int


class LedgerPost(WriteEndpoint[ParsedLedgerWrite]):
    """A POST for callers with a role. `check` adds errors that concern several parameters."""

    def __init__(
        self,
        role: str,
        params: Sequence[Param | ParamList],
        check: Callable[[Params], None] | None = None,
    ) -> None:
        self.role = role
        self.params = params
        self._check = check

    def authorize(self, principal: Principal) -> None:
        require_named_role(principal, self.role)

    def parse(self, write_input: WriteInput) -> ParsedLedgerWrite:
        params = Params(self.params, write_input.optional_values())
        if self._check is not None:
            self._check(params)
        params.raise_errors()
        return ParsedLedgerWrite(params, write_input.record_id)


class LedgerWrite(LedgerPost, TransactionWrite[ParsedLedgerWrite]):
    """A POST that executes in a transaction of its own."""

    def __init__(
        self,
        ledger: LedgerContext,
        role: str,
        params: Sequence[Param | ParamList],
        run: Callable[[WriteRequest], Awaitable[ActionResult]],
        check: Callable[[Params], None] | None = None,
    ) -> None:
        super().__init__(role, params, check)
        self.ledger = ledger
        self._run = run

    async def execute(
        self,
        api: ApiContext,  # noqa: ARG002 - the signature of every write
        session: WriteSession,
        parsed: ParsedLedgerWrite,
        context: RequestContext,
    ) -> bytes:
        request = WriteRequest(session, self.ledger, parsed.params, parsed.record_id, context)
        return result_body(await self._run(request), context)

    async def submit(
        self,
        api: ApiContext,
        parsed: ParsedLedgerWrite,
        context: RequestContext,
        fingerprint: str,
    ) -> SavedResponse:
        transact = super().submit
        return await execute_with_search(self.ledger.solutions, lambda: transact(api, parsed, context, fingerprint))


def result_body(result: ActionResult, context: RequestContext) -> bytes:
    """The body of a successful response."""
    now = context.now.replace(microsecond=0)
    return action_body(result.message, result.value, now, context.principal.email)
