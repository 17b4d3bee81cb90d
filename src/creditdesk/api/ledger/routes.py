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

from creditdesk.api.context import ExtraPath
from creditdesk.api.idempotency import Answers
from creditdesk.api.ledger.context import (
    CORRECT,
    READ,
    SPEND,
    Body,
    Endpoint,
    Said,
    answer_of,
    called,
    read_body,
)
from creditdesk.api.ledger.openapi import looking, posting
from creditdesk.api.ledger.params import (
    AMOUNT,
    AT,
    BASKET,
    CREDIT_ID,
    CREDIT_KIND,
    CUSTOMER,
    DAYS,
    DRY_RUN,
    EFFECTIVE_ON,
    KNOWN_AT,
    REASON,
    SINCE,
    UNTIL,
    USE_IDS,
    Given,
    amount_of,
    read_basket_body,
    read_side,
)
from creditdesk.api.ledger.spends import previewed, previews, spends
from creditdesk.api.responses import JsonAnswer
from creditdesk.ledger.actions import shown
from creditdesk.ledger.journal.balances import Balance, balances
from creditdesk.ledger.journal.mapping import SIDES
from creditdesk.ledger.journal.transaction import Desk
from creditdesk.ledger.loaders.payers import read_owner
from creditdesk.ledger.loaders.sources import AskedBasket
from creditdesk.ledger.operations.basket_batch import preview_baskets
from creditdesk.ledger.operations.baskets import basket_to_draw
from creditdesk.ledger.operations.corrections import adjust, reverse
from creditdesk.ledger.operations.draw import held_of, less_held, lock_sources
from creditdesk.ledger.operations.holds import confirm, hold, release
from creditdesk.ledger.operations.renewals import Due, due_renewals, run_renewals
from creditdesk.schema.entity import Entity
from creditdesk.schema.errors import Conflict, NotFound, none_refused
from creditdesk.schema.fields import show_instant
from creditdesk.schema.repository import Reading, Store, Unit
from creditdesk.schema.service import Call

DAYS_AHEAD: Final = 30


@dataclass(frozen=True, slots=True)
class Look:
    """One question: what is asked, and a look at the records."""

    reading: Reading
    given: Given
    call: Call


@dataclass(frozen=True, slots=True)
class Act:
    """One act: the unit it happens in, what is asked, and the hold it is about, else 0."""

    unit: Unit
    desk: Desk
    given: Given
    hold_id: int
    call: Call


@dataclass(frozen=True, slots=True)
class LedgerWire:
    """What the paths stand on: records, the ledger's desk, and where answers are kept."""

    store: Store
    desk: Desk
    answers: type[Entity]
    body_limit_bytes: int = 1_048_576


def ledger_paths(wire: LedgerWire) -> tuple[ExtraPath, ...]:
    """Every path of the ledger, ready for the composition root."""
    looks = (
        ("/api/ledger/balances", READ, _balances, "What a customer's credits hold", _BALANCES),
        ("/api/ledger/renewals", READ, _due, "The renewals that are due", ()),
    )
    acts = (
        ("/api/ledger/holds", SPEND, _hold, "Reserve credit for sources", (*BASKET, UNTIL)),
        ("/api/ledger/holds/{id}/confirm", SPEND, _confirm, "Turn a hold into uses", ()),
        ("/api/ledger/holds/{id}/release", SPEND, _release, "Let a hold go", ()),
        ("/api/ledger/reversals", CORRECT, _reverse, "Give uses back to their credits", _REVERSAL),
        ("/api/ledger/adjustments", CORRECT, _adjust, "Correct what is left of a credit", _CHANGE),
        ("/api/ledger/renewals", CORRECT, _renew, "Grant the renewals that are due", _RENEWAL),
    )
    preview = previews(wire.store, wire.desk, wire.body_limit_bytes, _act(wire, READ, _preview))
    spend = spends(wire.store, wire.desk, wire.body_limit_bytes)
    posts = (
        ("/api/ledger/previews", READ, preview, "What a spend would do now", BASKET),
        ("/api/ledger/spends", SPEND, spend, "Pay for sources with credit", BASKET),
        *((path, role, _act(wire, role, act), *rest) for path, role, act, *rest in acts),
    )
    return (
        *(
            ExtraPath("POST", path, endpoint, posting(path, title, role, parts))
            for path, role, endpoint, title, parts in posts
        ),
        *(
            ExtraPath("GET", path, _look(wire, role, read), looking(path, title, role, parts))
            for path, role, read, title, parts in looks
        ),
    )


async def _preview(act: Act) -> Said:
    whose, asked = read_basket_body(act.given)
    basket = AskedBasket(whose, tuple(asked), act.call)
    (allocation,) = none_refused(await preview_baskets(act.unit, [basket], act.desk))
    return previewed(allocation)


async def _hold(act: Act) -> Said:
    until = act.given.take(UNTIL)
    whose, asked = read_basket_body(act.given)
    await lock_sources(act.unit, asked)
    open_ = {each.key for each in asked if each.amount is None}
    holds = await held_of(act.unit, open_)
    basket = await basket_to_draw(act.unit, whose, asked, act.call)
    fresh = less_held(basket, asked, holds)
    held = await hold(act.unit, fresh, act.call, act.desk, until)
    value = {
        "HoldId": held.group,
        "AllocationId": held.document,
        "Allocation": held.allocation.to_document(),
    }
    message = "The hold was successfully made." if held.group else "No credit could be held."
    return message, value


async def _confirm(act: Act) -> Said:
    done = await confirm(act.unit, act.hold_id, act.call, act.desk)
    message = "The hold was successfully confirmed." if done else "The hold was confirmed before."
    return message, {"HoldId": act.hold_id, "State": "confirmed"}


async def _release(act: Act) -> Said:
    done = await release(act.unit, act.hold_id, act.call, act.desk)
    message = "The hold was successfully released." if done else "The hold was released before."
    return message, {"HoldId": act.hold_id, "State": "released"}


_REVERSAL: Final = (CREDIT_KIND, USE_IDS, AMOUNT, REASON)


async def _reverse(act: Act) -> Said:
    side = read_side(act.given)
    ids = act.given.take(USE_IDS)
    amount, reason = act.given.take(amount_of(side)), act.given.take(REASON)
    act.given.settle()
    done = await reverse(
        act.unit, side, ids, act.call, act.desk, amount=amount, reason=reason or ""
    )
    value = [
        {
            "UseHistoryId": each.history_id,
            "CreditId": each.account[1],
            "Amount": shown(side, each.amount),
            "ReissuedAs": each.reissued,
        }
        for each in done
    ]
    count = sum(bool(each.amount) for each in done)
    return f"{count} of {len(done)} uses were reversed.", value


_WHY: Final = replace(REASON, needed=True)
_CHANGE: Final = (CREDIT_KIND, CREDIT_ID, replace(AMOUNT, needed=True), _WHY, EFFECTIVE_ON)


async def _adjust(act: Act) -> Said:
    side = read_side(act.given)
    credit_id, amount = act.given.take(CREDIT_ID), act.given.take(amount_of(side, needed=True))
    reason, effective = act.given.take(_WHY), act.given.take(EFFECTIVE_ON)
    act.given.settle()
    account = (side.kind, credit_id)
    after = await adjust(act.unit, account, amount, reason, act.call, act.desk, effective)
    value = {
        "Id": credit_id,
        "Remaining": shown(side, after.remaining),
        "Total": shown(side, after.total),
    }
    return "The credit was successfully adjusted.", value


_RENEWAL: Final = (DRY_RUN, SINCE)


async def _renew(act: Act) -> Said:
    dry = bool(act.given.take(DRY_RUN))
    since = act.given.take(SINCE)
    act.given.settle()
    first = since.date() if since else None
    if dry:
        due = await due_renewals(act.unit, act.call, act.call.now, since=first)
        return f"{len(due)} renewals are due.", [_shown_due(each) for each in due]
    done = await run_renewals(act.unit, act.call, act.desk, since=first)
    value = [{**_shown_due(due), "CreditId": credit_id} for due, credit_id in done]
    return f"{len(done)} renewals were granted.", value


async def _due(look: Look) -> Said:
    due = await due_renewals(look.reading, look.call, look.call.now)
    return f"{len(due)} renewals are due.", [_shown_due(each) for each in due]


_BALANCES: Final = (CUSTOMER, DAYS, AT, KNOWN_AT)


async def _balances(look: Look) -> Said:
    customer, days = look.given.take(CUSTOMER), look.given.take(DAYS)
    at, known = look.given.take(AT), look.given.take(KNOWN_AT)
    look.given.settle()
    await read_owner(look.reading, customer, look.call)
    found = await balances(
        look.reading,
        customer,
        look.call,
        lapsing_days=DAYS_AHEAD if days is None else days,
        at=at or known,
        as_known_at=known,
    )
    return f"{len(found)} credits.", [_shown_balance(each) for each in found]


def _shown_balance(each: Balance) -> dict[str, Any]:
    side = SIDES[each.account[0]]
    return {
        "Kind": each.account[0].value,
        "Id": each.account[1],
        "Description": each.description,
        "CurrencyCode": each.currency,
        "Remaining": shown(side, each.remaining),
        "Held": shown(side, each.held),
        "Available": shown(side, each.available),
        "Lapsing": shown(side, each.lapsing),
        "ValidFrom": show_instant(each.valid_from) if each.valid_from else None,
        "ExpireDate": show_instant(each.expires) if each.expires else None,
    }


def _shown_due(due: Due) -> dict[str, Any]:
    return {
        "Key": due.key,
        "CoworkerContractId": due.contract["Id"],
        "CoworkerId": due.contract["CoworkerId"],
        "Kind": due.side.kind.value,
        "BenefitId": due.benefit["Id"],
        "Amount": shown(due.side, due.amount),
        "ValidFrom": show_instant(due.period.valid_from(due.clock.zone)),
        "ExpireDate": show_instant(due.period.expires(due.clock.zone)),
    }


def _look(wire: LedgerWire, role: str, read: Callable[[Look], Awaitable[Said]]) -> Endpoint:
    async def endpoint(request: Request) -> Response:
        call = called(request, role)
        async with wire.store.reading() as reading:
            said = await read(Look(reading, Given(request.query_params), call))
        return JsonAnswer(answer_of(said, call))

    return endpoint


def _act(wire: LedgerWire, role: str, run: Callable[[Act], Awaitable[Said]]) -> Endpoint:
    """One unit; whoever loses a race for a credit plans once more, then it is 409 (rule 31)."""

    async def endpoint(request: Request) -> Response:
        call = called(request, role)
        body = await read_body(request, wire.body_limit_bytes)
        path_id = _path_id(request.path_params.get("id"))
        try:
            return await once(body, call, path_id)
        except Conflict:
            return await once(body, call, path_id)

    async def once(body: Body, call: Call, path_id: int) -> Response:
        async with wire.store.writing() as unit:
            answers = Answers(wire.answers)
            earlier = await answers.earlier(unit, call, body.fingerprint)
            if earlier is not None:
                return earlier
            said = await run(Act(unit, wire.desk, Given(body.values), path_id, call))
            answer = answer_of(said, call)
            await answers.keep(unit, call, body.fingerprint, 200, answer)
        return JsonAnswer(answer)

    return endpoint


def _path_id(text: str | None) -> int:
    if text is None:
        return 0
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise NotFound
    return int(text)
