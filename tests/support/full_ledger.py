"""A small ledger in which every operation of the ledger has left something."""

from __future__ import annotations

from datetime import timedelta

from creditdesk.audit.checkpoints import create_checkpoint
from creditdesk.auth.audit_trail import AuditAction, event_of_request, record_event
from creditdesk.entities.billing.coworker_invoice import CoworkerInvoice
from creditdesk.entities.billing.coworker_invoice_line import CoworkerInvoiceLine
from creditdesk.entities.ledger.pool_cap import PoolCap
from creditdesk.ledger.journal.mapping import MONEY_MAPPING, TIME_MAPPING
from creditdesk.ledger.operations.bookings import cancel_bookings, charge_bookings
from creditdesk.ledger.operations.corrections import adjust, reverse, void
from creditdesk.ledger.operations.holds import confirm_hold, release_hold
from creditdesk.ledger.operations.rollover import set_rollover
from creditdesk.ledger.operations.set_overdraft import set_overdraft
from creditdesk.ledger.operations.set_priority import set_priority
from creditdesk.ledger.rules.renewal import RolloverLimit
from creditdesk.schema.repository import Store
from tests.ledger.test_product_benefits import activate_sales, add_product, add_sale
from tests.ledger.test_renewals import add_contract, run_due_renewals
from tests.ledger.test_scheduled_jobs import add_hold, run_expiry, run_releases
from tests.support.ledger_builder import LedgerBuilder, money
from tests.support.shared_team import SharedTeam


async def create_full_ledger(store: Store) -> LedgerBuilder:
    """Fills an empty store."""
    ledger = await LedgerBuilder.create(store)
    await _post_uses(ledger)
    await _hold_and_charge(ledger)
    await _correct(ledger)
    await _renew(ledger)
    await _share(ledger)
    async with store.write_session() as session:
        await create_checkpoint(session, ledger.now)
    await ledger.post_use(await ledger.add_money_credit("9.00"), "1.00", Description="after the checkpoint")
    return ledger


async def _post_uses(ledger: LedgerBuilder) -> None:
    credit = await ledger.add_money_credit("40.00", Description="Monthly credit", ExpireDate=ledger.now + timedelta(60))
    invoice = await ledger.add(
        CoworkerInvoice, CoworkerId=ledger.customer, BusinessId=ledger.business, CurrencyId=ledger.currency
    )
    line = await ledger.add(
        CoworkerInvoiceLine, CoworkerInvoiceId=invoice, Description="Desk", Quantity=1, SubTotal=money("5.00")
    )
    await ledger.post_use(credit, "1.00", Description="coffee", key="first")
    await ledger.post_use(credit, "2.50", BookingId=await ledger.add_booking(), key="second")
    await ledger.post_use(credit, "5.00", CoworkerInvoiceLineId=line)
    time = await ledger.add_time_credit(600)
    await ledger.post_time_use(time, BookingId=await ledger.add_booking(1), key="third")
    await ledger.add_money_credit("12.00", ValidFrom=ledger.now + timedelta(30))


async def _hold_and_charge(ledger: LedgerBuilder) -> None:
    context = ledger.request_context()
    groups = [await add_hold(ledger, ledger.now + timedelta(hours=n)) for n in (1, 900, 900, 900)]
    async with ledger.store.write_session() as session:
        await confirm_hold(session, groups[1], context, ledger.context)
    async with ledger.store.write_session() as session:
        await release_hold(session, groups[2], context, ledger.context, "not needed")
    bookings = [await ledger.add_booking(hours) for hours in (1, 9, 2)]
    for booking in bookings:
        async with ledger.store.write_session() as session:
            await charge_bookings(session, [booking], context, ledger.context)
    async with ledger.store.write_session() as session:
        await cancel_bookings(session, bookings[2:], context, ledger.context)
    ledger.now += timedelta(hours=2)
    await run_releases(ledger)


async def _correct(ledger: LedgerBuilder) -> None:
    context = ledger.request_context()
    credit = await ledger.add_money_credit("20.00", ExpireDate=ledger.now + timedelta(days=1))
    use = await ledger.post_use(credit, "4.00")
    account = (MONEY_MAPPING.account_type, credit)
    async with ledger.store.write_session() as session:
        await reverse(session, MONEY_MAPPING, [int(use["Id"])], context, ledger.context, reason="by mistake")
        await adjust(session, account, money("3.00"), "goodwill", context, ledger.context)
        await set_priority(session, [account], 7, context, ledger.context)
    gone = await ledger.add_money_credit("8.00")
    async with ledger.store.write_session() as session:
        await void(session, [(MONEY_MAPPING.account_type, gone)], "closed", context, ledger.context)
    printing = await ledger.add_rate(5, "0.10", IsPrintingCredit=True, resource_types=())
    prints = await ledger.add_time_credit(50, ExtraServiceId=printing)
    async with ledger.store.write_session() as session:
        await set_overdraft(session, [prints], 20, context, ledger.context)
    ledger.now += timedelta(days=2)
    await run_expiry(ledger)


async def _renew(ledger: LedgerBuilder) -> None:
    await add_contract(ledger)
    async with ledger.store.write_session() as session:
        for mapping in (MONEY_MAPPING, TIME_MAPPING):
            await set_rollover(session, mapping, 1, RolloverLimit(money("5.00"), 3), ledger.request_context())
    await run_due_renewals(ledger)
    ledger.now += timedelta(days=31)
    await run_due_renewals(ledger)
    await run_expiry(ledger)
    await activate_sales(ledger, await add_sale(ledger, await add_product(ledger)))


async def _share(ledger: LedgerBuilder) -> None:
    team = await SharedTeam.create(ledger)
    await team.pool()
    await _record_cap(ledger, await team.cap("30.00"))
    await team.spend("200.00")
    await team.hold("3.00", 99)


async def _record_cap(ledger: LedgerBuilder, cap_id: int) -> None:
    """Leaves in the audit trail what the API leaves of a new cap."""
    async with ledger.store.write_session() as session:
        cap = await session.get(PoolCap, cap_id)
        assert cap is not None
        details = {name: [None, cap[name]] for name in ("TeamId", "CreditKind", "Period", "Amount")}
        event = event_of_request(ledger.request_context(), AuditAction.CREATED, PoolCap.__name__, cap_id, details)
        await record_event(session, event, ledger.now)
