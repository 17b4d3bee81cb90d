"""The ledger's commands, each over one operation, as values that the wire lists and runs.

This module must not know bodies or routes; ids were checked to be the caller's before.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from creditdesk.entities.billing.coworker_booking_credit import CoworkerBookingCredit
from creditdesk.entities.billing.coworker_booking_credit_use_history import (
    CoworkerBookingCreditUseHistory,
)
from creditdesk.entities.billing.coworker_extra_service import CoworkerExtraService
from creditdesk.entities.billing.coworker_extra_service_use_history import (
    CoworkerExtraServiceUseHistory,
)
from creditdesk.entities.billing.coworker_product import CoworkerProduct
from creditdesk.entities.billing.tariff_booking_credit import TariffBookingCredit
from creditdesk.entities.billing.tariff_extra_service import TariffExtraService
from creditdesk.entities.spaces.booking import Booking
from creditdesk.ledger.journal.entry import CreditKind
from creditdesk.ledger.journal.mapping import MONEY, TIME, Side
from creditdesk.ledger.journal.transaction import Desk
from creditdesk.ledger.operations.bookings import (
    Charged,
    Difference,
    cancel_bookings,
    charge_bookings,
    recalculate_booking,
)
from creditdesk.ledger.operations.corrections import Reversed, adjust, prioritise, reverse, void
from creditdesk.ledger.operations.product_benefits import activate_products
from creditdesk.ledger.operations.rollover import set_roll_over
from creditdesk.ledger.operations.set_overdraft import set_overdraft
from creditdesk.ledger.rules.amounts import Amount, money_text
from creditdesk.ledger.rules.renewal import RollOver
from creditdesk.schema.actions import Command, CommandOutcome, Parameter, Run
from creditdesk.schema.fields import Boolean, Field, Integer, Money, Text
from creditdesk.schema.repository import Unit
from creditdesk.schema.service import Call

Given = Mapping[str, Any]


def ledger_commands(desk: Desk) -> dict[str, tuple[Command, ...]]:
    """The commands by the name of the entity they are offered on."""
    return {
        Booking.__name__: _on_bookings(desk),
        CoworkerProduct.__name__: _on_products(desk),
        CoworkerBookingCredit.__name__: _on_credits(desk, MONEY),
        CoworkerExtraService.__name__: (*_on_credits(desk, TIME), _overdraft(desk)),
        TariffBookingCredit.__name__: (_roll_over_of(MONEY),),
        TariffExtraService.__name__: (_roll_over_of(TIME),),
        CoworkerBookingCreditUseHistory.__name__: _on_uses(desk, MONEY),
        CoworkerExtraServiceUseHistory.__name__: _on_uses(desk, TIME),
    }


def _on_bookings(desk: Desk) -> tuple[Command, ...]:
    async def charge(unit: Unit, ids: Sequence[int], _given: Given, call: Call) -> CommandOutcome:
        charged = await charge_bookings(unit, ids, call, desk)
        done = sum(each.allocation is not None for each in charged)
        message = f"{done} of {len(charged)} bookings were charged."
        return CommandOutcome(message, [_charged(each) for each in charged])

    async def cancel(unit: Unit, ids: Sequence[int], given: Given, call: Call) -> CommandOutcome:
        reason = given["Cancellation Reason"] or ""
        cancelled = await cancel_bookings(unit, ids, call, desk, reason)
        value = [
            {
                "BookingId": each.booking_id,
                "Removed": each.removed,
                "Returned": [_reversed(back) for back in each.back],
            }
            for each in cancelled
        ]
        return CommandOutcome(f"{len(cancelled)} bookings were cancelled.", value)

    async def recalculate(
        unit: Unit, ids: Sequence[int], given: Given, call: Call
    ) -> CommandOutcome:
        only_show = bool(given["Preview"])
        found = [
            await recalculate_booking(unit, each, call, desk, only_show=only_show) for each in ids
        ]
        verb = "would be" if only_show else "were"
        message = f"{len(found)} bookings {verb} decided again."
        return CommandOutcome(message, [_difference(each) for each in found])

    return (
        Command("CHARGE_BOOKING", "Charge booking", charge, order=1),
        Command(
            "CANCEL_BOOKING",
            "Cancel booking",
            cancel,
            (
                Parameter("Cancellation Reason"),
                Parameter("Cancel without applying cancellation fee rules", Boolean()),
            ),
            order=2,
        ),
        Command(
            "RECALCULATE_BOOKING",
            "Decide the credit again",
            recalculate,
            (Parameter("Preview", Boolean()),),
            order=3,
        ),
    )


def _on_products(desk: Desk) -> tuple[Command, ...]:
    async def activate(unit: Unit, ids: Sequence[int], _given: Given, call: Call) -> CommandOutcome:
        done = await activate_products(unit, ids, call, desk)
        value = [
            {
                "CoworkerProductId": each.sale_id,
                "Granted": [f"{kind.value}/{credit_id}" for kind, credit_id in each.granted],
            }
            for each in done
        ]
        granted = sum(len(each.granted) for each in done)
        return CommandOutcome(f"{len(done)} products are active; {granted} credits added.", value)

    return (Command("ACTIVATE_PRODUCT", "Activate product", activate, order=1),)


def _on_credits(desk: Desk, side: Side) -> tuple[Command, ...]:
    async def adjusted(unit: Unit, ids: Sequence[int], given: Given, call: Call) -> CommandOutcome:
        value = []
        for credit_id in ids:
            account = (side.kind, credit_id)
            after = await adjust(unit, account, given["Amount"], given["Reason"], call, desk)
            value.append(
                {
                    "Id": credit_id,
                    side.remaining: shown(side, after.remaining),
                    side.total: shown(side, after.total),
                }
            )
        return CommandOutcome(f"{len(value)} credits were adjusted.", value)

    async def voided(unit: Unit, ids: Sequence[int], given: Given, call: Call) -> CommandOutcome:
        accounts = [(side.kind, credit_id) for credit_id in ids]
        done = await void(unit, accounts, given["Reason"] or "", call, desk)
        value = [
            {
                "Id": each.account[1],
                "Removed": shown(side, each.removed),
                "Used": shown(side, each.used),
                "Held": shown(side, each.held),
            }
            for each in done
        ]
        return CommandOutcome(f"{len(done)} credits were voided.", value)

    async def prioritised(
        unit: Unit, ids: Sequence[int], given: Given, call: Call
    ) -> CommandOutcome:
        accounts = [(side.kind, credit_id) for credit_id in ids]
        await prioritise(unit, accounts, given["Priority"], call, desk)
        return CommandOutcome(f"{len(ids)} credits have priority {given['Priority']}.")

    return (
        Command(
            "ADJUST_CREDIT",
            "Adjust remaining credit",
            adjusted,
            (Parameter("Amount", _amount(side), True), Parameter("Reason", Text(), True)),
            order=1,
        ),
        Command("VOID_CREDIT", "Void unused credit", voided, (Parameter("Reason"),), order=2),
        Command(
            "SET_PRIORITY",
            "Set the priority",
            prioritised,
            (Parameter("Priority", Integer(), True),),
            order=3,
        ),
    )


def _overdraft(desk: Desk) -> Command:
    async def run(unit: Unit, ids: Sequence[int], given: Given, call: Call) -> CommandOutcome:
        limit = given["Limit"]
        await set_overdraft(unit, ids, limit, call, desk)
        how_far = f"may go {limit} uses below zero" if limit else "have no overdraft"
        return CommandOutcome(f"{len(ids)} credits {how_far}.")

    parameters = (Parameter("Limit", Integer(), True),)
    return Command(
        "SET_OVERDRAFT", "Set the overdraft of printing credit", run, parameters, order=4
    )


def _roll_over_of(side: Side) -> Command:
    async def run(unit: Unit, ids: Sequence[int], given: Given, call: Call) -> CommandOutcome:
        allowed = RollOver(given["Cap"], given["Periods"])
        for benefit_id in ids:
            await set_roll_over(unit, side, benefit_id, allowed, call)
        on = "now roll over" if allowed.cap and allowed.periods else "do not roll over"
        return CommandOutcome(f"{len(ids)} benefits {on}.")

    parameters = (Parameter("Cap", _amount(side), True), Parameter("Periods", Integer(), True))
    return Command("SET_ROLL_OVER", "Let unused credit roll over", run, parameters, order=1)


def _on_uses(desk: Desk, side: Side) -> tuple[Command, ...]:
    run: Run = _reversing(desk, side)
    parameters = (Parameter("Amount", _amount(side)), Parameter("Reason"))
    return (Command("REVERSE_USE", "Reverse use", run, parameters, order=1),)


def _reversing(desk: Desk, side: Side) -> Run:
    async def reversed_(unit: Unit, ids: Sequence[int], given: Given, call: Call) -> CommandOutcome:
        done = await reverse(
            unit, side, ids, call, desk, amount=given["Amount"], reason=given["Reason"] or ""
        )
        count = sum(bool(each.amount) for each in done)
        message = f"{count} of {len(done)} uses were reversed."
        return CommandOutcome(message, [_reversed(each) for each in done])

    return reversed_


def _amount(side: Side) -> Field:
    return Money() if side.kind is CreditKind.MONEY else Integer()


def shown(side: Side, amount: Amount) -> str | int:
    """An amount as documents show it: money as text with four places, uses as a whole number."""
    return money_text(amount) if side.kind is CreditKind.MONEY else amount


def _reversed(each: Reversed) -> dict[str, Any]:
    side = MONEY if each.account[0] is CreditKind.MONEY else TIME
    return {
        "UseHistoryId": each.history_id,
        "Credit": f"{each.account[0].value}/{each.account[1]}",
        "Amount": shown(side, each.amount),
        "ReissuedAs": each.reissued,
    }


def _charged(each: Charged) -> dict[str, Any]:
    return {
        "BookingId": each.booking_id,
        "AlreadyCharged": each.allocation is None,
        "CoworkerExtraServiceId": each.charge_id,
        "AllocationId": each.group,
        "Allocation": each.allocation.to_document() if each.allocation else None,
    }


def _difference(each: Difference) -> dict[str, Any]:
    return {
        "BookingId": each.booking_id,
        "Before": {credit: _by_credit(credit, n) for credit, n in each.before.items()},
        "After": {credit: _by_credit(credit, n) for credit, n in each.after.items()},
        "Uncovered": money_text(each.uncovered),
        "Applied": each.charged is not None,
    }


def _by_credit(credit: str, amount: Amount) -> str | int:
    return shown(MONEY if credit.startswith(CreditKind.MONEY.value) else TIME, amount)
