"""The console as people use it: by mouse and keyboard, with and without scripts, in two tabs."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, Page, Route, expect

from tests.browser.conftest import ConsoleSite
from tests.console.forms import fields_of
from tests.support.browser import Visitor, visitor
from tests.support.page_texts import untranslated_texts

CREDITS = "/api/billing/coworkerbookingcredits"
AXE_RULES = {
    "resultTypes": ["violations"],
    "runOnly": {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]},
}
MIN_TARGET = 24
NAMES_OF_THE_DEMO = {"Accountant", "Auditor", "Front desk", "Credit bundle", "Not yet valid", "ledger"}
"""Users and products of the demo, and a section of the settings, that are called like something on the pages."""
PAGES = (
    "/console/",
    "/console/customers",
    "/console/customers/1?all=1",
    "/console/customers/1/grant/time",
    "/console/credits",
    "/console/credits/money/4",
    "/console/credits/money/4/extend",
    "/console/bulk",
    "/console/bulk/grant?kind=money&id=1",
    "/console/bulk/extend?kind=time&id=1",
    "/console/api",
    "/console/api/getLedgerBalances",
    "/console/admin",
    "/console/admin/users",
    "/console/admin/users/1",
    "/console/admin/users/new",
    "/console/admin/roles",
    "/console/admin/roles/new?preset=accountant",
    "/console/admin/locations",
    "/console/admin/jobs",
    "/console/admin/imports",
    "/console/admin/settings",
    "/console/why/5",
    "/console/exceptions",
    "/console/reports",
    "/console/reports/statement?CoworkerId=1&From=2020-01-01",
    "/console/reports/liability?By=plan",
    "/console/reports/roll-forward",
    "/console/closings",
    "/console/owed",
    "/console/closings/1/2026-01",
    "/console/spend",
    "/console/spend?customer=1",
    "/console/renewals",
    "/console/search?q=a",
    "/console/views",
    "/console/views/new?list=Coworker&orderby=FullName",
    "/console/preferences",
    "/console/account",
    "/console/records",
    "/console/records/ledger/entries?orderby=RecordedOn&JournalLine_CreditKind=money",
    "/console/records/billing/coworkerbookingcredits/4",
    "/console/records/billing/coworkerbookingcredits/4/edit",
    "/console/records/billing/coworkerbookingcredits/4/commands/ADJUST_CREDIT",
    "/console/records/billing/coworkerbookingcredits/4/delete",
    "/console/records/nothing/here",
)


async def create_credit(site: ConsoleSite, total: float, **values: Any) -> int:
    """A money credit of the first customer."""
    body = {"CoworkerId": 1, "BusinessId": 1, "TotalCredit": total, "Description": "Test gift", **values}
    async with site.http() as http:
        return int((await http.post(CREDITS, json=body)).json()["Value"]["Id"])


async def remaining(site: ConsoleSite, credit: int) -> Decimal:
    async with site.http() as http:
        return Decimal(str((await http.get(f"{CREDITS}/{credit}")).json()["RemainingCredit"]))


async def import_pages(site: ConsoleSite) -> list[str]:
    """The pages of three files: one with its columns to be said, one that is checked, one that is imported."""
    content = (
        "Full name,Location,E-mail address\nAda Import,1,ada.import@example.com\nBo Import,999999,bo@example.com\n"
    )
    paths = []
    async with site.http() as http:
        for acts in ((), ("check",), ("check", "run")):
            query = {"Records": "coworkers", "FileName": "a-long-name-of-a-file-from-the-old-system-2026-11.csv"}
            stored = await http.post("/api/admin/imports/files", params=query, content=content)
            batch = stored.json()["Value"]["Id"]
            for act in acts:
                body = {"Fields": "FullName,Businesses,Email"} if act == "check" else {}
                done = await http.post(f"/api/admin/imports/batches/{batch}/{act}", json=body)
                assert done.status_code == 200, done.text
            paths.append(f"/console/admin/imports/{batch}")
    return paths


async def small_targets(page: Page) -> list[str]:
    """Buttons and fields that are smaller than a fingertip; links within sentences may be."""
    found: list[str] = await page.evaluate(
        """(least) => [...document.querySelectorAll("button, input, select, summary, .button, nav a, td a, th a")]
        .filter((each) => each.checkVisibility() && !["hidden", "checkbox", "radio"].includes(each.type))
        .filter((each) => !each.closest(".visually-hidden") && !each.classList.contains("visually-hidden"))
        .map((each) => [each, each.getBoundingClientRect()])
        .filter(([_, box]) => box.width > 0 && box.height < least)
        .map(([each, box]) => each.outerHTML.slice(0, 80) + " " + box.height)""",
        MIN_TARGET,
    )
    return found


@pytest.mark.parametrize(("scheme", "width"), [("light", 1360), ("dark", 320)])
@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
async def test_pages_are_accessible_and_fit(browser: Browser, site: ConsoleSite, scheme: str, width: int) -> None:
    """No finding of axe for WCAG 2.2 A and AA; nothing is wider than the window; targets are large enough."""
    options: dict[str, Any] = {"color_scheme": scheme, "viewport": {"width": width, "height": 800}}
    findings: list[str] = []
    async with visitor(browser, site.address, bypass_csp=True, **options) as reader:
        page = await reader.open_tab("/console/sign-in")
        for path in ("/console/sign-in", *PAGES, *await import_pages(site)):
            if path != "/console/sign-in" and page.url.endswith("/console/sign-in"):
                page = await reader.sign_in(site.email, site.password)
            await page.goto(site.address + path)
            results = await Axe().run(page, options=AXE_RULES)
            findings += [
                f"{path}: {each['id']} {each['nodes'][0]['html'][:120]}" for each in results.response["violations"]
            ]
            widest = await page.evaluate("document.documentElement.scrollWidth")
            findings += [f"{path}: {widest} px wide"] if widest > width else []
            findings += [f"{path}: small target {each}" for each in await small_targets(page)]
    assert findings == []


SEND_AND_COME_BACK = """async () => {
  const form = document.createElement("form");
  form.method = "post";
  form.innerHTML = "<button>Send</button><button disabled>Closed</button>";
  form.addEventListener("submit", (event) => event.preventDefault());
  document.body.append(form);
  const states = () => [...form.elements].map((button) => button.disabled);
  form.requestSubmit();
  await new Promise((resolve) => setTimeout(resolve));
  const sent = states();
  window.dispatchEvent(new PageTransitionEvent("pageshow"));
  return [sent, states()];
}"""
"""Whether the buttons of a form are off once it is sent, and again when its page comes back: one is off by itself."""


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
async def test_no_text_of_a_page_stays_english_for_a_spanish_user(site: ConsoleSite) -> None:
    """All but the reference of the API, which is English for every client."""
    headers = {"accept-language": "es", "origin": site.address}
    left: dict[str, set[str]] = {}
    async with httpx.AsyncClient(base_url=site.address, headers=headers, follow_redirects=True) as reader:
        form = fields_of((await reader.get("/console/sign-in")).text)
        await reader.post("/console/sign-in", data={**form, "email": site.email, "password": site.password})
        for path in (*(each for each in PAGES if "/console/api" not in each), *(await import_pages(site))[1:]):
            page = await reader.get(path)
            assert '<html lang="es"' in page.text, path
            if found := untranslated_texts(page.text, "es") - NAMES_OF_THE_DEMO:
                left[path] = found
    assert left == {}


async def test_adjustment_with_a_live_preview_writes_once(desk: Visitor, site: ConsoleSite) -> None:
    credit = await create_credit(site, 20)
    page = await desk.sign_in(site.email, site.password)
    await page.goto(f"{site.address}/console/credits/money/{credit}")
    await page.get_by_role("link", name="Adjust…").click()
    await page.get_by_label("Amount").fill("12.5")
    await expect(page.locator("#effects .after").first).to_have_text("32.50")
    await page.get_by_label("Reason").fill("Projector failed")
    await page.get_by_role("button", name="Adjust remaining credit").dblclick()
    await expect(page.get_by_role("status")).to_contain_text("adjusted")
    assert await remaining(site, credit) == Decimal("32.5")
    await page.reload()
    await expect(page.get_by_role("status")).to_have_count(0)
    await page.get_by_role("link", name="Undo…").click()
    await expect(page.get_by_label("Amount")).to_have_value("-12.5")
    await page.get_by_label("Reason").fill("Wrong credit")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("status")).to_be_visible()
    assert await remaining(site, credit) == 20


async def test_entry_before_the_scripts_arrive_has_its_preview(desk: Visitor, site: ConsoleSite) -> None:
    credit = await create_credit(site, 20)
    page = await desk.sign_in(site.email, site.password)
    entered = asyncio.Event()

    async def late(route: Route) -> None:
        await entered.wait()
        await route.fallback()

    await page.route("**/*.js", late)
    path = f"/console/records/billing/coworkerbookingcredits/{credit}/commands/ADJUST_CREDIT"
    await page.goto(site.address + path, wait_until="commit")
    await page.get_by_label("Amount").fill("12.5")
    await page.get_by_role("searchbox").fill("Test gift")
    entered.set()
    await expect(page.locator("#effects .after").first).to_have_text("32.50")
    await expect(page.locator("#palette")).to_contain_text("Test gift")


async def test_form_that_comes_back_is_not_written_again(desk: Visitor, site: ConsoleSite) -> None:
    credit = await create_credit(site, 20)
    page = await desk.sign_in(site.email, site.password)
    path = f"{site.address}/console/records/billing/coworkerbookingcredits/{credit}/commands/ADJUST_CREDIT"
    await page.goto(path)
    await page.get_by_label("Amount").fill("5")
    await page.get_by_label("Reason").fill("Once")
    await page.get_by_role("button", name="Adjust remaining credit").click()
    await page.wait_for_url("**/console/credits/money/*")
    await page.go_back()
    assert page.url == path
    await page.go_forward()
    await page.reload()
    assert await remaining(site, credit) == 25
    assert await page.evaluate(SEND_AND_COME_BACK) == [[True, True], [False, True]]


async def test_spend_desk_previews_while_it_is_filled_in(desk: Visitor, site: ConsoleSite) -> None:
    credit = await create_credit(site, 30, IsUniversalCredit=True, AppliesToCharges=True)
    page = await desk.sign_in(site.email, site.password)
    await page.goto(f"{site.address}/console/spend?customer=1")
    await page.get_by_label("Charge").fill("7.25")
    preview = page.locator("#preview")
    await expect(preview.get_by_text("Covered by credit.")).to_be_visible()
    [taken] = await preview.locator("tr:not(.muted) b").all_inner_texts()
    assert taken == "−7.25"
    payer = await preview.locator("tr:not(.muted) td a").first.get_attribute("href")
    await page.get_by_role("button", name="Pay with credit").click()
    await expect(page.get_by_role("status")).to_contain_text("spend was successfully made")
    if payer == f"/console/credits/money/{credit}":
        assert await remaining(site, credit) == Decimal("22.75")
    await page.goto(site.address + str(payer))
    await expect(page.get_by_role("region", name="Journal").get_by_text("−7.25").first).to_be_visible()


async def test_keyboard_alone_finds_a_customer(desk: Visitor, site: ConsoleSite) -> None:
    page = await desk.sign_in(site.email, site.password)
    async with site.http() as http:
        name = (await http.get("/api/spaces/coworkers/1")).json()["FullName"]
    await page.keyboard.press("/")
    await page.keyboard.type(name[:6])
    await expect(page.locator("#palette a").first).to_be_visible()
    await page.keyboard.press("ArrowDown")
    await page.keyboard.press("Enter")
    await page.wait_for_url("**/console/customers/*")
    await expect(page.get_by_role("heading", level=1)).to_contain_text(name.split()[0])
    await page.keyboard.press("Control+k")
    await expect(page.locator("#search")).to_be_focused()
    await page.goto(site.address + "/console/")
    await page.keyboard.press("Tab")
    await expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()


async def test_signing_out_ends_the_session_in_both_tabs(desk: Visitor, site: ConsoleSite) -> None:
    first = await desk.sign_in(site.email, site.password)
    second = await desk.open_tab("/console/records/ledger/entries")
    await expect(second.get_by_role("heading", level=1)).to_have_text("Journal lines")
    await first.get_by_role("button", name="Sign out").click()
    await first.wait_for_url("**/console/sign-in")
    await second.reload()
    await second.wait_for_url("**/console/sign-in?next=*")


async def test_everything_works_without_scripts(browser: Browser, site: ConsoleSite) -> None:
    """Sign in, filter, page, act and export with plain forms and links."""
    credit = await create_credit(site, 40)
    async with visitor(browser, site.address, java_script_enabled=False, accept_downloads=True) as reader:
        page = await reader.sign_in(site.email, site.password)
        await page.goto(f"{site.address}/console/records/billing/coworkerbookingcredits")
        await page.get_by_text("Filter", exact=True).click()
        await page.get_by_label("Field", exact=True).select_option("Total credit")
        await page.get_by_label("Comparison").select_option("is at least")
        await page.get_by_label("Value", exact=True).fill("40")
        await page.get_by_role("button", name="Add the filter").click()
        await expect(page.locator(".chip")).to_contain_text("Total credit is at least 40")
        await page.get_by_role("link", name="Next").click()
        assert "page=2" in page.url
        assert "from_CoworkerBookingCredit_TotalCredit=40" in page.url
        async with page.expect_download() as download:
            await page.get_by_role("link", name="CSV").click()
        assert (await download.value).suggested_filename == "coworkerbookingcredits.csv"
        await page.goto(f"{site.address}/console/credits/money/{credit}")
        await page.get_by_role("link", name="Void rest…").click()
        await page.get_by_label("Reason").fill("Left the space")
        await page.get_by_role("button", name="Void unused credit").click()
        await expect(page.get_by_role("status")).to_contain_text("voided")
    assert await remaining(site, credit) == 0


@pytest.mark.parametrize(
    ("database", "scripts"), [("sqlite", False), ("postgresql", True)], indirect=["database"], scope="module"
)
async def test_file_is_imported_and_taken_back(
    browser: Browser, site: ConsoleSite, scripts: bool, tmp_path: Path
) -> None:
    """Upload, columns, check, import, result, undo: with scripts on one engine, without them on the other."""
    file = tmp_path / "credits.csv"
    rows = "1;1;20;Imported\n1;1;30;Imported\n1;1;many;Imported\n"
    file.write_text(f"Customer;Location;Bought in October;Description\n{rows}", encoding="utf-8")

    async def imported() -> list[float]:
        async with site.http() as http:
            query = {"CoworkerBookingCredit_Coworker": 1, "size": 1000}
            found = (await http.get(CREDITS, params=query)).json()["Records"]
        return sorted(each["RemainingCredit"] for each in found if each["Description"] == "Imported")

    async with visitor(browser, site.address, java_script_enabled=scripts) as reader:
        page = await reader.sign_in(site.email, site.password)
        await page.goto(f"{site.address}/console/admin")
        await page.get_by_role("main").get_by_role("link", name="Import").first.click()
        await page.get_by_label("Records").select_option("coworkerbookingcredits")
        await page.get_by_label("File").set_input_files(file)
        await page.get_by_role("button", name="Look at the columns").click()
        await expect(page.get_by_text("credits.csv · 3 rows")).to_be_visible()
        await page.get_by_label("Bought in October").select_option("TotalCredit")
        await expect(page.get_by_label("Location")).to_have_value("BusinessId")
        await page.get_by_role("button", name="Show what would happen").click()
        progress, messages = page.locator("#import-progress"), page.locator(".messages")
        await expect(progress.get_by_role("status")).to_contain_text("What would happen")
        await expect(messages).to_contain_text("row 3")
        assert await imported() == []
        await page.get_by_role("button", name="Import", exact=True).click()
        await expect(progress.get_by_role("status")).to_contain_text("Imported")
        assert await imported() == [20, 30]
        await page.get_by_role("link", name="See the records").click()
        await page.wait_for_url("**/console/records/billing/coworkerbookingcredits")
        await page.go_back()
        await page.get_by_role("button", name="Take back").click()
        await expect(progress.get_by_role("status")).to_contain_text("Taken back")
        assert await imported() == []
        await page.get_by_role("link", name="Import another file").click()
        await expect(page.get_by_role("region", name="Imports before")).to_contain_text("credits.csv")


class Interactions:
    """Counts what a person does: a click, or a field filled in."""

    def __init__(self, page: Page) -> None:
        self.page, self.count = page, 0

    async def click(self, role: Any, name: str) -> None:
        self.count += 1
        await self.page.get_by_role(role, name=name).first.click()

    async def fill(self, label: str, text: str) -> None:
        self.count += 1
        await self.page.get_by_label(label).first.fill(text)


async def test_four_questions_take_at_most_four_interactions_each(desk: Visitor, site: ConsoleSite) -> None:
    credit = await create_credit(site, 20, IsUniversalCredit=True, AppliesToCharges=True)
    async with site.http() as http:
        name = (await http.get("/api/spaces/coworkers/1")).json()["FullName"]
    page = await desk.sign_in(site.email, site.password)
    why = Interactions(page)
    await why.fill("Search customers", name)
    await why.click("link", name)
    await why.click("link", "Why")
    await page.wait_for_url("**/console/why/*")
    adjusting = Interactions(page)
    await page.goto(f"{site.address}/console/credits/money/{credit}")
    await adjusting.click("link", "Adjust…")
    await adjusting.fill("Amount", "3")
    await adjusting.fill("Reason", "Projector failed")
    await adjusting.click("button", "Adjust remaining credit")
    await expect(page.get_by_role("status")).to_contain_text("adjusted")
    assert await remaining(site, credit) == 23
    await page.goto(f"{site.address}/console/")
    expiring = Interactions(page)
    expiring.count += 1
    await page.locator("dl.stats > div", has_text="Credits expire in 7 days").get_by_role("link").click()
    await expect(page.locator(".chip")).to_have_count(3)
    closing = Interactions(page)
    await closing.click("link", "Reports")
    await closing.click("link", "Roll-forward")
    await closing.click("link", "Last month")
    await expect(page.get_by_role("region", name="Roll-forward").get_by_text("Closing")).to_be_visible()
    assert [each.count <= 4 for each in (why, adjusting, expiring, closing)] == [True] * 4
