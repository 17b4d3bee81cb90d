"""The liability: what is owed at an instant."""

from __future__ import annotations

from creditdesk.entities.sys.business import Business
from tests.reports.report_client import ReportClient, amounts


async def test_expired_credit_is_no_liability_though_its_record_keeps_it(reports: ReportClient) -> None:
    kept = await reports.grant(40)
    expiring = await reports.grant(25, ExpireDate="2026-02-01T00:00:00Z")
    await reports.use(kept, 15)
    reports.set_time("2026-03-01T12:00:00Z")

    january = await reports.get("liability", At="2026-01-15")
    march = await reports.get("liability")

    names = ("CreditId", "Original", "Used", "Remaining", "Expired", "Outstanding")
    assert amounts(january["Rows"], *names) == [
        (kept, "40.00", "15.00", "25.00", "0.00", "25.00"),
        (expiring, "25.00", "0.00", "25.00", "0.00", "25.00"),
    ]
    assert amounts(march["Rows"], *names) == [
        (kept, "40.00", "15.00", "25.00", "0.00", "25.00"),
        (expiring, "25.00", "0.00", "25.00", "25.00", "0.00"),
    ]
    assert amounts(march["Totals"], "Kind", "Unit", "Outstanding") == [("money", "GBP", "25.00")]


async def test_kinds_and_units_are_never_added(reports: ReportClient) -> None:
    await reports.grant(40)
    await reports.grant_time(600, Price=120)
    await reports.grant_time(10, ExtraServiceId=reports.ledger.uses_rate)

    report = await reports.get("liability")

    assert amounts(report["Totals"], "Kind", "Unit", "Outstanding") == [
        ("money", "GBP", "40.00"),
        ("time", "minute", "600"),
        ("time", "use", "10"),
    ]
    assert amounts(report["Rows"], "Value", "ValueCurrency") == [("40.00", "GBP"), ("120.00", "GBP"), ("200.00", "GBP")]


async def test_groups_add_up_to_the_same_totals(reports: ReportClient) -> None:
    await reports.grant(40)
    await reports.grant(2.5)
    totals = [
        amounts(report["Totals"], "Kind", "Unit", "Remaining", "Outstanding")
        for report in [await reports.get("liability", By=by) for by in ("credit", "customer", "funding", "kind")]
    ]
    assert totals == [[("money", "GBP", "42.50", "42.50")]] * 4


async def test_a_deleted_credit_still_stood_before_it_was_deleted(reports: ReportClient) -> None:
    credit = await reports.grant(40)
    reports.set_time("2026-02-01T12:00:00Z")
    response = await reports.http.delete(f"/api/billing/coworkerbookingcredits/{credit}")
    assert response.status_code == 200, response.text
    assert amounts((await reports.get("liability", At="2026-01-31"))["Rows"], "Outstanding") == [("40.00",)]
    assert (await reports.get("liability"))["Rows"] == []


async def test_two_locations_of_one_name_have_rows_of_their_own(reports: ReportClient) -> None:
    ledger = reports.ledger
    other = await ledger.add(Business, Name="Mill", CurrencyId=ledger.currency)
    await reports.grant(40)
    await reports.grant(25, BusinessId=other)
    for name, values in {"ageing": {}, "liability": {"By": "kind"}}.items():
        rows = (await reports.get(name, **values))["Rows"]
        assert amounts(rows, "Location", "Outstanding") == [("Mill", "40.00"), ("Mill", "25.00")]
