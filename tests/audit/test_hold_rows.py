"""Each hold is compared with the journal lines that made and released it (rules 26, 34)."""

from __future__ import annotations

import pytest

from creditdesk.audit.verify import verify_ledger
from creditdesk.entities.ledger.hold import Hold
from creditdesk.schema.repository import Store
from tests.audit.conftest import Tamper
from tests.support.api_client import ApiClient, booking_item, result_value
from tests.support.progress import CollectingReporter


async def held_credit(api: ApiClient) -> tuple[int, int, int]:
    """A credit of 40.00 with a hold of 20.00; its id, the hold's and the booking's."""
    credit = await api.create_credit("40.00")
    booking = await api.create_booking(hours=1)
    hold = await api.create_hold(booking_item(booking))
    assert hold is not None
    return credit, hold, booking


async def problems_of(store: Store, credit: int) -> list[str]:
    report = CollectingReporter()
    await verify_ledger(store, report)
    start = f"money credit {credit}: "
    return [p.removeprefix(start) for p in report.problems if p.startswith(start)]


@pytest.mark.parametrize(
    ("change", "problems"),
    [
        (
            "DELETE FROM hold WHERE id = {hold}",
            ["the holds of 20.00 GBP for booking {booking} are 0 and the journal says 1"],
        ),
        (
            "UPDATE hold SET amount = 100000 WHERE id = {hold}",
            [
                "the holds of 10.00 GBP for booking {booking} are 1 and the journal says 0",
                "the holds of 20.00 GBP for booking {booking} are 0 and the journal says 1",
            ],
        ),
        (
            "UPDATE hold SET source_id = 999999 WHERE id = {hold}",
            [
                "the holds of 20.00 GBP for booking 999999 are 1 and the journal says 0",
                "the holds of 20.00 GBP for booking {booking} are 0 and the journal says 1",
            ],
        ),
        (
            "UPDATE hold SET state = 'released' WHERE id = {hold}",
            ["the settled holds of 20.00 GBP for booking {booking} are 1 and the journal says 0"],
        ),
        (
            "UPDATE hold SET credit_id = 999999 WHERE id = {hold}",
            ["the holds of 20.00 GBP for booking {booking} are 0 and the journal says 1"],
        ),
    ],
    ids=["deleted", "amount", "source", "state", "credit"],
)
async def test_changed_hold_is_reported(
    unverified_api: ApiClient, store: Store, tamper: Tamper, change: str, problems: list[str]
) -> None:
    credit, hold, booking = await held_credit(unverified_api)
    assert await problems_of(store, credit) == []
    await tamper(change.format(hold=hold))
    expected = sorted(problem.format(booking=booking) for problem in problems)
    assert sorted(await problems_of(store, credit)) == expected


@pytest.mark.parametrize("outcome", ["confirm", "release"])
async def test_reopened_hold_is_reported(unverified_api: ApiClient, store: Store, tamper: Tamper, outcome: str) -> None:
    credit, hold, booking = await held_credit(unverified_api)
    result_value(await unverified_api.post(f"/api/ledger/holds/{hold}/{outcome}"))
    assert await problems_of(store, credit) == []
    await tamper(f"UPDATE hold SET state = 'held' WHERE id = {hold}")
    assert await problems_of(store, credit) == [
        f"the settled holds of 20.00 GBP for booking {booking} are 0 and the journal says 1"
    ]


async def test_unknown_state_of_hold_is_reported(unverified_api: ApiClient, store: Store, tamper: Tamper) -> None:
    credit, hold, _ = await held_credit(unverified_api)
    await tamper(f"UPDATE hold SET state = 'lost' WHERE id = {hold}")
    assert f"hold #{hold} is in the unknown state 'lost'" in await problems_of(store, credit)


async def test_hold_on_credit_without_journal_is_reported(
    unverified_api: ApiClient, store: Store, tamper: Tamper
) -> None:
    _, hold, booking = await held_credit(unverified_api)
    other = await unverified_api.ledger.add_money_credit("40.00")
    await tamper(f"UPDATE hold SET credit_id = {other} WHERE id = {hold}")
    assert await problems_of(store, other) == [
        f"the holds of 20.00 GBP for booking {booking} are 1 and the journal says 0"
    ]
    async with store.read_session() as session:
        assert (await session.get(Hold, hold)) is not None


async def test_a_hold_that_ends_at_another_instant_is_reported(
    unverified_api: ApiClient, store: Store, tamper: Tamper
) -> None:
    credit, endless, _ = await held_credit(unverified_api)
    until = unverified_api.timestamp(hours=5)
    body = {**unverified_api.basket_body(booking_item(await unverified_api.create_booking())), "Until": until}
    ending = result_value(await unverified_api.post("/api/ledger/holds", body))["HoldId"]
    assert await problems_of(store, credit) == []
    await tamper(f"UPDATE hold SET until = created_on WHERE id = {endless}")
    await tamper(f"UPDATE hold SET until = NULL WHERE id = {ending}")
    first, second = await problems_of(store, credit)
    assert first.startswith(f"hold #{endless} ends at 20")
    assert first.endswith(" and its line says None")
    assert second == f"hold #{ending} ends at None and its line says {until}"
