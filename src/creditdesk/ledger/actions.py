"""The ledger's actions (commands) on records; each calls one operation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from creditdesk.entities.billing.coworker_booking_credit import CoworkerBookingCredit
from creditdesk.entities.billing.coworker_booking_credit_use_history import (
    CoworkerBookingCreditUseHistory,
)
from creditdesk.entities.billing.coworker_contract import CoworkerContract
from creditdesk.entities.billing.coworker_extra_service import CoworkerExtraService
from creditdesk.entities.billing.coworker_extra_service_use_history import (
    CoworkerExtraServiceUseHistory,
)
from creditdesk.entities.billing.coworker_product import CoworkerProduct
from creditdesk.entities.billing.tariff_booking_credit import TariffBookingCredit
from creditdesk.entities.billing.tariff_extra_service import TariffExtraService
from creditdesk.entities.roles import CORRECT_ROLE, SPEND_ROLE
from creditdesk.entities.spaces.booking import Booking
from creditdesk.ledger.contract_actions import CONTRACT_ACTIONS
from creditdesk.ledger.journal.entry import AccountType
from creditdesk.ledger.journal.mapping import MONEY_MAPPING, TIME_MAPPING, CreditTypeMapping
from creditdesk.ledger.journal.transaction import LedgerContext
from creditdesk.ledger.operations.bookings import (
    ChargeResult,
    RecalculationResult,
    cancel_bookings,
    charge_bookings,
    recalculate_booking,
)
from creditdesk.ledger.operations.corrections import (
    ReversalResult,
    adjust,
    reverse,
    void,
)
from creditdesk.ledger.operations.product_benefits import activate_products
from creditdesk.ledger.operations.rollover import set_rollover
from creditdesk.ledger.operations.set_funding import set_funding
from creditdesk.ledger.operations.set_overdraft import set_overdraft
from creditdesk.ledger.operations.set_priority import set_priority
from creditdesk.ledger.rules.amounts import Amount, format_money
from creditdesk.ledger.rules.funding import Funding, FundingKind
from creditdesk.ledger.rules.renewal import RolloverLimit
from creditdesk.schema.actions import Action, ActionResult
from creditdesk.schema.counted_texts import counted_text
from creditdesk.schema.fields import Boolean, Field, Integer, Money
from creditdesk.schema.params import Param, Params
from creditdesk.schema.repository import WriteSession
from creditdesk.schema.service import RequestContext

_CANCELLATION_REASON: Final = Param("Cancellation Reason")
_WITHOUT_FEE_RULES: Final = Param("Cancel without applying cancellation fee rules", Boolean())
_PREVIEW: Final = Param("Preview", Boolean())
_PRIORITY: Final = Param("Priority", Integer(), required=True)
_LIMIT: Final = Param("Limit", Integer(), required=True)
_PERIODS: Final = Param("Periods", Integer(), required=True)
_FUNDING: Final = Param("Funding", required=True, choices=tuple(kind.value for kind in FundingKind))
_PRICE_PAID: Final = Param("PricePaid", Money(allow_negative=False), description="What was paid for the whole credit.")
_SOURCE_DOCUMENT: Final = Param("SourceDocument", description="What the credit came from, such as an invoice number.")
_REASON: Final = Param("Reason")
_REQUIRED_REASON: Final = Param("Reason", required=True)


def ledger_actions(ledger: LedgerContext) -> dict[str, tuple[Action, ...]]:
    """The actions by the name of the entity they run on."""
    return {
        Booking.__name__: _booking_actions(ledger),
        CoworkerContract.__name__: CONTRACT_ACTIONS,
        CoworkerProduct.__name__: _product_actions(ledger),
        CoworkerBookingCredit.__name__: _credit_actions(ledger, MONEY_MAPPING),
        CoworkerExtraService.__name__: (
            *_credit_actions(ledger, TIME_MAPPING),
            _overdraft_action(ledger),
        ),
        TariffBookingCredit.__name__: (_rollover_action(MONEY_MAPPING),),
        TariffExtraService.__name__: (_rollover_action(TIME_MAPPING),),
        CoworkerBookingCreditUseHistory.__name__: _use_actions(ledger, MONEY_MAPPING),
        CoworkerExtraServiceUseHistory.__name__: _use_actions(ledger, TIME_MAPPING),
    }


def _booking_actions(ledger: LedgerContext) -> tuple[Action, ...]:
    async def charge(
        session: WriteSession, ids: Sequence[int], _params: Params, context: RequestContext
    ) -> ActionResult:
        charged = await charge_bookings(session, ids, context, ledger)
        done = sum(each.allocation is not None for each in charged)
        message = f"{done} of {len(charged)} bookings were charged."
        return ActionResult(message, [_charge_document(each) for each in charged])

    async def cancel(
        session: WriteSession, ids: Sequence[int], params: Params, context: RequestContext
    ) -> ActionResult:
        reason = params[_CANCELLATION_REASON] or ""
        cancelled = await cancel_bookings(session, ids, context, ledger, reason)
        value = [
            {
                "BookingId": each.booking_id,
                "Removed": each.removed,
                "Returned": [_reversal_document(back) for back in each.reversals],
            }
            for each in cancelled
        ]
        return ActionResult(
            counted_text(len(cancelled), "{} booking was cancelled.", "{} bookings were cancelled."), value
        )

    async def recalculate(
        session: WriteSession, ids: Sequence[int], params: Params, context: RequestContext
    ) -> ActionResult:
        only_show = bool(params[_PREVIEW])
        found = [await recalculate_booking(session, each, context, ledger, dry_run=only_show) for each in ids]
        return ActionResult(
            _recalculation_message(len(found), only_show), [_recalculation_document(each) for each in found]
        )

    return (
        Action("CHARGE_BOOKING", "Charge booking", charge, order=1, role=SPEND_ROLE),
        Action(
            "CANCEL_BOOKING",
            "Cancel booking",
            cancel,
            (_CANCELLATION_REASON, _WITHOUT_FEE_RULES),
            order=2,
        ),
        Action(
            "RECALCULATE_BOOKING",
            "Recalculate the credit",
            recalculate,
            (_PREVIEW,),
            order=3,
            role=SPEND_ROLE,
        ),
    )


def _recalculation_message(count: int, only_show: bool) -> str:
    if only_show:
        return counted_text(count, "{} booking would be recalculated.", "{} bookings would be recalculated.")
    return counted_text(count, "{} booking was recalculated.", "{} bookings were recalculated.")


def _product_actions(ledger: LedgerContext) -> tuple[Action, ...]:
    async def activate(
        session: WriteSession, ids: Sequence[int], _params: Params, context: RequestContext
    ) -> ActionResult:
        done = await activate_products(session, ids, context, ledger)
        value = [
            {
                "CoworkerProductId": each.sale_id,
                "Granted": [f"{kind.value}/{credit_id}" for kind, credit_id in each.granted],
            }
            for each in done
        ]
        granted = sum(len(each.granted) for each in done)
        return ActionResult(f"{len(done)} products are active; {granted} credits added.", value)

    return (Action("ACTIVATE_PRODUCT", "Activate product", activate, order=1),)


def _credit_actions(ledger: LedgerContext, mapping: CreditTypeMapping) -> tuple[Action, ...]:
    return (
        _adjust_action(ledger, mapping),
        _void_action(ledger, mapping),
        _priority_action(ledger, mapping),
        _funding_action(ledger, mapping),
    )


def _adjust_action(ledger: LedgerContext, mapping: CreditTypeMapping) -> Action:
    amount = Param("Amount", _amount_field(mapping), required=True)

    async def adjust_credits(
        session: WriteSession,
        ids: Sequence[int],
        params: Params,
        context: RequestContext,
    ) -> ActionResult:
        value = []
        for credit_id in ids:
            account = (mapping.account_type, credit_id)
            after = await adjust(session, account, params[amount], params[_REQUIRED_REASON], context, ledger)
            value.append(
                {
                    "Id": credit_id,
                    mapping.remaining_field: document_amount(mapping, after.remaining),
                    mapping.total_field: document_amount(mapping, after.total),
                }
            )
        return ActionResult(counted_text(len(value), "{} credit was adjusted.", "{} credits were adjusted."), value)

    params = (amount, _REQUIRED_REASON)
    return Action(
        "ADJUST_CREDIT",
        "Adjust remaining credit",
        adjust_credits,
        params,
        order=1,
        role=CORRECT_ROLE,
    )


def _void_action(ledger: LedgerContext, mapping: CreditTypeMapping) -> Action:
    async def void_credits(
        session: WriteSession,
        ids: Sequence[int],
        params: Params,
        context: RequestContext,
    ) -> ActionResult:
        accounts = [(mapping.account_type, credit_id) for credit_id in ids]
        done = await void(session, accounts, params[_REASON] or "", context, ledger)
        value = [
            {
                "Id": each.account[1],
                "Removed": document_amount(mapping, each.removed),
                "Used": document_amount(mapping, each.used),
                "Held": document_amount(mapping, each.held),
            }
            for each in done
        ]
        return ActionResult(counted_text(len(done), "{} credit was voided.", "{} credits were voided."), value)

    return Action("VOID_CREDIT", "Void unused credit", void_credits, (_REASON,), order=2, role=CORRECT_ROLE)


def _priority_action(ledger: LedgerContext, mapping: CreditTypeMapping) -> Action:
    async def prioritise_credits(
        session: WriteSession,
        ids: Sequence[int],
        params: Params,
        context: RequestContext,
    ) -> ActionResult:
        accounts = [(mapping.account_type, credit_id) for credit_id in ids]
        await set_priority(session, accounts, params[_PRIORITY], context, ledger)
        return ActionResult(
            counted_text(
                len(ids), "{} credit has priority {}.", "{} credits have priority {}.", len(ids), params[_PRIORITY]
            )
        )

    return Action("SET_PRIORITY", "Set the priority", prioritise_credits, (_PRIORITY,), order=3)


def _funding_action(ledger: LedgerContext, mapping: CreditTypeMapping) -> Action:
    async def run(
        session: WriteSession,
        ids: Sequence[int],
        params: Params,
        context: RequestContext,
    ) -> ActionResult:
        funding = Funding(FundingKind(params[_FUNDING]), params[_PRICE_PAID], params[_SOURCE_DOCUMENT])
        accounts = [(mapping.account_type, credit_id) for credit_id in ids]
        changed = await set_funding(session, accounts, funding, params[_REQUIRED_REASON], context, ledger)
        return ActionResult(f"The funding of {changed} of {len(ids)} credits was changed.")

    return Action(
        "SET_FUNDING",
        "State where the credit came from",
        run,
        (_FUNDING, _PRICE_PAID, _SOURCE_DOCUMENT, _REQUIRED_REASON),
        order=5,
        role=CORRECT_ROLE,
    )


def _overdraft_action(ledger: LedgerContext) -> Action:
    async def run(
        session: WriteSession,
        ids: Sequence[int],
        params: Params,
        context: RequestContext,
    ) -> ActionResult:
        limit = params[_LIMIT]
        await set_overdraft(session, ids, limit, context, ledger)
        return ActionResult(
            counted_text(
                len(ids),
                "{} credit may go {} uses below zero.",
                "{} credits may go {} uses below zero.",
                len(ids),
                limit,
            )
            if limit
            else counted_text(len(ids), "{} credit has no overdraft.", "{} credits have no overdraft.")
        )

    return Action(
        "SET_OVERDRAFT",
        "Set the overdraft of printing credit",
        run,
        (_LIMIT,),
        order=4,
        role=CORRECT_ROLE,
    )


def _rollover_action(mapping: CreditTypeMapping) -> Action:
    cap = Param("Cap", _amount_field(mapping), required=True)

    async def run(
        session: WriteSession,
        ids: Sequence[int],
        params: Params,
        context: RequestContext,
    ) -> ActionResult:
        allowed = RolloverLimit(params[cap], params[_PERIODS])
        for benefit_id in ids:
            await set_rollover(session, mapping, benefit_id, allowed, context)
        rolls_over = bool(allowed.cap and allowed.periods)
        return ActionResult(
            counted_text(len(ids), "{} benefit now rolls over.", "{} benefits now roll over.")
            if rolls_over
            else counted_text(len(ids), "{} benefit does not roll over.", "{} benefits do not roll over.")
        )

    return Action("SET_ROLL_OVER", "Let unused credit roll over", run, (cap, _PERIODS), order=1)


def _use_actions(ledger: LedgerContext, mapping: CreditTypeMapping) -> tuple[Action, ...]:
    amount = Param("Amount", _amount_field(mapping))

    async def reverse_uses(
        session: WriteSession,
        ids: Sequence[int],
        params: Params,
        context: RequestContext,
    ) -> ActionResult:
        done = await reverse(
            session,
            mapping,
            ids,
            context,
            ledger,
            amount=params[amount],
            reason=params[_REASON] or "",
        )
        count = sum(bool(each.amount) for each in done)
        message = f"{count} of {len(done)} uses were reversed."
        return ActionResult(message, [_reversal_document(each) for each in done])

    return (
        Action(
            "REVERSE_USE",
            "Reverse use",
            reverse_uses,
            (amount, _REASON),
            order=1,
            role=CORRECT_ROLE,
        ),
    )


def _amount_field(mapping: CreditTypeMapping) -> Field:
    return Money() if mapping.account_type is AccountType.MONEY else Integer()


def document_amount(mapping: CreditTypeMapping, amount: Amount) -> str | int:
    """An amount in a JSON document: money as text with four decimals, uses as an integer."""
    return format_money(amount) if mapping.account_type is AccountType.MONEY else amount


def _reversal_document(each: ReversalResult) -> dict[str, Any]:
    mapping = MONEY_MAPPING if each.account[0] is AccountType.MONEY else TIME_MAPPING
    return {
        "UseHistoryId": each.history_id,
        "Credit": f"{each.account[0].value}/{each.account[1]}",
        "Amount": document_amount(mapping, each.amount),
        "ReissuedAs": each.reissued_id,
    }


def _charge_document(each: ChargeResult) -> dict[str, Any]:
    return {
        "BookingId": each.booking_id,
        "AlreadyCharged": each.allocation is None,
        "CoworkerExtraServiceId": each.charge_id,
        "AllocationId": each.allocation_group,
        "Allocation": each.allocation.to_document() if each.allocation else None,
    }


def _recalculation_document(each: RecalculationResult) -> dict[str, Any]:
    return {
        "BookingId": each.booking_id,
        "Before": {credit: _credit_amount(credit, n) for credit, n in each.before.items()},
        "After": {credit: _credit_amount(credit, n) for credit, n in each.after.items()},
        "Uncovered": format_money(each.uncovered),
        "Applied": each.charged is not None,
    }


def _credit_amount(credit: str, amount: Amount) -> str | int:
    return document_amount(MONEY_MAPPING if credit.startswith(AccountType.MONEY.value) else TIME_MAPPING, amount)
