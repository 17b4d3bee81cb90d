"""Operations on items to pay for: preview, spend, hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any

from creditdesk.ledger.journal.mapping import MONEY_MAPPING, AccountKey, account_key
from creditdesk.ledger.loaders.holds import lock_holds_of
from creditdesk.ledger.loaders.items import Buyer, ItemRequest, lock_items
from creditdesk.ledger.operations import holds as hold_operations
from creditdesk.ledger.operations.baskets import Basket, load_basket
from creditdesk.ledger.operations.draw import (
    SpendPlan,
    preview,
)
from creditdesk.ledger.rules.burn_down import Allocation, SourceAllocation
from creditdesk.ledger.rules.credit import SourceKind
from creditdesk.schema.repository import WriteSession
from creditdesk.settings import ValidityInstant
from tests.stateful import model as models
from tests.stateful.credit_operations import UNKNOWN_ID
from tests.stateful.simulation import Simulation
from tests.support.spending import execute_spend

MONEY_CENT = 100


def pick_booking(simulation: Simulation) -> models.ModelBooking | None:
    found = list(simulation.model.bookings.values())
    open_ones = [b for b in found if not b.deleted]
    return simulation.random.choice((open_ones if simulation.random.random() < 0.97 else found) or [None])


def _pick_items(simulation: Simulation) -> list[ItemRequest]:
    """One or two items: a booking, a charge or a print job."""
    items: list[ItemRequest] = []
    for _ in range(simulation.random.choice((1, 1, 2))):
        booking = pick_booking(simulation)
        if booking is not None and simulation.random.random() < 0.6:
            if all(each.id != booking.id for each in items):
                items.append(ItemRequest(SourceKind.BOOKING, booking.id))
        elif simulation.random.random() < 0.7:
            amount = simulation.random.choice((0, MONEY_CENT, simulation.random.randint(1, 2000) * MONEY_CENT))
            items.append(ItemRequest(SourceKind.CHARGE, simulation.random.randint(1, 2**40), amount))
        else:
            units = simulation.random.randint(1, 60)
            number = simulation.random.randint(1, 2**40)
            items.append(ItemRequest(SourceKind.PRINT_JOB, number, print_units=units))
    return items


def _has_deleted_booking(simulation: Simulation, items: Sequence[ItemRequest]) -> bool:
    bookings = simulation.model.bookings
    return any(each.kind is SourceKind.BOOKING and bookings[each.id].deleted for each in items)


async def preview_items(simulation: Simulation) -> None:
    """A preview changes nothing."""
    items, ledger = _pick_items(simulation), simulation.ledger
    if not items or _has_deleted_booking(simulation, items):
        return

    async def show(unit: WriteSession) -> Allocation:
        return preview(await _load_basket(simulation, unit, items), ledger.context, ledger.now)

    check_allocation(simulation, items, await simulation.transact_expecting(show, fails=False, changes=False))


async def spend_on_items(simulation: Simulation) -> None:
    items, ledger, model = _pick_items(simulation), simulation.ledger, simulation.model
    if not items:
        return

    async def pay(unit: WriteSession) -> Allocation:
        await lock_items(unit, items)
        basket = await _load_basket(simulation, unit, items)
        locked = await lock_holds_of(unit, [source.key for source in basket.sources])
        holds = [hold for of_source in locked.values() for hold in of_source]
        shown = preview(basket, ledger.context, ledger.now)
        drawing = SpendPlan(basket, ledger.request_context(), ledger.context, holds)
        allocation = (await execute_spend(unit, drawing, ledger.context)).allocation
        if all(hold.has_ended(ledger.now) for hold in holds):
            assert shown == allocation, "the preview is not the decision (rule 19)"
        return allocation

    refused = _has_deleted_booking(simulation, items)
    allocation = await simulation.transact_expecting(pay, fails=refused)
    if not refused:
        for each in items:
            if each.kind is SourceKind.BOOKING:
                record_released_holds(simulation, each.id, "confirmed")
        check_allocation(simulation, items, allocation)
        record_uses(simulation, allocation)
        assert model.changed or not any(s.parts for s in allocation.sources)


async def hold_items(simulation: Simulation) -> None:
    items, ledger = _pick_items(simulation), simulation.ledger
    if not items:
        return
    until = ledger.now + timedelta(hours=simulation.random.choice((1, 30)))
    ends = until if simulation.random.random() < 0.5 else None

    async def keep(unit: WriteSession) -> Any:
        await lock_items(unit, items)
        basket = await _load_basket(simulation, unit, items)
        return await hold_operations.create_hold(unit, basket, ledger.request_context(), ledger.context, ends)

    refused = _has_deleted_booking(simulation, items)
    held = await simulation.transact_expecting(keep, fails=refused)
    if refused:
        return
    check_allocation(simulation, items, held.allocation)
    for source in held.allocation.sources:
        of_booking = source.source.kind is SourceKind.BOOKING
        for part in source.parts:
            credit = simulation.model.credits[account_key(part.credit)]
            simulation.model.post(credit, "hold", part.taken)
            simulation.model.holds.append(
                models.ModelHold(
                    credit, part.taken, part.covered, source.source.id if of_booking else None,
                    held.group, ends,
                )
            )  # fmt: skip


def _pick_hold_group(simulation: Simulation) -> int:
    groups = sorted({held.group for held in simulation.model.holds})
    return simulation.random.choice(groups if groups and simulation.random.random() < 0.95 else [UNKNOWN_ID])


async def confirm_hold(simulation: Simulation) -> None:
    model, ledger, group = simulation.model, simulation.ledger, _pick_hold_group(simulation)
    holds = model.hold_group(group)
    left = [h for h in holds if h.state == "held"]
    over = any(h.has_ended(ledger.now) for h in left)
    gone = any(h.booking and model.bookings[h.booking].deleted for h in left)
    refused = not holds or all(h.state == "released" for h in holds) or over or gone
    done = await simulation.transact_expecting(
        lambda unit: hold_operations.confirm_hold(unit, group, ledger.request_context(), ledger.context),
        fails=refused,
        changes=bool(left),
    )
    if refused:
        return
    assert done == bool(left)
    for held in left:
        model.release(held, "confirmed")
    for held in left:
        row = model.add_use(held.credit, held.amount, held.booking)
        if held.booking:
            model.bookings[held.booking].payments.append((row, held.covered))


async def release_hold(simulation: Simulation) -> None:
    model, ledger, group = simulation.model, simulation.ledger, _pick_hold_group(simulation)
    holds = model.hold_group(group)
    left = [h for h in holds if h.state == "held"]
    refused = not holds or all(h.state == "confirmed" for h in holds)
    done = await simulation.transact_expecting(
        lambda unit: hold_operations.release_hold(unit, group, ledger.request_context(), ledger.context),
        fails=refused,
        changes=bool(left),
    )
    if refused:
        return
    assert done == bool(left)
    for held in left:
        if held.state == "held":
            model.release(held, "released")


async def expire_holds(simulation: Simulation) -> None:
    model, ledger = simulation.model, simulation.ledger
    due = [h for h in model.holds if h.state == "held" and h.has_ended(ledger.now)]
    groups = await simulation.transact_expecting(
        lambda unit: hold_operations.release_due_holds(unit, ledger.request_context(), ledger.context),
        fails=False,
        changes=bool(due),
    )
    assert groups == sorted({held.group for held in due})
    for held in due:
        model.release(held, "released")


def record_released_holds(simulation: Simulation, booking: int, state: str) -> None:
    """The holds of a booking that were settled; only a cancellation settles those that ended."""
    for held in simulation.model.active_holds(booking):
        if state == "released" or not held.has_ended(simulation.ledger.now):
            simulation.model.release(held, state)


async def _load_basket(simulation: Simulation, unit: WriteSession, items: Sequence[ItemRequest]) -> Basket:
    buyer = Buyer(simulation.ledger.customer, simulation.ledger.business)
    return await load_basket(unit, buyer, items, simulation.ledger.request_context())


def record_uses(simulation: Simulation, allocation: Allocation) -> None:
    """Records the uses of an allocation in the model."""
    for source in allocation.sources:
        booking = source.source.id if source.source.kind is SourceKind.BOOKING else None
        for part in source.parts:
            credit = simulation.model.credits[account_key(part.credit)]
            row = simulation.model.add_use(credit, part.taken, booking)
            if booking is not None:
                simulation.model.bookings[booking].payments.append((row, part.covered))


def check_allocation(
    simulation: Simulation,
    items: Sequence[ItemRequest],
    allocation: Allocation,
    kept: Mapping[AccountKey, int] = MappingProxyType({}),
) -> None:
    """Checks eligibility, available balances, and that no eligible credit is left over.

    `kept` is what credits paid for the one booking before; that much they pay outside their window (rule 25).
    """
    model = simulation.model
    taken: dict[AccountKey, int] = {}
    for each, source in zip(items, allocation.sources, strict=True):
        assert source.price == _expected_price(simulation, each), (
            each,
            source.price,
            _expected_price(simulation, each),
        )
        assert sum(part.covered for part in source.parts) + source.uncovered == source.price
        for_item: dict[AccountKey, int] = {}
        for part in source.parts:
            assert part.taken > 0
            account = account_key(part.credit)
            for_item[account] = for_item.get(account, 0) + part.taken
        for account, amount in for_item.items():
            assert amount <= _usable(simulation, model.credits[account], each, kept), (model.credits[account], each)
            taken[account] = taken.get(account, 0) + amount
    for account, amount in taken.items():
        assert amount <= model.credits[account].available
    for each, source in zip(items, allocation.sources, strict=True):
        _check_nothing_stranded(simulation, each, source, taken, kept)


def _check_nothing_stranded(
    simulation: Simulation,
    item: ItemRequest,
    source: SourceAllocation,
    taken: Mapping[AccountKey, int],
    kept: Mapping[AccountKey, int],
) -> None:
    if source.uncovered < MONEY_CENT:
        return
    for credit in simulation.model.existing_credits():
        if credit.mapping is MONEY_MAPPING and not credit.uses_credit_price:
            left = _usable(simulation, credit, item, kept) - taken.get(credit.account, 0)
            assert left < MONEY_CENT, f"{credit.account} has {left} left, {source} is not covered"


def _expected_price(simulation: Simulation, item: ItemRequest) -> int:
    if item.kind is SourceKind.BOOKING:
        booking = simulation.model.bookings[item.id]
        return max(0, booking.price - booking.covered)
    return item.print_units * MONEY_CENT if item.amount is None else item.amount


def _usable(
    simulation: Simulation, credit: models.ModelCredit, item: ItemRequest, kept: Mapping[AccountKey, int]
) -> int:
    """How much of a credit may pay for an item."""
    fits, at = _fit_and_instant(simulation, credit, item)
    if not fits:
        return 0
    return credit.available if credit.is_valid(at) else min(credit.available, kept.get(credit.account, 0))


def _fit_and_instant(simulation: Simulation, credit: models.ModelCredit, item: ItemRequest) -> tuple[bool, datetime]:
    """Whether a credit fits an item, window aside, and the instant at which it must be valid."""
    booking = simulation.model.bookings.get(item.id) if item.kind is SourceKind.BOOKING else None
    if booking is None:
        fits = credit.universal or (item.kind is SourceKind.PRINT_JOB and credit.covers == "prints")
        return fits, simulation.ledger.now
    by_start = simulation.ledger.settings.validity_instant is ValidityInstant.SERVICE_START
    fits = credit.for_bookings if credit.mapping is MONEY_MAPPING else credit.covers == "minutes"
    at = booking.starts if by_start else simulation.ledger.now
    return fits and not booking.tentative, at
