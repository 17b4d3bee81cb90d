"""Who may read reports, of which locations, and what a wrong question is answered."""

from __future__ import annotations

from typing import Any

import pytest

from creditdesk.app import build_app
from creditdesk.auth.credentials import find_user_id
from creditdesk.auth.users_admin import set_roles
from creditdesk.entities.sys.business import Business
from creditdesk.reports.catalog import REPORTS
from creditdesk.settings import Settings
from tests.reports.report_client import ReportClient, amounts
from tests.support.users import create_user_token, http_client


async def test_reports_need_their_role_and_end_at_the_callers_locations(reports: ReportClient) -> None:
    ledger, store = reports.ledger, reports.ledger.store
    await reports.grant(40)
    elsewhere = await ledger.add(Business, Name="Yard", CurrencyId=ledger.currency)
    await reports.grant(7, BusinessId=elsewhere)
    email = f"clerk{ledger.customer}@example.com"
    token = await create_user_token(store, email, is_admin=False, business_ids=[elsewhere])
    path = "/api/reports/liability"
    async with http_client(build_app(store, Settings(), lambda: ledger.now), token) as clerk:
        denied = await clerk.get(path)
        assert (denied.status_code, "Reports-Read" in denied.text) == (403, True)
        async with store.write_session() as session:
            user_id = await find_user_id(session, email)
            assert user_id is not None
            await set_roles(session, user_id, elsewhere, ("Reports-Read",), now=ledger.now)
    async with http_client(build_app(store, Settings(), lambda: ledger.now), token) as clerk:
        report = (await clerk.get(path)).json()
        assert amounts(report["Rows"], "Location", "Outstanding") == [("Yard", "7.00")]
        hidden = await clerk.get(path, params={"LocationIds": ledger.business})
        assert (hidden.status_code, hidden.json()["Errors"][0]["PropertyName"]) == (400, "LocationIds")


@pytest.mark.parametrize("name", REPORTS)
@pytest.mark.parametrize(
    ("params", "field"),
    [
        ({"From": "yesterday"}, "From"),
        ({"To": "2026-02-30"}, "To"),
        ({"To": "9999-12-31"}, "To"),
        ({"From": "2026-02-01", "To": "2026-01-01"}, "To"),
        ({"From": "2026-02-01T12:00:00Z", "To": "2026-02-01T11:59:59Z"}, "To"),
        ({"TermsAt": "soon"}, "TermsAt"),
        ({"At": "2026-01-01", "To": "2026-01-01"}, "At"),
        ({"AsKnownAt": "x"}, "AsKnownAt"),
        ({"LocationIds": "999999"}, "LocationIds"),
        ({"Kind": "gold"}, "Kind"),
        ({"CreditId": "1"}, "CreditId"),
        ({"CreditId": "999999", "Kind": "money"}, "CreditId"),
        ({"TeamId": "999999"}, "TeamId"),
        ({"Format": "doc"}, "Format"),
    ],
)
async def test_a_wrong_parameter_is_a_field_error(
    reports: ReportClient, name: str, params: dict[str, Any], field: str
) -> None:
    response = await reports.http.get(f"/api/reports/{name}", params=params)
    assert response.status_code == 400, response.text
    assert [error["PropertyName"] for error in response.json()["Errors"]] == [field]


async def test_a_roll_forward_covers_at_most_fifty_years(reports: ReportClient) -> None:
    await reports.grant(5)
    for period in ({"From": "1900-01-01", "To": "9998-12-31"}, {"From": "1900-01-01"}):
        refused = await reports.request("roll-forward", **period)
        assert refused.status_code == 400
        [error] = refused.json()["Errors"]
        assert error["PropertyName"] == "From"
        assert error["Message"].startswith("must be at most 50 years before To")
    rows = (await reports.get("roll-forward", From="1976-06-01", To="2026-01-31"))["Rows"]
    assert [row["Month"] for row in rows] == ["2026-01"]


async def test_csv_has_the_rows_of_the_report_and_text_cells_execute_nothing(reports: ReportClient) -> None:
    await reports.grant(40, Description="=cmd|' /C calc'!A0")
    response = await reports.request("liability", Format="csv")
    header, row, rest = response.text.split("\r\n")
    assert response.headers["content-type"] == "text/csv; charset=utf-8"
    cells = dict(zip(header.split(","), row.split(","), strict=True))
    assert cells["CreditName"] == "'=cmd|' /C calc'!A0"
    assert (cells["Outstanding"], rest) == ("40.00", "")
