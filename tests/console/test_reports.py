"""Report pages: their forms, figures that open their lines, files, and who sees them."""

from __future__ import annotations

import re
from datetime import timedelta
from decimal import Decimal
from html import unescape
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from starlette.types import ASGIApp

from creditdesk.console.report_forms import REPORT_FORMS
from creditdesk.entities.roles import REPORTS_ROLE
from creditdesk.reports.catalog import REPORTS
from creditdesk.schema.repository import Store
from tests.console.conftest import browser
from tests.support.api_client import CREDITS, AdjustableClock, ApiClient, parse_body
from tests.support.users import create_location, create_user_role, create_user_token

REPORT = "/console/reports"
FIGURE = re.compile(r'<a class="figure" href="([^"]+)">([^<]+)</a>')


def number(text: str) -> Decimal:
    return Decimal(text.replace("−", "-").replace(",", ""))


async def read(api: ApiClient, address: str) -> Any:
    return parse_body(await api.http.get(address))


async def lived(api: ApiClient) -> int:
    """Credits of several kinds and plans that were granted, used, given back, adjusted and expired."""
    spent = await api.create_credit("120", ExpireDate=api.timestamp(days=3))
    use = await api.post_use(spent, "45")
    await api.post_use(spent, "5")
    await api.run_command(
        "/api/billing/coworkerbookingcreditusehistories", "REVERSE_USE", [use.json()["Value"]["Id"]], Reason="Oops"
    )
    await api.create_credit("30", ExpireDate=api.timestamp(days=-1))
    await api.run_command(
        "/api/billing/coworkerbookingcredits", "ADJUST_CREDIT", [spent], Amount="-8", Reason="Goodwill"
    )
    await api.create_time_credit(90)
    return api.ledger.customer


def test_every_report_has_a_form_or_a_screen_of_its_own() -> None:
    assert {*REPORT_FORMS, "exceptions"} == set(REPORTS)


@pytest.mark.parametrize(
    ("name", "query"),
    [
        ("roll-forward", "From=2020-01-01"),
        ("roll-forward", "From=2020-01-01T12:00:00Z"),
        ("ageing", "Kind="),
        ("liability", "By=credit"),
        ("liability", "By=plan"),
        ("liability", "By=funding"),
        ("utilisation", "From=2020-01-01"),
        ("utilisation", "From=2020-01-01&By=customer"),
        ("statement", "From=2020-01-01&CoworkerId={customer}"),
    ],
)
async def test_every_figure_opens_the_lines_that_it_adds_up(
    console: httpx.AsyncClient, api: ApiClient, name: str, query: str
) -> None:
    customer = await lived(api)
    page = (await console.get(f"{REPORT}/{name}?{query.format(customer=customer)}")).text
    links = {(unescape(path), text) for path, text in FIGURE.findall(page)}
    assert len(links) >= 3
    for path, text in links:
        opened = await read(api, f"/api/reports/movements?{urlsplit(path).query}")
        totals = [Decimal(row["Amount"]) for row in opened["Totals"]]
        assert len(totals) == 1, path
        sign = -1 if name == "utilisation" else 1
        assert totals[0] == sign * number(text), path
        assert (await console.get(path)).status_code == 200


async def test_breakage_leads_to_its_credits_and_their_lines(console: httpx.AsyncClient, api: ApiClient) -> None:
    """The amounts of a row are the sums of its credits, each of which leads to its own page."""
    for total in ("70", "30"):
        credit = await api.create_credit(total, Description="Ten & more", ExpireDate=api.timestamp(days=9))
        await api.post_use(credit, "5")
    await api.create_credit("40", Description="Ten")
    path = f"{REPORT}/breakage?Funding=unknown&CoworkerId={api.ledger.customer}"
    links = {unescape(each): text for each, text in FIGURE.findall((await console.get(path)).text) if "more" in each}
    assert len(links) == 1, "both figures of the row lead to the same credits"
    [(opened, _)] = links.items()
    report = await read(api, f"/api/reports/breakage?{urlsplit(opened).query}")
    [row], [section] = report["Rows"], report["Sections"]
    for name, total in (("Granted", "100.00"), ("Used", "10.00")):
        assert row[name] == total
        assert sum(Decimal(each[name]) for each in section["Rows"]) == Decimal(total)
    assert {each["CreditName"] for each in section["Rows"]} == {"Ten & more"}
    page = (await console.get(opened)).text
    for each in section["Rows"]:
        assert f'href="/console/credits/money/{each["CreditId"]}"' in page


async def test_figures_of_an_earlier_month_follow_the_funding_of_the_row(
    console: httpx.AsyncClient, api: ApiClient, clock: AdjustableClock
) -> None:
    credit = await api.create_credit("75")
    granted = clock()
    clock.advance(days=62)
    await api.run_command(CREDITS, "SET_FUNDING", [credit], Funding="paid", PricePaid="70", Reason="Found the invoice")
    clock.advance(days=1)
    period = f"From={granted - timedelta(days=1):%Y-%m-%d}&To={clock():%Y-%m-%d}"
    later = f"From={granted + timedelta(days=40):%Y-%m-%d}"
    of_credit = f"Kind=money&CreditId={credit}"
    for query in (period, later):
        page = (await console.get(f"{REPORT}/roll-forward?{query}&{of_credit}")).text
        links = {(unescape(path), text) for path, text in FIGURE.findall(page)}
        assert any("TermsAt" in path for path, _ in links)
        for path, text in links:
            opened = await read(api, f"/api/reports/movements?{urlsplit(path).query}")
            assert [Decimal(row["Amount"]) for row in opened["Totals"]] == [number(text)], path


@pytest.mark.parametrize("name", REPORT_FORMS)
async def test_report_shows_its_form_and_offers_its_files(
    console: httpx.AsyncClient, api: ApiClient, name: str
) -> None:
    await lived(api)
    answer = await console.get(f"{REPORT}/{name}")
    assert answer.status_code == 200
    for field in REPORT_FORMS[name].fields:
        assert f'name="{field}"' in answer.text
    assert "Ties out" in answer.text
    for file_format, start in (("csv", b""), ("xlsx", b"PK"), ("pdf", b"%PDF")):
        [link] = re.findall(rf'href="({REPORT}/{name}/report\.{file_format}[^"]*)"', answer.text)
        file = await console.get(unescape(link))
        assert file.status_code == 200
        assert file.content.startswith(start)
        assert f'.{file_format}"' in file.headers["content-disposition"]


async def test_file_has_the_figures_of_the_page(console: httpx.AsyncClient, api: ApiClient) -> None:
    customer = await lived(api)
    query = f"CoworkerId={customer}&From=2020-01-01"
    file = (await console.get(f"{REPORT}/statement/report.csv?{query}")).text
    direct = await api.http.get(f"/api/reports/statement?{query}&Format=csv")
    assert file == direct.text
    assert file.count("\r\n") == 1 + len((await read(api, f"/api/reports/statement?{query}"))["Rows"])


async def test_wrong_parameter_is_shown_at_its_field(console: httpx.AsyncClient) -> None:
    answer = await console.get(f"{REPORT}/roll-forward?From=2026-02-01&To=2026-01-01")
    assert answer.status_code == 400
    assert re.search(r'name="To"[^>]*aria-invalid="true"', answer.text)
    assert "must not be before From" in answer.text
    assert (await console.get(f"{REPORT}/nothing")).status_code == 404
    assert (await console.get(f"{REPORT}/ageing/report.doc")).status_code == 404


async def test_customer_is_found_by_name_or_number(console: httpx.AsyncClient, api: ApiClient) -> None:
    customer = await lived(api)
    named = await console.get(f"{REPORT}/statement?From=2026-01-01&Customer=%23{customer}")
    assert named.headers["location"] == f"{REPORT}/statement?From=2026-01-01&CoworkerId={customer}"
    grace = await api.ledger.add_customer("Grace Hopper")
    found = await console.get(f"{REPORT}/statement", params={"Customer": "grace hop"})
    assert found.headers["location"] == f"{REPORT}/statement?CoworkerId={grace}"
    await api.ledger.add_customer("Grace Hopper")
    several = await console.get(f"{REPORT}/statement", params={"Customer": "grace hop"})
    assert f"?CoworkerId={grace}" in several.text
    nobody = await console.get(f"{REPORT}/statement?Customer=Nobody+at+all")
    assert "No customer with this name." in nobody.text


async def test_long_report_is_shown_in_pages_with_the_totals_of_all(console: httpx.AsyncClient, api: ApiClient) -> None:
    for _ in range(102):
        await api.create_credit("1")
    query = f"CoworkerId={api.ledger.customer}&From=2020-01-01"
    first = (await console.get(f"{REPORT}/statement?{query}")).text
    total = (await read(api, f"/api/reports/statement?{query}&Page=1&Size=1"))["RowCount"]
    assert f"1–100 of {total}" in first
    [following] = re.findall(r'rel="next" href="([^"]+)"', first)
    assert f"101–{total} of {total}" in (await console.get(unescape(following))).text
    owed = (await console.get(f"{REPORT}/liability?By=credit&CoworkerId={api.ledger.customer}")).text
    assert '<dd class="value">102.00</dd><dd class="note">Outstanding</dd>' in re.sub(r"</?a[^>]*>", "", owed)


async def test_pages_of_a_report_are_cut_from_all_rows(api: ApiClient) -> None:
    await lived(api)
    query = f"CoworkerId={api.ledger.customer}&From=2020-01-01"
    whole = await read(api, f"/api/reports/statement?{query}")
    second = await read(api, f"/api/reports/statement?{query}&Page=2&Size=2")
    assert second["Rows"] == whole["Rows"][2:4]
    assert second["RowCount"] == whole["RowCount"] == len(whole["Rows"])
    assert [each["RowCount"] for each in second["Sections"]] == [len(each["Rows"]) for each in whole["Sections"]]
    used = await read(api, f"/api/reports/movements?{query}&Flow=used,reversed")
    assert {row["What"] for row in used["Rows"]} == {"Used", "Given back"}
    wrong = await api.http.get(f"/api/reports/movements?{query}&Flow=used,lost")
    assert (wrong.status_code, wrong.json()["Errors"][0]["PropertyName"]) == (400, "Flow")


async def test_reports_end_at_the_locations_of_the_user(app: ASGIApp, store: Store, api: ApiClient) -> None:
    await lived(api)
    elsewhere = await create_location(store, "Elsewhere")
    without = await create_user_token(store, "no-reports@example.com", is_admin=False, business_ids=[elsewhere])
    async with browser(app, without) as clerk:
        assert (await clerk.get(f"{REPORT}/liability")).status_code == 403
        assert (await clerk.get(f"{REPORT}/liability/report.csv")).status_code == 403
        assert REPORT not in (await clerk.get("/console/")).text
    role = await create_user_role(store, elsewhere, (REPORTS_ROLE,))
    token = await create_user_token(
        store, "reader@example.com", is_admin=False, business_ids=[elsewhere], user_role_id=role
    )
    async with browser(app, token) as reader:
        for name in REPORT_FORMS:
            page = (
                await reader.get(
                    f"{REPORT}/{name}?From=2020-01-01" if REPORT_FORMS[name].of_period else f"{REPORT}/{name}"
                )
            ).text
            assert "Nothing" in page
            assert not FIGURE.findall(page)


async def test_owed_chart_has_its_figures_as_a_table(console: httpx.AsyncClient, api: ApiClient) -> None:
    await api.create_credit("77")
    page = (await console.get("/console/owed")).text
    report = await read(api, "/api/reports/roll-forward?Kind=money&From=2026-01-01")
    for row in report["Totals"]:
        assert f"What was owed, {row['Unit']}" in page
        assert f"<b>{Decimal(row['Closing']):,.2f}</b>" in page
    assert page.count("<svg") >= len(report["Totals"])
    part = await console.get("/console/owed", headers={"hx-request": "true"})
    assert "<html" not in part.text
