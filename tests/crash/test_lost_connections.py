"""A connection lost before any statement leaves nothing behind, and a retry then does it once."""

from __future__ import annotations

from typing import Any

import pytest

from creditdesk.entities.billing.coworker_booking_credit import CoworkerBookingCredit
from creditdesk.entities.billing.coworker_booking_credit_use_history import (
    CoworkerBookingCreditUseHistory,
)
from creditdesk.entities.billing.coworker_contract import CoworkerContract
from creditdesk.entities.billing.coworker_extra_service import CoworkerExtraService
from creditdesk.entities.billing.tariff_booking_credit import TariffBookingCredit
from creditdesk.entities.ledger.account_state import CreditState
from creditdesk.entities.ledger.allocation_document import AllocationDocument
from creditdesk.entities.ledger.benefit_grant import GrantKey
from creditdesk.entities.ledger.hold import Hold
from creditdesk.entities.ledger.journal_line import JournalLine
from creditdesk.entities.ledger.stored_response import StoredAnswer
from creditdesk.entities.spaces.booking import Booking
from creditdesk.schema.repository import Store
from tests.crash.cutting import Cutting
from tests.ledger.town import money
from tests.regression.desk import (
    BOOKINGS,
    CREDITS,
    USES,
    Desk,
    booking_of,
    done,
    made,
    succeeded,
)

LOOKED_AT = (
    CoworkerBookingCredit, CoworkerBookingCreditUseHistory, CoworkerExtraService, CreditState,
    JournalLine, StoredAnswer, AllocationDocument, GrantKey, Hold, Booking,
)  # fmt: skip
MOST_STATEMENTS = 120
ACTS = ("use", "spend", "reversal", "renewal", "top-up", "void", "charge", "cancellation", "hold")


@pytest.mark.parametrize("act", ACTS)
async def test_a_connection_lost_before_any_statement_leaves_nothing(
    desk: Desk, cutting: Cutting, store: Store, act: str
):
    path, body = await prepared(desk, act)
    key = f"{act} of {desk.town.customer}"
    before = await records(store)
    for statement in range(1, MOST_STATEMENTS):
        cutting.cut_before(statement)
        answer = await desk.post(path, body, key)
        if not cutting.was_cut:
            break
        cutting.mend()
        assert answer.status_code == 409, (statement, answer.text)
        assert await records(store) == before, statement
    assert statement > 3
    assert succeeded(answer)
    cutting.mend()
    after = await records(store)
    assert after != before
    assert (await desk.post(path, body, key)).content == answer.content
    assert await records(store) == after


@pytest.mark.parametrize("act", ACTS)
async def test_when_the_news_of_a_commit_is_lost_a_retry_gets_it_and_does_nothing(
    desk: Desk, cutting: Cutting, store: Store, act: str
):
    path, body = await prepared(desk, act)
    key = f"{act} of {desk.town.customer}"
    cutting.cut_after_commit()
    first = await desk.post(path, body, key)
    assert cutting.was_cut
    cutting.mend()
    after = await records(store)
    again = await desk.post(path, body, key)
    assert succeeded(again)
    assert first.status_code == 409 or first.content == again.content
    assert await records(store) == after


async def test_a_use_without_a_key_is_not_sent_again_by_us_when_the_news_is_lost(
    desk: Desk, cutting: Cutting
):
    credit = await desk.credit("10.00")
    cutting.cut_after_commit()
    answer = await desk.use(credit, "1.00")
    cutting.mend()
    assert answer.status_code == 409
    assert await desk.left(credit) == 9
    assert len(await desk.uses(credit)) == 1


async def prepared(desk: Desk, act: str) -> tuple[str, Any]:
    """Where an act is posted and with what; what it needs stands there."""
    credit = await desk.credit("40.00")
    use = made(await desk.use(credit, "4.00"))
    booking = await desk.booking(hours=2)
    if act == "cancellation":
        done(await desk.run(BOOKINGS, "CHARGE_BOOKING", [booking]))
    if act == "renewal":
        await on_a_plan(desk)
    commands = {
        "reversal": (USES, "REVERSE_USE", use),
        "void": (CREDITS, "VOID_CREDIT", credit),
        "charge": (BOOKINGS, "CHARGE_BOOKING", booking),
        "cancellation": (BOOKINGS, "CANCEL_BOOKING", booking),
    }
    if act in commands:
        path, command, record = commands[act]
        return f"{path}/runcommand", {"Key": command, "Ids": [record]}
    return {
        "use": (USES, {"CoworkerBookingCreditId": credit, "CreditUsed": 1}),
        "spend": ("/api/ledger/spends", desk.basket(booking_of(booking))),
        "hold": ("/api/ledger/holds", desk.basket(booking_of(booking))),
        "top-up": (CREDITS, desk.credit_body("5.00")),
        "renewal": ("/api/ledger/renewals", {}),
    }[act]


async def on_a_plan(desk: Desk) -> None:
    """A contract of a plan that renews 60.00 each month."""
    town, tariff = desk.town, await desk.tariff()
    await town.add(
        TariffBookingCredit,
        Name="Credit",
        TariffId=tariff,
        Credit=money("60.00"),
        CaneBeUsedForBookings=True,
        ServiceRenewalTime=2,
    )
    await town.add(
        CoworkerContract,
        IssuedById=town.business,
        CoworkerId=town.customer,
        TariffId=tariff,
        StartDate=desk.clock().replace(microsecond=0),
        BillingDay=1,
        Quantity=1,
        Active=True,
    )


async def records(store: Store) -> list[Any]:
    """Everything that any of the acts could touch."""
    async with store.reading() as reading:
        return [await reading.find(entity) for entity in LOOKED_AT]
