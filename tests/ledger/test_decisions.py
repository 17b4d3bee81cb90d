"""Decisions, holds and the entries that carry them out can be read back (rules 7, 19, 26)."""

from __future__ import annotations

from typing import Any

from creditdesk.app import build_app
from creditdesk.entities.ledger.allocation_document import AllocationDocument
from creditdesk.schema.repository import Store
from creditdesk.settings import Settings
from tests.support.api_client import BOOKINGS, AdjustableClock, ApiClient, booking_item, charge_item, result_value
from tests.support.ledger_builder import LedgerBuilder
from tests.support.users import create_user_role, create_user_token, http_client

ALLOCATIONS = "/api/ledger/allocations"
HOLDS = "/api/ledger/holds"
ENTRIES = "/api/ledger/entries"


async def decision_of(api: ApiClient, line: dict[str, Any]) -> dict[str, Any]:
    answer: dict[str, Any] = await api.get(f"{ENTRIES}/{line['Id']}/decision")
    return answer


async def test_rule_19_a_decision_is_found_by_credit_source_and_customer(api: ApiClient) -> None:
    customer = api.ledger.customer
    credits_ = [await api.create_credit(total) for total in ("15.00", "40.00")]
    booking = await api.create_booking(hours=1)
    (charged,) = result_value(await api.run_command(BOOKINGS, "CHARGE_BOOKING", [booking]))
    spent = result_value(await api.spend(charge_item(5, 3), charge_item(6, 4)))
    by_customer = await api.list_records(ALLOCATIONS, AllocationDocument_Coworker=customer)
    assert [(found["Operation"], found["SourceKind"]) for found in by_customer] == [
        ("charge", "booking"),
        ("spend", "charge"),
        ("spend", "charge"),
    ]
    by_source = await api.list_records(
        ALLOCATIONS, AllocationDocument_SourceKind="booking", AllocationDocument_SourceId=booking
    )
    assert [found["Id"] for found in by_source] == [charged["AllocationId"]]
    shown = await api.get(f"{ALLOCATIONS}/{charged['AllocationId']}")
    assert [part["credit"] for part in shown["Document"]["parts"]] == [f"money/{credit}" for credit in credits_]
    assert shown["Document"]["quote"]["price"] == "20.0000"
    assert shown["CoworkerFullName"] == "Ada"
    assert {found["Group"] for found in by_customer[1:]} == {spent["AllocationId"]}
    for credit in credits_:
        named = await api.list_records(ALLOCATIONS, AllocationDocument_Credits=f"money/{credit}")
        assert {found["Id"] for found in named} == {found["Id"] for found in by_customer}


async def test_a_credit_filter_finds_no_other_number(unverified_api: ApiClient, ledger: LedgerBuilder) -> None:
    """Documents of their own, which no journal entry carries out."""
    common = {"BusinessId": ledger.business, "CoworkerId": ledger.customer, "Group": 1, "SourceKind": "charge"}
    added = [
        await ledger.add(AllocationDocument, **common, SourceId=number, Credits=credits_, Document={})
        for number, credits_ in enumerate(("money/700;time/7;", "money/70;", "time/700;money/7000;"))
    ]
    for credit, expected in (
        ("money/70", [1]),
        ("money/700", [0]),
        ("time/7", [0]),
        ("time/70", []),
        ("money/7000;", [2]),
    ):
        found = await unverified_api.list_records(ALLOCATIONS, AllocationDocument_Credits=credit)
        assert [record["SourceId"] for record in found if record["CoworkerId"] == ledger.customer] == expected
    async with ledger.store.write_session() as session:
        await session.delete(AllocationDocument, added)


async def test_rule_19_entries_name_the_decision_that_they_carry_out(api: ApiClient) -> None:
    credit = await api.create_credit("60.00")
    booking, other = [await api.create_booking(hours=1) for _ in range(2)]
    group = await api.create_hold(booking_item(booking), booking_item(other))
    result_value(await api.post(f"{HOLDS}/{group}/confirm"))
    result_value(await api.run_command(BOOKINGS, "CANCEL_BOOKING", [booking]))
    lines = await api.list_journal_lines(credit)
    kinds = [line["Kind"] for line in lines]
    assert kinds == ["grant", "hold", "hold", "release", "release", "use", "use", "reversal"]
    first, second = lines[1]["AllocationId"], lines[2]["AllocationId"]
    assert first != second
    assert [line["AllocationId"] for line in lines] == [None, first, second, first, second, first, second, None]
    held = await decision_of(api, lines[1])
    assert held["Message"] == f"decided by allocation #{first}"
    assert held["Value"]["Allocation"]["source"] == f"booking/{booking}"
    assert (await decision_of(api, lines[6]))["Value"]["Allocation"]["source"] == f"booking/{other}"
    assert (await decision_of(api, lines[0]))["Message"] == "grant: no credit was chosen"
    assert "(rule 30)" in (await decision_of(api, lines[7]))["Message"]


async def test_rule_7_a_posted_use_says_that_only_the_amount_was_checked(api: ApiClient) -> None:
    """Also one for a booking that was decided before, and of the same amount."""
    credit = await api.create_credit("60.00")
    booking = await api.create_booking(hours=1)
    result_value(await api.run_command(BOOKINGS, "CHARGE_BOOKING", [booking]))
    result_value(await api.post_use(credit, "20.00", BookingId=booking))
    decided, posted = (await api.list_journal_lines(credit))[1:]
    assert (decided["AllocationId"] is None, posted["AllocationId"]) == (False, None)
    shown = await decision_of(api, posted)
    assert shown["Message"] == "posted directly: only the amount was checked (rule 7)"
    assert shown["Value"] == {"AllocationId": None, "Allocation": None}


async def test_rule_26_holds_are_listed(api: ApiClient) -> None:
    credit = await api.create_credit("60.00")
    booking, other = [await api.create_booking(hours=1) for _ in range(2)]
    group = await api.create_hold(booking_item(booking))
    await api.create_hold(booking_item(other))
    result_value(await api.post(f"{HOLDS}/{group}/release"))
    found = await api.list_records(HOLDS, Hold_Coworker=api.ledger.customer)
    assert [(hold["State"], hold["SourceId"], hold["CreditId"], hold["Amount"]) for hold in found] == [
        ("released", booking, credit, 20),
        ("held", other, credit, 20),
    ]
    (held,) = await api.list_records(HOLDS, Hold_CreditKind="money", Hold_CreditId=credit, Hold_State="held")
    assert await api.get(f"{HOLDS}/{held['Id']}") == held
    assert [h["Id"] for h in await api.list_records(HOLDS, Hold_SourceKind="booking", Hold_SourceId=booking)] == [group]


async def test_readers_see_decisions_of_their_locations_alone(
    api: ApiClient, store: Store, clock: AdjustableClock
) -> None:
    credit = await api.create_credit("60.00")
    booking = await api.create_booking(hours=1)
    await api.create_hold(booking_item(booking))
    (allocation,) = await api.list_records(ALLOCATIONS, AllocationDocument_SourceId=booking)
    (line,) = [line for line in await api.list_journal_lines(credit) if line["Kind"] == "hold"]
    elsewhere = await LedgerBuilder.create(store)
    app = build_app(store, Settings(), clock)
    for location, status in ((api.ledger.business, 200), (elsewhere.business, 404)):
        role = await create_user_role(store, location, ("Ledger-Read",))
        email = f"reader-{location}-{credit}@example.com"
        token = await create_user_token(store, email, is_admin=False, business_ids=[location], user_role_id=role)
        async with http_client(app, token) as reader:
            assert (await reader.get(f"{ALLOCATIONS}/{allocation['Id']}")).status_code == status
            assert (await reader.get(f"{ENTRIES}/{line['Id']}/decision")).status_code == status
            listed = [h["SourceId"] for h in (await reader.get(HOLDS, params={"size": 1000})).json()["Records"]]
            assert (booking in listed) == (status == 200)
            assert (await reader.post(HOLDS, json={})).status_code == 403
    token = await create_user_token(store, f"nobody-{credit}@example.com", is_admin=False, business_ids=[1])
    async with http_client(app, token) as nobody:
        for path in (ALLOCATIONS, HOLDS, f"{ENTRIES}/{line['Id']}/decision"):
            assert (await nobody.get(path)).status_code == 403
