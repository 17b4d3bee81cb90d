"""Each row of a use history is compared with the journal line that names it (rules 1, 34)."""

from __future__ import annotations

import pytest

from creditdesk.audit.verify import verify_ledger
from creditdesk.ledger.journal.mapping import MONEY_MAPPING
from creditdesk.ledger.operations.corrections import reverse
from creditdesk.schema.repository import Store
from creditdesk.storage.sqlite import SQLiteStore
from tests.audit.conftest import Tamper
from tests.support.ledger_builder import MONEY_USE, LedgerBuilder
from tests.support.progress import CollectingReporter

MONEY_USES = "coworker_booking_credit_use_history"
TIME_USES = "coworker_extra_service_use_history"


async def problems_of(store: Store, credit: int, name: str = "money credit") -> list[str]:
    report = CollectingReporter()
    await verify_ledger(store, report)
    return [p for p in report.problems if p.startswith(f"{name} {credit}: ")]


async def test_exchanged_amounts_are_reported(store: Store, ledger: LedgerBuilder, tamper: Tamper) -> None:
    credit = await ledger.add_money_credit("40.00")
    one = (await ledger.post_use(credit, "1.00"))["Id"]
    two = (await ledger.post_use(credit, "2.00"))["Id"]
    assert await problems_of(store, credit) == []
    await tamper(f"UPDATE {MONEY_USES} SET credit_used = 30000 - credit_used WHERE id IN ({one}, {two})")
    assert await problems_of(store, credit) == [
        f"money credit {credit}: use #{one} is 2.00 GBP and line 2 says 1.00 GBP",
        f"money credit {credit}: use #{two} is 1.00 GBP and line 3 says 2.00 GBP",
    ]


async def test_inserted_pair_is_reported(store: Store, ledger: LedgerBuilder, tamper: Tamper) -> None:
    credit, other = await ledger.add_money_credit("40.00"), await ledger.add_money_credit("40.00")
    await ledger.post_use(credit, "1.00")
    taken = int((await ledger.post_use(other, "2.00"))["Id"])
    async with store.write_session() as session:
        await reverse(session, MONEY_MAPPING, [taken], ledger.request_context(), ledger.context)
    (_, given) = [r["Id"] for r in await ledger.find(MONEY_USE, CoworkerBookingCreditId=other)]
    await tamper(f"UPDATE {MONEY_USES} SET coworker_booking_credit_id = {credit} WHERE id IN ({taken}, {given})")
    assert await problems_of(store, credit) == [
        f"money credit {credit}: use #{use} is in no line of the journal" for use in (taken, given)
    ]
    assert await problems_of(store, other) == [
        f"money credit {other}: use #{taken} of line 2 is missing",
        f"money credit {other}: use #{given} of line 3 is missing",
    ]


async def test_changed_date_is_reported(store: Store, ledger: LedgerBuilder, tamper: Tamper) -> None:
    credit = await ledger.add_money_credit("40.00")
    use = (await ledger.post_use(credit, "1.00"))["Id"]
    earlier = "- 1" if isinstance(store, SQLiteStore) else "- interval '1 microsecond'"
    await tamper(f"UPDATE {MONEY_USES} SET created_on = created_on {earlier} WHERE id = {use}")
    assert await problems_of(store, credit) == [f"money credit {credit}: use #{use} has another date than line 2"]


@pytest.mark.parametrize("booking", ["NULL", "{other}"])
async def test_removed_or_changed_booking_is_reported(
    store: Store, ledger: LedgerBuilder, tamper: Tamper, booking: str
) -> None:
    credit = await ledger.add_time_credit(600)
    paid, other = await ledger.add_booking(), await ledger.add_booking()
    use = (await ledger.post_time_use(credit, BookingId=paid))["Id"]
    assert await problems_of(store, credit, "time credit") == []
    await tamper(f"UPDATE {TIME_USES} SET booking_id = {booking.format(other=other)} WHERE id = {use}")
    assert await problems_of(store, credit, "time credit") == [
        f"time credit {credit}: use #{use} names another item than line 2"
    ]


async def test_used_credit_is_no_booking_charge(store: Store, ledger: LedgerBuilder, tamper: Tamper) -> None:
    credit = await ledger.add_time_credit(600)
    await ledger.post_time_use(credit, BookingId=await ledger.add_booking())
    await tamper(f"UPDATE coworker_extra_service SET booking_id = 1 WHERE id = {credit}")
    assert await problems_of(store, credit, "time credit") == [
        f"time credit {credit}: is a booking charge and has a journal"
    ]
