"""Every journal line says by a code why it was written (rule 36), over HTTP and on both engines."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

from creditdesk.schema.conversions import format_datetime
from tests.support.api_client import (
    BOOKINGS,
    CREDITS,
    USES,
    ApiClient,
    booking_item,
    charge_item,
    succeeded,
)
from tests.support.ledger_builder import LedgerBuilder


async def causes_of(api: ApiClient, credit: int) -> list[tuple[str, str]]:
    return [(line["Kind"], line["Cause"]) for line in await api.list_journal_lines(credit)]


async def test_rule_36_uses_and_holds_name_the_kind_of_item(api: ApiClient) -> None:
    credit = await api.create_credit("90.00", IsUniversalCredit=True, AppliesToCharges=True)
    booking = await api.create_booking()
    assert succeeded(await api.post_use(credit, "1.00"))
    assert succeeded(await api.post_use(credit, "1.00", Description="Room", BookingId=booking))
    assert succeeded(await api.spend(charge_item(7, 2.5)))
    held = await api.create_hold(booking_item(await api.create_booking()))
    assert succeeded(await api.post(f"/api/ledger/holds/{held}/confirm"))
    held = await api.create_hold(booking_item(await api.create_booking()))
    assert succeeded(await api.post(f"/api/ledger/holds/{held}/release"))
    assert await causes_of(api, credit) == [
        ("grant", "issued"),
        ("use", "unattributed"),
        ("use", "booking"),
        ("use", "charge"),
        ("hold", "booking"),
        ("release", "confirmed"),
        ("use", "booking"),
        ("hold", "booking"),
        ("release", "released"),
    ]
    assert await api.verify_problems() == []


async def test_rule_36_what_comes_back_says_why(api: ApiClient) -> None:
    credit = await api.create_credit("100.00")
    first, second = await api.create_booking(), await api.create_booking()
    for booking in (first, second):
        assert succeeded(await api.run_command(BOOKINGS, "CHARGE_BOOKING", [booking]))
    use, _ = await api.list_uses(credit)
    assert succeeded(await api.run_command(USES, "REVERSE_USE", [use["Id"]]))
    assert succeeded(await api.run_command(BOOKINGS, "RECALCULATE_BOOKING", [second]))
    assert succeeded(await api.run_command(BOOKINGS, "CANCEL_BOOKING", [second]))
    assert [cause for _, cause in await causes_of(api, credit)] == [
        *("issued", "booking", "booking", "correction"),
        *("recalculated", "booking", "cancelled"),
    ]


async def test_rule_36_acts_on_a_credit_say_what_they_did(api: ApiClient) -> None:
    ends = api.clock().replace(microsecond=0) + timedelta(days=1)
    credit = await api.create_credit("40.00", ExpireDate=format_datetime(ends))
    shown = await api.get(f"{CREDITS}/{credit}")
    assert succeeded(await api.http.put(CREDITS, json=_body(shown, TotalCredit=50)))
    assert succeeded(await api.run_command(CREDITS, "ADJUST_CREDIT", [credit], Amount=-5, Reason="Goodwill"))
    assert succeeded(await api.run_command(CREDITS, "SET_PRIORITY", [credit], Priority=3))
    assert succeeded(await api.run_command(CREDITS, "VOID_CREDIT", [credit]))
    assert [cause for _, cause in await causes_of(api, credit)] == [
        *("issued", "total_changed", "correction", "priority_changed", "voided"),
    ]


async def test_rule_36_expiry_and_its_extension_have_causes(ledger: LedgerBuilder, api: ApiClient) -> None:
    ends = api.clock().replace(microsecond=0) + timedelta(days=1)
    credit = await api.create_credit("40.00", ExpireDate=format_datetime(ends))
    ledger.now = ends + timedelta(days=1)
    api.clock.advance(days=2)
    await api.expire_credits()
    shown = await api.get(f"{CREDITS}/{credit}")
    later = format_datetime(ends + timedelta(days=30))
    assert succeeded(await api.http.put(CREDITS, json=_body(shown, ExpireDate=later)))
    assert ("expiry", "expiry_run") in await causes_of(api, credit)
    assert ("reopening", "window_moved") in await causes_of(api, credit)


def _body(shown: dict[str, object], **changes: object) -> dict[str, object]:
    """A PUT of the record as GET shows it, with these changes."""
    return {**{n: float(v) if isinstance(v, Decimal) else v for n, v in shown.items()}, **changes}
