"""The breakage estimate."""

from __future__ import annotations

from creditdesk.reports.breakage import MIN_EXPIRED_CREDITS
from tests.reports.report_client import ReportClient, amounts


async def test_the_rate_counts_credit_that_was_used_up(reports: ReportClient) -> None:
    """Of a location as of a customer: half of what was sold expired, the other half was used."""
    for number in range(MIN_EXPIRED_CREDITS):
        credit = await reports.grant(10, Description="Pack", ExpireDate="2026-02-01T00:00:00Z")
        if number % 2:
            await reports.use(credit, 10)
    reports.set_time("2026-03-01T12:00:00Z")
    names = ("Product", "Credits", "Granted", "Used", "Expired", "RatePercent")
    expected = [("Pack", MIN_EXPIRED_CREDITS, "300.00", "150.00", "150.00", "50.0")]
    for about in ({"CoworkerId": reports.ledger.customer}, {"LocationIds": reports.ledger.business}):
        report = await reports.get("breakage", Funding="unknown", **about)
        assert amounts(report["Rows"], *names) == expected, about
