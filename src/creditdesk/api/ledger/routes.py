"""The ledger's own paths under /api/ledger: previews, spends, holds, corrections, balances, renewals.

Each POST is one unit and takes an `Idempotency-Key`; amounts are shown as in allocation documents:
money as text with four places, uses as whole numbers. Must not know how credit is decided.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from creditdesk.api.context import ExtraRoute
from creditdesk.api.idempotency import ResponseStore
from creditdesk.api.ledger.context import (
    CORRECT_ROLE,
    READ_ROLE,
    SPEND_ROLE,
    ActionResult,
    LedgerHandler,
    ParsedBody,
    read_ledger_body,
    require_ledger_role,
    result_body,
)
from creditdesk.api.ledger.openapi import read_operation, write_operation
from creditdesk.api.ledger.params import (
    AMOUNT,
    AT,
    BASKET,
    COWORKER_ID,
    CREDIT_ID,
    CREDIT_KIND,
    DAYS,
    DRY_RUN,
    EFFECTIVE_ON,
    KNOWN_AT,
    REASON,
    SINCE,
    UNTIL,
    USE_IDS,
    Params,
    amount_param,
    parse_basket,
    parse_credit_type,
)
from creditdesk.api.ledger.spends import preview_handler, preview_result, spend_handler
from creditdesk.api.responses import JsonBytesResponse
from creditdesk.ledger.actions import document_amount
from creditdesk.ledger.basket_search import execute_with_search
from creditdesk.ledger.journal.balances import CreditBalance, customer_balances
from creditdesk.ledger.journal.mapping import MAPPINGS
from creditdesk.ledger.journal.transaction import LedgerContext
from creditdesk.ledger.loaders.payers import load_visible_payers
from creditdesk.ledger.loaders.sources import BasketRequest
from creditdesk.ledger.operations.basket_batch import preview_baskets
from creditdesk.ledger.operations.baskets import load_basket_for_update
from creditdesk.ledger.operations.corrections import adjust, reverse
from creditdesk.ledger.operations.draw import lock_holds_of, lock_sources, without_held
from creditdesk.ledger.operations.holds import confirm_hold, create_hold, release_hold
from creditdesk.ledger.operations.renewals import DueRenewal, find_due_renewals, run_renewals
from creditdesk.schema.conversions import format_datetime
from creditdesk.schema.entity import Entity
from creditdesk.schema.errors import Conflict, NotFound, raise_first_error
from creditdesk.schema.repository import ReadSession, Store, WriteSession
from creditdesk.schema.service import RequestContext

EXPIRING_DAYS_DEFAULT: Final = 30


@dataclass(frozen=True, slots=True)
class ReadRequest:
    """One question: what is asked, and a look at the records."""

    reading: ReadSession
    params: Params
    context: RequestContext


@dataclass(frozen=True, slots=True)
class WriteRequest:
    """One act: the unit it happens in, what is asked, and the hold it is about, else 0."""

    session: WriteSession
    desk: LedgerContext
    params: Params
    hold_id: int
    context: RequestContext


@dataclass(frozen=True, slots=True)
class LedgerApi:
    """What the paths stand on: records, the ledger's desk, and where answers are kept."""

    store: Store
    desk: LedgerContext
    response_entity: type[Entity]
    body_limit_bytes: int = 1_048_576


def ledger_routes(api: LedgerApi) -> tuple[ExtraRoute, ...]:
    """Every path of the ledger, ready for the composition root."""
    looks = (
        (
            "/api/ledger/balances",
            READ_ROLE,
            _balances,
            "What a customer's credits hold",
            _BALANCE_PARAMS,
        ),
        ("/api/ledger/renewals", READ_ROLE, _due, "The renewals that are due", ()),
    )
    acts = (
        ("/api/ledger/holds", SPEND_ROLE, _hold, "Reserve credit for sources", (*BASKET, UNTIL)),
        ("/api/ledger/holds/{id}/confirm", SPEND_ROLE, _confirm, "Turn a hold into uses", ()),
        ("/api/ledger/holds/{id}/release", SPEND_ROLE, _release, "Let a hold go", ()),
        (
            "/api/ledger/reversals",
            CORRECT_ROLE,
            _reverse,
            "Give uses back to their credits",
            _REVERSAL_PARAMS,
        ),
        (
            "/api/ledger/adjustments",
            CORRECT_ROLE,
            _adjust,
            "Correct what is left of a credit",
            _ADJUSTMENT_PARAMS,
        ),
        (
            "/api/ledger/renewals",
            CORRECT_ROLE,
            _renew,
            "Grant the renewals that are due",
            _RENEWAL_PARAMS,
        ),
    )
    preview = preview_handler(
        api.store, api.desk, api.body_limit_bytes, _write_handler(api, READ_ROLE, _preview)
    )
    spend = spend_handler(api.store, api.desk, api.body_limit_bytes)
    posts = (
        ("/api/ledger/previews", READ_ROLE, preview, "What a spend would do now", BASKET),
        ("/api/ledger/spends", SPEND_ROLE, spend, "Pay for sources with credit", BASKET),
        *((path, role, _write_handler(api, role, act), *rest) for path, role, act, *rest in acts),
    )
    return (
        *(
            ExtraRoute("POST", path, endpoint, write_operation(path, title, role, parts))
            for path, role, endpoint, title, parts in posts
        ),
        *(
            ExtraRoute(
                "GET",
                path,
                _read_handler(api, role, read),
                read_operation(path, title, role, parts),
            )
            for path, role, read, title, parts in looks
        ),
    )


async def _preview(act: WriteRequest) -> ActionResult:
    whose, asked = parse_basket(act.params)
    basket = BasketRequest(whose, tuple(asked), act.context)
    (allocation,) = raise_first_error(await preview_baskets(act.session, [basket], act.desk))
    return preview_result(allocation)


async def _hold(act: WriteRequest) -> ActionResult:
    until = act.params.get(UNTIL)
    whose, asked = parse_basket(act.params)
    await lock_sources(act.session, asked)
    open_ = {each.key for each in asked if each.amount is None}
    holds = await lock_holds_of(act.session, open_)
    basket = await load_basket_for_update(act.session, whose, asked, act.context)
    fresh = without_held(basket, asked, holds)
    held = await create_hold(act.session, fresh, act.context, act.desk, until)
    value = {
        "HoldId": held.group,
        "AllocationId": held.allocation_group,
        "Allocation": held.allocation.to_document(),
    }
    message = "The hold was successfully made." if held.group else "No credit could be held."
    return message, value


async def _confirm(act: WriteRequest) -> ActionResult:
    done = await confirm_hold(act.session, act.hold_id, act.context, act.desk)
    message = "The hold was successfully confirmed." if done else "The hold was confirmed before."
    return message, {"HoldId": act.hold_id, "State": "confirmed"}


async def _release(act: WriteRequest) -> ActionResult:
    done = await release_hold(act.session, act.hold_id, act.context, act.desk)
    message = "The hold was successfully released." if done else "The hold was released before."
    return message, {"HoldId": act.hold_id, "State": "released"}


_REVERSAL_PARAMS: Final = (CREDIT_KIND, USE_IDS, AMOUNT, REASON)


async def _reverse(act: WriteRequest) -> ActionResult:
    side = parse_credit_type(act.params)
    ids = act.params.get(USE_IDS)
    amount, reason = act.params.get(amount_param(side)), act.params.get(REASON)
    act.params.raise_errors()
    done = await reverse(
        act.session, side, ids, act.context, act.desk, amount=amount, reason=reason or ""
    )
    value = [
        {
            "UseHistoryId": each.history_id,
            "CreditId": each.account[1],
            "Amount": document_amount(side, each.amount),
            "ReissuedAs": each.reissued_id,
        }
        for each in done
    ]
    count = sum(bool(each.amount) for each in done)
    return f"{count} of {len(done)} uses were reversed.", value


_REQUIRED_REASON: Final = replace(REASON, required=True)
_ADJUSTMENT_PARAMS: Final = (
    CREDIT_KIND,
    CREDIT_ID,
    replace(AMOUNT, required=True),
    _REQUIRED_REASON,
    EFFECTIVE_ON,
)


async def _adjust(act: WriteRequest) -> ActionResult:
    side = parse_credit_type(act.params)
    credit_id, amount = act.params.get(CREDIT_ID), act.params.get(amount_param(side, required=True))
    reason, effective = act.params.get(_REQUIRED_REASON), act.params.get(EFFECTIVE_ON)
    act.params.raise_errors()
    account = (side.account_type, credit_id)
    after = await adjust(act.session, account, amount, reason, act.context, act.desk, effective)
    value = {
        "Id": credit_id,
        "Remaining": document_amount(side, after.remaining),
        "Total": document_amount(side, after.total),
    }
    return "The credit was successfully adjusted.", value


_RENEWAL_PARAMS: Final = (DRY_RUN, SINCE)


async def _renew(act: WriteRequest) -> ActionResult:
    dry = bool(act.params.get(DRY_RUN))
    since = act.params.get(SINCE)
    act.params.raise_errors()
    first = since.date() if since else None
    if dry:
        due = await find_due_renewals(act.session, act.context, act.context.now, since=first)
        return f"{len(due)} renewals are due.", [_format_due(each) for each in due]
    done = await run_renewals(act.session, act.context, act.desk, since=first)
    value = [{**_format_due(due), "CreditId": credit_id} for due, credit_id in done]
    return f"{len(done)} renewals were granted.", value


async def _due(look: ReadRequest) -> ActionResult:
    due = await find_due_renewals(look.reading, look.context, look.context.now)
    return f"{len(due)} renewals are due.", [_format_due(each) for each in due]


_BALANCE_PARAMS: Final = (COWORKER_ID, DAYS, AT, KNOWN_AT)


async def _balances(look: ReadRequest) -> ActionResult:
    customer, days = look.params.get(COWORKER_ID), look.params.get(DAYS)
    at, known = look.params.get(AT), look.params.get(KNOWN_AT)
    look.params.raise_errors()
    await load_visible_payers(look.reading, customer, look.context)
    found = await customer_balances(
        look.reading,
        customer,
        look.context,
        expiring_within_days=EXPIRING_DAYS_DEFAULT if days is None else days,
        at=at or known,
        as_known_at=known,
    )
    return f"{len(found)} credits.", [_format_balance(each) for each in found]


def _format_balance(each: CreditBalance) -> dict[str, Any]:
    side = MAPPINGS[each.account[0]]
    return {
        "Kind": each.account[0].value,
        "Id": each.account[1],
        "Description": each.description,
        "CurrencyCode": each.currency,
        "Remaining": document_amount(side, each.remaining),
        "Held": document_amount(side, each.held),
        "Available": document_amount(side, each.available),
        "Lapsing": document_amount(side, each.expiring),
        "ValidFrom": format_datetime(each.valid_from) if each.valid_from else None,
        "ExpireDate": format_datetime(each.expires) if each.expires else None,
    }


def _format_due(due: DueRenewal) -> dict[str, Any]:
    return {
        "Key": due.key,
        "CoworkerContractId": due.contract["Id"],
        "CoworkerId": due.contract["CoworkerId"],
        "Kind": due.mapping.account_type.value,
        "BenefitId": due.benefit["Id"],
        "Amount": document_amount(due.mapping, due.amount),
        "ValidFrom": format_datetime(due.period.valid_from(due.clock.zone)),
        "ExpireDate": format_datetime(due.period.expires(due.clock.zone)),
    }


def _read_handler(
    api: LedgerApi, role: str, read: Callable[[ReadRequest], Awaitable[ActionResult]]
) -> LedgerHandler:
    async def endpoint(request: Request) -> Response:
        call = require_ledger_role(request, role)
        async with api.store.read_session() as reading:
            said = await read(ReadRequest(reading, Params(request.query_params), call))
        return JsonBytesResponse(result_body(said, call))

    return endpoint


def _write_handler(
    api: LedgerApi, role: str, run: Callable[[WriteRequest], Awaitable[ActionResult]]
) -> LedgerHandler:
    """One unit; whoever loses a race for a credit plans once more, then it is 409 (rule 31)."""

    async def endpoint(request: Request) -> Response:
        call = require_ledger_role(request, role)
        body = await read_ledger_body(request, api.body_limit_bytes)
        path_id = _parse_path_id(request.path_params.get("id"))
        try:
            return await searched(body, call, path_id)
        except Conflict:
            return await searched(body, call, path_id)

    async def searched(body: ParsedBody, context: RequestContext, path_id: int) -> Response:
        return await execute_with_search(api.desk.solutions, lambda: once(body, context, path_id))

    async def once(body: ParsedBody, context: RequestContext, path_id: int) -> Response:
        async with api.store.write_session() as unit:
            answers = ResponseStore(api.response_entity)
            earlier = await answers.find(unit, context, body.fingerprint)
            if earlier is not None:
                return earlier
            said = await run(WriteRequest(unit, api.desk, Params(body.values), path_id, context))
            answer = result_body(said, context)
            await answers.save(unit, context, body.fingerprint, 200, answer)
        return JsonBytesResponse(answer)

    return endpoint


def _parse_path_id(text: str | None) -> int:
    if text is None:
        return 0
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise NotFound
    return int(text)
