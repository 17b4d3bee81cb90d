"""The ledger's own paths: previews, spends, holds, corrections, balances, renewals.

Each POST is one transaction and takes an `Idempotency-Key`. Amounts are shown as in allocation
documents: money as text with four places, uses as whole numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, Final

from creditdesk.api.context import Route
from creditdesk.api.ledger.endpoints import (
    LedgerPost,
    LedgerRead,
    LedgerWrite,
    ReadRequest,
    WriteRequest,
)
from creditdesk.api.ledger.params import (
    AMOUNT,
    AT,
    BASKET,
    COWORKER_ID,
    CREDIT_ID,
    CREDIT_TYPE,
    DAYS,
    EFFECTIVE_ON,
    KNOWN_AT,
    REASON,
    REQUIRED_AMOUNT,
    REQUIRED_REASON,
    UNTIL,
    USE_IDS,
    check_amount,
    credit_amount,
    credit_mapping,
    parse_basket,
)
from creditdesk.api.ledger.pools import read_pools
from creditdesk.api.ledger.renewals import RunRenewals, due_renewals_route
from creditdesk.api.ledger.spends import PreviewBasket, SpendBasket
from creditdesk.api.openapi_operations import read_operation, write_operation
from creditdesk.entities.roles import CORRECT_ROLE, READ_ROLE, SPEND_ROLE
from creditdesk.ledger.actions import document_amount
from creditdesk.ledger.journal.accounts import LockedAccount
from creditdesk.ledger.journal.mapping import MAPPINGS
from creditdesk.ledger.journal.terms import funding_values
from creditdesk.ledger.journal.transaction import LedgerContext
from creditdesk.ledger.loaders.balances import CreditBalance, customer_balances
from creditdesk.ledger.loaders.decisions import load_decision
from creditdesk.ledger.loaders.holds import lock_holds_of
from creditdesk.ledger.loaders.items import lock_items
from creditdesk.ledger.loaders.payers import load_visible_payers
from creditdesk.ledger.operations.adoption import adopt_credit
from creditdesk.ledger.operations.baskets import load_basket_for_update
from creditdesk.ledger.operations.corrections import adjust, reverse
from creditdesk.ledger.operations.draw import without_held
from creditdesk.ledger.operations.holds import confirm_hold, create_hold, release_hold
from creditdesk.ledger.operations.spend_queue import SpendQueue
from creditdesk.schema.actions import ActionResult
from creditdesk.schema.conversions import format_datetime
from creditdesk.schema.counted_texts import counted_text

EXPIRING_DAYS_DEFAULT: Final = 30
_EXAMPLE_BASKET: Final = {
    "CoworkerId": 1,
    "BusinessId": 1,
    "Sources": [{"Kind": "booking", "Id": 1}, {"Kind": "charge", "Id": 7, "Amount": 12.5}],
}
_EXAMPLE_REVERSAL: Final = {"Kind": "money", "Ids": [1], "Reason": "Booked by mistake"}
_EXAMPLE_ADOPTION: Final = {"Kind": "money", "Id": 1, "Reason": "Confirmed with the customer"}
_EXAMPLE_ADJUSTMENT: Final = {"Kind": "money", "Id": 1, "Amount": 20, "Reason": "Goodwill"}


def ledger_routes(ledger: LedgerContext, queue: SpendQueue) -> tuple[Route, ...]:
    """Every path of the ledger."""
    write = partial(LedgerWrite, ledger)
    preview, spend = PreviewBasket(ledger, queue), SpendBasket(queue)
    hold = write(SPEND_ROLE, _HOLD, _hold)
    confirm, release = write(SPEND_ROLE, (), _confirm), write(SPEND_ROLE, (), _release)
    reversal = write(CORRECT_ROLE, _REVERSAL, _reverse, partial(check_amount, AMOUNT))
    adjustment = write(CORRECT_ROLE, _ADJUSTMENT, _adjust, partial(check_amount, REQUIRED_AMOUNT))
    adoption = write(CORRECT_ROLE, _ADOPTION, _adopt)
    renewal = RunRenewals(ledger)
    balances = LedgerRead(READ_ROLE, _BALANCES, _balances)
    pools = LedgerRead(READ_ROLE, (COWORKER_ID,), read_pools)
    decision = LedgerRead(READ_ROLE, (), _decision)
    return (
        _post("previews", preview, "What a spend would do now", _EXAMPLE_BASKET),
        _post("spends", spend, "Pay for sources with credit", _EXAMPLE_BASKET),
        _post("holds", hold, "Reserve credit for sources", _EXAMPLE_BASKET),
        _post("holds/{id}/confirm", confirm, "Turn a hold into uses"),
        _post("holds/{id}/release", release, "Release a hold"),
        _post("reversals", reversal, "Give uses back to their credits", _EXAMPLE_REVERSAL),
        _post("adjustments", adjustment, "Correct what is left of a credit", _EXAMPLE_ADJUSTMENT),
        _post("adoptions", adoption, "Write the grant of a credit that has none", _EXAMPLE_ADOPTION),
        _post("renewals", renewal, "Grant the renewals that are due"),
        due_renewals_route(),
        _get("balances", balances, "What a customer's credits hold"),
        _get("pools", pools, "What a customer's teams share with it, and what its caps leave"),
        _get("entries/{id}/decision", decision, "The decision that a journal entry carries out"),
    )


def _post(name: str, endpoint: LedgerPost, title: str, example: Mapping[str, Any] | None = None) -> Route:
    path = f"/api/ledger/{name}"
    operation = write_operation(path, title, endpoint.role, endpoint.params, example)
    return Route("POST", path, endpoint, operation)


def _get(name: str, endpoint: LedgerRead, title: str) -> Route:
    path = f"/api/ledger/{name}"
    return Route("GET", path, endpoint, read_operation(path, title, endpoint.role, endpoint.params))


_HOLD: Final = (*BASKET, UNTIL)


async def _hold(request: WriteRequest) -> ActionResult:
    session, context = request.session, request.context
    buyer, items = parse_basket(request.params)
    await lock_items(session, items)
    without_amount = {item.key for item in items if item.amount is None}
    holds = await lock_holds_of(session, without_amount)
    basket = without_held(await load_basket_for_update(session, buyer, items, context), items, holds, context.now)
    held = await create_hold(session, basket, context, request.ledger, request.params[UNTIL])
    value = {
        "HoldId": held.group,
        "AllocationId": held.allocation_group,
        "Allocation": held.allocation.to_document(),
    }
    message = "The hold was successfully made." if held.group else "No credit could be held."
    return ActionResult(message, value)


async def _confirm(request: WriteRequest) -> ActionResult:
    hold_id = request.record_id
    done = await confirm_hold(request.session, hold_id, request.context, request.ledger)
    message = "The hold was successfully confirmed." if done else "The hold was confirmed before."
    return ActionResult(message, {"HoldId": hold_id, "State": "confirmed"})


async def _release(request: WriteRequest) -> ActionResult:
    hold_id = request.record_id
    done = await release_hold(request.session, hold_id, request.context, request.ledger)
    message = "The hold was successfully released." if done else "The hold was released before."
    return ActionResult(message, {"HoldId": hold_id, "State": "released"})


_REVERSAL: Final = (CREDIT_TYPE, USE_IDS, AMOUNT, REASON)


async def _reverse(request: WriteRequest) -> ActionResult:
    params = request.params
    mapping = credit_mapping(params)
    done = await reverse(
        request.session,
        mapping,
        params[USE_IDS],
        request.context,
        request.ledger,
        amount=credit_amount(AMOUNT, params),
        reason=params[REASON] or "",
    )
    value = [
        {
            "UseHistoryId": each.history_id,
            "CreditId": each.account[1],
            "Amount": document_amount(mapping, each.amount),
            "ReissuedAs": each.reissued_id,
        }
        for each in done
    ]
    count = sum(bool(each.amount) for each in done)
    return ActionResult(f"{count} of {len(done)} uses were reversed.", value)


_ADJUSTMENT: Final = (CREDIT_TYPE, CREDIT_ID, REQUIRED_AMOUNT, REQUIRED_REASON, EFFECTIVE_ON)


async def _adjust(request: WriteRequest) -> ActionResult:
    params = request.params
    mapping, credit_id = credit_mapping(params), params[CREDIT_ID]
    amount = credit_amount(REQUIRED_AMOUNT, params)
    assert amount is not None
    after = await adjust(
        request.session,
        (mapping.account_type, credit_id),
        amount,
        params[REQUIRED_REASON],
        request.context,
        request.ledger,
        params[EFFECTIVE_ON],
    )
    return ActionResult("The credit was successfully adjusted.", _balance_document(after))


def _balance_document(credit: LockedAccount) -> dict[str, Any]:
    return {
        "Id": credit.stored.id,
        "Remaining": document_amount(credit.mapping, credit.remaining),
        "Total": document_amount(credit.mapping, credit.total),
    }


_ADOPTION: Final = (CREDIT_TYPE, CREDIT_ID, REQUIRED_REASON)


async def _adopt(request: WriteRequest) -> ActionResult:
    params = request.params
    mapping = credit_mapping(params)
    account = (mapping.account_type, params[CREDIT_ID])
    after = await adopt_credit(request.session, account, params[REQUIRED_REASON], request.context, request.ledger)
    return ActionResult("The credit was successfully adopted.", _balance_document(after))


_BALANCES: Final = (COWORKER_ID, DAYS, AT, KNOWN_AT)


async def _balances(request: ReadRequest) -> ActionResult:
    session, context, params = request.session, request.context, request.params
    days, known_at = params[DAYS], params[KNOWN_AT]
    await load_visible_payers(session, params[COWORKER_ID], context)
    found = await customer_balances(
        session,
        params[COWORKER_ID],
        context,
        expiring_within_days=EXPIRING_DAYS_DEFAULT if days is None else days,
        at=params[AT] or known_at,
        as_known_at=known_at,
    )
    return ActionResult(
        counted_text(len(found), "{} credit.", "{} credits."), [_format_balance(each) for each in found]
    )


async def _decision(request: ReadRequest) -> ActionResult:
    found = await load_decision(request.session, request.record_id, request.context)
    return ActionResult(found.explanation, {"AllocationId": found.allocation_id, "Allocation": found.document})


def _format_balance(balance: CreditBalance) -> dict[str, Any]:
    account_type, credit_id = balance.account
    mapping = MAPPINGS[account_type]
    return {
        "Kind": account_type.value,
        "Id": credit_id,
        "Description": balance.description,
        "CurrencyCode": balance.currency,
        "Remaining": document_amount(mapping, balance.remaining),
        "Held": document_amount(mapping, balance.held),
        "Available": document_amount(mapping, balance.available),
        "Lapsing": document_amount(mapping, balance.expiring),
        "ValidFrom": format_datetime(balance.valid_from) if balance.valid_from else None,
        "ExpireDate": format_datetime(balance.expires) if balance.expires else None,
        **funding_values(balance.funding),
    }
