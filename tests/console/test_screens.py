"""Customers, credits, the search and the spend desk: what they show and what they write."""

from __future__ import annotations

import re
from decimal import Decimal

import httpx
import pytest
from starlette.types import ASGIApp

from creditdesk.console.journal_table import LINE_TITLES
from creditdesk.console.line_facts import CAUSE_TEXTS, FUNDING_TEXTS
from creditdesk.console.reasons import REASON_TEXTS
from creditdesk.entities.roles import READ_ROLE
from creditdesk.ledger.journal.causes import Cause
from creditdesk.ledger.journal.entry import EntryType
from creditdesk.ledger.rules.eligibility import ReasonCode
from creditdesk.ledger.rules.funding import FundingKind
from creditdesk.schema.repository import Store
from tests.console.conftest import browser
from tests.console.forms import fields_of
from tests.support.api_client import BOOKINGS, ApiClient
from tests.support.users import create_location, create_user_role, create_user_token

CREDIT = "/console/records/billing/coworkerbookingcredits"
USE = "/console/records/billing/coworkerbookingcreditusehistories"


def figures(page: str) -> list[str]:
    """The large figures of a page, in order, without the currency."""
    values = re.findall(r'<dd class="value">(?:<small>[^<]*</small>)?(?:<a[^>]*>)?([^<]*)', page)
    return [value.strip() for value in values]


def amounts(page: str) -> list[str]:
    """The signed amounts of a page's journal, the latest first."""
    return re.findall(r'<td class="number">([−+][^<]+)</td>', page)


def test_every_code_has_words() -> None:
    assert REASON_TEXTS.keys() == {code.value for code in ReasonCode}
    assert CAUSE_TEXTS.keys() == {cause.value for cause in Cause}
    assert FUNDING_TEXTS.keys() == {kind.value for kind in FundingKind}
    assert LINE_TITLES.keys() == {kind.value for kind in EntryType}


async def test_credit_page_adds_up(console: httpx.AsyncClient, api: ApiClient) -> None:
    credit = await api.create_credit("120", Description="Flex 10 allowance")
    await api.post_use(credit, "45")
    page = (await console.get(f"/console/credits/money/{credit}")).text
    assert figures(page) == ["120.00", "45.00", "0.00", "75.00"]
    assert amounts(page) == ["−45.00", "+120.00"]
    assert "adds up to 75.00" in page
    assert "Flex 10 allowance" in page


async def test_held_credit_is_not_available(console: httpx.AsyncClient, api: ApiClient) -> None:
    credit = await api.create_credit("50")
    booking = await api.create_booking()
    await api.create_hold({"Kind": "booking", "Id": booking})
    page = (await console.get(f"/console/credits/money/{credit}")).text
    assert figures(page) == ["50.00", "0.00", "20.00", "30.00"]


async def test_adjustment_shows_before_and_after_and_writes_once(console: httpx.AsyncClient, api: ApiClient) -> None:
    credit = await api.create_credit("20")
    path = f"{CREDIT}/{credit}/commands/ADJUST_CREDIT"
    form = fields_of((await console.get(path)).text) | {"Amount": "5.5", "Reason": "Goodwill"}
    effects = await console.post(f"{path}/effects", data=form)
    assert re.findall(r"[\d.]+(?=\s*<span)|(?<=>)[\d.]+(?=</span>)", effects.text) == [
        "20.00",
        "25.50",
        "20.00",
        "25.50",
    ]
    for _ in range(2):
        answer = await console.post(path, data=form)
        assert answer.headers["location"] == f"/console/credits/money/{credit}"
    assert await api.remaining(credit) == Decimal("25.5")
    page = (await console.get(f"/console/credits/money/{credit}")).text
    assert "1 credit was adjusted" in page
    assert amounts(page) == ["+5.50", "+20.00"]
    assert "Goodwill" in page


async def test_undo_of_an_adjustment_is_an_adjustment(console: httpx.AsyncClient, api: ApiClient) -> None:
    credit = await api.create_credit("20")
    await api.run_command("/api/billing/coworkerbookingcredits", "ADJUST_CREDIT", [credit], Amount="-8", Reason="Oops")
    page = (await console.get(f"/console/credits/money/{credit}")).text
    [undo] = re.findall(r'href="([^"]+)">Undo…', page)
    form = fields_of((await console.get(undo)).text)
    assert form["Amount"] == "8"
    await console.post(undo.partition("?")[0], data=form | {"Reason": "Undo"})
    assert await api.remaining(credit) == 20


async def test_undo_of_a_use_is_a_reversal(console: httpx.AsyncClient, api: ApiClient) -> None:
    credit = await api.create_credit("20")
    await api.post_use(credit, "6")
    page = (await console.get(f"/console/credits/money/{credit}")).text
    [undo] = re.findall(r'href="([^"]+)">Undo…', page)
    shown = (await console.get(undo)).text
    assert "14.00" in shown
    answer = await console.post(undo.partition("?")[0], data=fields_of(shown) | {"Reason": "Wrong booking"})
    assert answer.headers["location"] == f"/console/credits/money/{credit}"
    assert await api.remaining(credit) == 20
    assert (await api.list_journal_lines(credit))[-1]["Kind"] == "reversal"


@pytest.mark.parametrize("command", ["VOID_CREDIT", "ADJUST_CREDIT"])
async def test_reason_is_required(console: httpx.AsyncClient, api: ApiClient, command: str) -> None:
    credit = await api.create_credit("20")
    path = f"{CREDIT}/{credit}/commands/{command}"
    answer = await console.post(path, data=fields_of((await console.get(path)).text) | {"Amount": "1", "Reason": " "})
    assert answer.status_code == 422
    assert "Say why" in answer.text
    assert await api.remaining(credit) == 20


async def test_void_and_extension(console: httpx.AsyncClient, api: ApiClient) -> None:
    credit = await api.create_credit("20", ExpireDate=api.timestamp(days=3))
    extend = f"/console/credits/money/{credit}/extend"
    form = fields_of((await console.get(extend)).text) | {"ExpireDate": "2031-05-01T12:00"}
    effects = re.sub(r"\s+", " ", (await console.post(f"{extend}/effects", data=form)).text)
    assert re.search(r"→.*1 May 2031, 12:00", effects)
    unexplained = await console.post(extend, data=form | {"Reason": " "})
    assert (unexplained.status_code, "Say why" in unexplained.text) == (422, True)
    wrong = await console.post(extend, data=form | {"ExpireDate": "1066", "Reason": "Lift"})
    assert (wrong.status_code, 'aria-invalid="true"' in wrong.text) == (422, True)
    form["key"] = fields_of(wrong.text)["key"]
    for _ in range(2):
        assert (await console.post(extend, data=form | {"Reason": "The lift was out of order"})).status_code == 303
    [line] = [each for each in await api.list_journal_lines(credit) if each["Kind"] == "change"]
    assert line["Reason"] == "The lift was out of order"
    changed = re.sub(r"\s+", " ", (await console.get(f"/console/credits/money/{credit}")).text)
    assert re.search(r"Expire date [^<]+ → 1 May 2031, 12:00", changed)
    assert (await api.get(f"/api/billing/coworkerbookingcredits/{credit}"))["ExpireDate"] == "2031-05-01T12:00:00Z"
    path = f"{CREDIT}/{credit}/commands/VOID_CREDIT"
    await console.post(path, data=fields_of((await console.get(path)).text) | {"Reason": "Left"})
    assert await api.remaining(credit) == 0


async def test_reversal_of_a_time_use_shows_before_and_after(console: httpx.AsyncClient, api: ApiClient) -> None:
    credit = await api.create_time_credit(120)
    booking = await api.create_booking()
    await api.spend({"Kind": "booking", "Id": booking})
    [use] = await api.list_records(
        "/api/billing/coworkerextraserviceusehistories", CoworkerExtraServiceUseHistory_CoworkerExtraService=credit
    )
    path = f"/console/records/billing/coworkerextraserviceusehistories/{use['Id']}/commands/REVERSE_USE"
    shown = (await console.get(path)).text
    used = int(use["CreditUsed"])
    assert re.findall(r"</span> (\d+) <span", shown) == [str(120 - used)]
    assert '<span class="after">120</span>' in shown


async def test_charge_and_cancellation_of_a_booking_show_before_and_after(
    console: httpx.AsyncClient, api: ApiClient
) -> None:
    credit = await api.create_credit("50")
    booking = await api.create_booking()
    path = f"/console/records/spaces/bookings/{booking}/commands"
    charge = (await console.get(f"{path}/CHARGE_BOOKING")).text
    assert "<b>−20.00</b>" in charge
    assert "Covered by credit." in charge
    assert await api.remaining(credit) == 50
    await console.post(f"{path}/CHARGE_BOOKING", data=fields_of(charge))
    assert await api.remaining(credit) == 30
    cancel = (await console.get(f"{path}/CANCEL_BOOKING")).text
    assert f"#{credit}" in cancel
    assert '30.00 <span aria-hidden="true">→' in cancel
    assert '<span class="after">50.00</span>' in cancel
    await console.post(f"{path}/CANCEL_BOOKING", data=fields_of(cancel) | {"CancellationReason": "Ill"})
    assert await api.remaining(credit) == 50


async def test_customer_page_never_adds_currencies_or_kinds(console: httpx.AsyncClient, api: ApiClient) -> None:
    await api.create_credit("20")
    await api.create_credit("8.75", ExpireDate=api.timestamp(days=2))
    await api.create_time_credit(120)
    page = (await console.get(f"/console/customers/{api.ledger.customer}")).text
    assert figures(page) == ["28.75", "120"]
    assert "Expires soon" in page
    assert "<svg" in page


async def test_customer_page_as_of_a_past_day(console: httpx.AsyncClient, api: ApiClient) -> None:
    await api.create_credit("20")
    page = (await console.get(f"/console/customers/{api.ledger.customer}", params={"at": "2020-01-01"})).text
    assert figures(page)[0] == "0.00"


async def test_preview_of_the_desk_equals_the_spend(console: httpx.AsyncClient, api: ApiClient) -> None:
    first = await api.create_credit("15", ExpireDate=api.timestamp(days=9))
    second = await api.create_credit("30")
    await api.create_credit("30", CaneBeUsedForBookings=False, CaneBeUsedForEvents=True)
    booking = await api.create_booking()
    desk = (await console.get(f"/console/spend?customer={api.ledger.customer}")).text
    form = fields_of(desk) | {"booking": str(booking)}
    preview = (await console.post("/console/spend/preview", data=form)).text
    assert re.findall(r"<b>(−[\d.]+)</b>", preview) == ["−15.00", "−5.00"]
    assert "it is not for bookings (rule 13)" in preview
    assert "Covered by credit." in preview
    assert (await api.remaining(first), await api.remaining(second)) == (15, 30)
    for _ in range(2):
        answer = await console.post("/console/spend", data=form | {"act": "pay"})
        assert answer.headers["location"] == f"/console/customers/{api.ledger.customer}"
    assert (await api.remaining(first), await api.remaining(second)) == (0, 25)


async def test_desk_without_scripts_previews_on_the_whole_page(console: httpx.AsyncClient, api: ApiClient) -> None:
    await api.create_credit("30", IsUniversalCredit=True, AppliesToCharges=True)
    form = {"customer": str(api.ledger.customer), "location": str(api.ledger.business), "amount": "12.5", "number": "7"}
    page = (await console.post("/console/spend", data=form | {"act": "preview"})).text
    assert "−12.50" in page
    assert 'value="12.5"' in page
    held = await console.post("/console/spend", data=form | {"act": "hold", "key": "hold-once"})
    assert held.status_code == 303
    assert (await api.get("/api/ledger/balances", CoworkerId=api.ledger.customer))["Value"][0]["Held"] == "12.5000"


async def test_desk_shows_the_errors_of_the_api(console: httpx.AsyncClient, api: ApiClient) -> None:
    form = {"customer": str(api.ledger.customer), "location": str(api.ledger.business), "amount": "lots"}
    preview = await console.post("/console/spend/preview", data=form)
    assert "must be a number" in preview.text
    assert (await console.post("/console/spend", data=form | {"act": "pay"})).status_code == 400


async def test_booking_is_charged_and_cancelled_by_its_commands(console: httpx.AsyncClient, api: ApiClient) -> None:
    credit = await api.create_credit("50")
    booking = await api.create_booking()
    record = f"/console/records/spaces/bookings/{booking}"
    assert "Charge booking…" in (await console.get(record)).text
    path = f"{record}/commands/CHARGE_BOOKING"
    assert (await console.post(path, data=fields_of((await console.get(path)).text))).status_code == 303
    assert await api.remaining(credit) == 30
    path = f"{record}/commands/CANCEL_BOOKING"
    answer = await console.post(path, data=fields_of((await console.get(path)).text))
    assert answer.status_code == 303
    assert await api.remaining(credit) == 50
    assert (await console.get(answer.headers["location"])).status_code == 200


async def test_location_and_roles_limit_every_page(app: ASGIApp, store: Store, api: ApiClient) -> None:
    credit = await api.create_credit("20", Description="Secret gift")
    elsewhere = await create_location(store, "Elsewhere")
    roles = (READ_ROLE, "Coworker-List", "Coworker-Read", "CoworkerBookingCredit-List", "CoworkerBookingCredit-Read",
             "CoworkerBookingCredit-Edit", "Booking-List")  # fmt: skip
    role = await create_user_role(store, elsewhere, roles)
    token = await create_user_token(
        store, f"else{credit}@example.org", is_admin=False, business_ids=[elsewhere], user_role_id=role
    )
    hidden = [
        f"/console/customers/{api.ledger.customer}",
        f"/console/credits/money/{credit}",
        f"{CREDIT}/{credit}",
        f"{CREDIT}/{credit}/edit",
        f"{CREDIT}/{credit}/commands/ADJUST_CREDIT",
        f"/console/spend?customer={api.ledger.customer}",
    ]
    async with browser(app, token) as other:
        assert [(await other.get(path)).status_code for path in hidden] == [404] * len(hidden)
        for path in (CREDIT, f"{CREDIT}/export.csv", "/console/search?q=secret", "/console/", "/console/spend?q=Ada"):
            answer = await other.get(path)
            assert answer.status_code == 200
            assert "Secret gift" not in answer.text
            assert "Ada" not in answer.text.replace("Ada”", "").replace('value="Ada"', "")
        assert "Spend desk" not in (await other.get("/console/")).text
        assert (await other.get("/console/records/sys/users")).status_code == 403


async def test_grant_shows_what_can_be_spent_then_and_is_made_once(console: httpx.AsyncClient, api: ApiClient) -> None:
    await api.create_credit("20")
    path = f"/console/customers/{api.ledger.customer}/grant/money"
    form = fields_of((await console.get(path)).text) | {
        "amount": "12.5", "location": str(api.ledger.business), "Description": "Spring gift",
        "CaneBeUsedForBookings": "true", "ExpireDate": "2031-05-01T12:00", "funding": "paid", "price": "10",
    }  # fmt: skip
    effects = (await console.post(f"{path}/effects", data=form)).text
    assert "20.00" in effects
    assert "32.50" in effects
    answers = [await console.post(path, data=form) for _ in range(2)]
    assert answers[0].headers["location"] == answers[1].headers["location"]
    credit = (await console.get(answers[0].headers["location"])).text
    assert "<p>Paid · " in credit
    assert "10.00" in credit
    page = (await console.get(f"/console/customers/{api.ledger.customer}")).text
    assert figures(page) == ["32.50"]
    assert "Spring gift" in page


async def test_grant_of_time_and_its_errors(console: httpx.AsyncClient, api: ApiClient) -> None:
    path = f"/console/customers/{api.ledger.customer}/grant/time"
    form = fields_of((await console.get(path)).text)
    form |= {"location": str(api.ledger.business), "rate": str(api.ledger.rate), "Description": "Extra hours"}
    missing = await console.post(path, data=form | {"amount": ""})
    assert missing.status_code == 400
    assert 'id="e-amount">is a required field' in missing.text
    assert (await console.post(path, data=form | {"amount": "90", "Description": ""})).status_code == 422
    assert (await console.post(path, data=form | {"amount": "90"})).status_code == 303
    assert figures((await console.get(f"/console/customers/{api.ledger.customer}")).text) == ["90"]


async def test_why_shows_every_credit_of_the_decision(console: httpx.AsyncClient, api: ApiClient) -> None:
    credit = await api.create_credit("50", ExpireDate=api.timestamp(days=9))
    later = await api.create_credit("50")
    booking = await api.create_booking()
    await api.run_command(BOOKINGS, "CHARGE_BOOKING", [booking])
    page = (await console.get(f"/console/credits/money/{credit}")).text
    [why] = re.findall(r'href="(/console/why/\d+)"', page)
    shown = (await console.get(why)).text
    assert "Why this credit paid" in shown
    assert re.findall(r"<b>(−[\d.]+)</b>", shown) == ["−20.00"]
    assert f"/console/credits/money/{later}" in shown
    assert "not needed" in shown


async def test_why_of_a_posted_use_says_that_nothing_was_chosen(console: httpx.AsyncClient, api: ApiClient) -> None:
    credit = await api.create_credit("50")
    await api.post_use(credit, "5")
    page = (await console.get(f"/console/credits/money/{credit}")).text
    [why] = re.findall(r'href="(/console/why/\d+)"', page)
    assert "only the amount was checked (rule 7)" in (await console.get(why)).text


async def test_instants_stand_on_the_clock_of_their_location(
    console: httpx.AsyncClient, app: ASGIApp, api: ApiClient, store: Store
) -> None:
    body = {"BusinessId": api.ledger.business, "TimeZone": "Asia/Tokyo"}
    assert (await api.post("/api/ledger/locationprofiles", body)).status_code == 200
    credit = await api.create_credit("5", ExpireDate="2031-05-01T20:30:00Z")
    token = await create_user_token(store, "tokyo@example.org", lifetime_days=400)
    async with browser(app, token) as fresh:
        page = (await fresh.get(f"{CREDIT}/{credit}")).text
    assert '<time datetime="2031-05-01T20:30:00Z" title="2031-05-01 20:30:00 UTC">2 May 2031, 05:30</time>' in page


async def test_exception_is_listed_and_accepted_with_a_note(console: httpx.AsyncClient, api: ApiClient) -> None:
    credit = await api.create_credit("50", ExpireDate=api.timestamp(days=-1))
    await api.post_use(credit, "5")
    page = (await console.get("/console/exceptions?code=override")).text
    assert f"/console/credits/money/{credit}" in page
    row = page.partition(f"/console/credits/money/{credit}")[2]
    accept = re.findall(r'href="(/console/exceptions/accept[^"]+)"', row)[0].replace("&amp;", "&")
    form = fields_of((await console.get(accept)).text)
    without = await console.post("/console/exceptions/accept", data=form | {"note": " "})
    assert (without.status_code, "others read the note" in without.text) == (422, True)
    answer = await console.post("/console/exceptions/accept", data=form | {"note": "Agreed by phone"})
    assert answer.headers["location"] == "/console/exceptions"
    assert f"/console/credits/money/{credit}" not in (await console.get("/console/exceptions?code=override")).text
    assert "Agreed by phone" in (await console.get("/console/exceptions?code=override&all=1")).text


async def test_outstanding_credit_as_the_report_has_it(console: httpx.AsyncClient, api: ApiClient) -> None:
    await api.create_credit("12.5", ExpireDate=api.timestamp(days=3))
    report = await api.get("/api/reports/ageing")
    page = (await console.get("/console/outstanding")).text
    part = (await console.get("/console/outstanding", headers={"HX-Request": "true"})).text
    expected = [f"{Decimal(row['Outstanding']):,.2f}" for row in report["Totals"] if row["Kind"] == "money"]
    assert expected
    for text in expected:
        assert text in page
        assert text in part
    assert "<html" not in part


async def test_reports_need_their_role(app: ASGIApp, store: Store, api: ApiClient) -> None:
    role = await create_user_role(store, api.ledger.business, (READ_ROLE,))
    token = await create_user_token(
        store, f"reader{api.ledger.customer}@example.org", is_admin=False, business_ids=[api.ledger.business],
        user_role_id=role,
    )  # fmt: skip
    async with browser(app, token) as reader:
        assert "/console/exceptions" not in (await reader.get("/console/")).text
        assert (await reader.get("/console/exceptions")).status_code == 403
        assert (await reader.get("/console/outstanding")).status_code == 403
