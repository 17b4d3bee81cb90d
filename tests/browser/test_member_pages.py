"""The member's pages as people use them: by link and by password, on a phone, and framed by another site."""

from __future__ import annotations

import functools
import re
import subprocess
import threading
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, expect

from tests.browser.test_console import AXE_RULES, small_targets
from tests.support.browser import visitor
from tests.support.server_process import ServerProcess, creditdesk_command, process_environment

MEMBER = "mara@demo.creditdesk.example"
PAGES = ("/me/", "/me/history", "/me/statement")


class QuietHandler(SimpleHTTPRequestHandler):
    """Serves a folder without a log."""

    def log_message(self, format: str, *args: Any) -> None:
        pass


@dataclass(frozen=True)
class MemberSite:
    """A server with a member of the demo, and the folder of another site that may frame its pages."""

    address: str
    admin: tuple[str, str]
    password: str
    customer: int
    other_folder: Path
    other_address: str

    async def create_link(self, purpose: str = "sign-in", customer: int | None = None) -> str:
        async with httpx.AsyncClient(base_url=self.address, auth=self.admin) as http:
            body = {"CoworkerId": customer or self.customer, "Purpose": purpose}
            answer = await http.post("/api/members/links", json=body)
        return self.address + str(answer.json()["Value"]["Path"])


@pytest.fixture(scope="module")
def other_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    """A folder, and the address at which it is served."""
    folder = tmp_path_factory.mktemp("other-site")
    (folder / "favicon.ico").write_bytes(b"")
    with ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(QuietHandler, directory=str(folder))) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield folder, f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


@pytest_asyncio.fixture(scope="module")
async def member_site(
    database: str, other_site: tuple[Path, str], tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[MemberSite]:
    folder, other_address = other_site
    loaded = subprocess.run(
        creditdesk_command("demo", "--uses", "50", "--seed", "1", "--database", database),
        env=process_environment(), capture_output=True, text=True, check=True, timeout=120,
    )  # fmt: skip
    found = re.search(r"E-mail:\s+(\S+)\s+Password:\s+(\S+)", loaded.stdout)
    assert found is not None, loaded.stdout
    log = Path(tmp_path_factory.mktemp("server")) / "log.txt"
    server = ServerProcess(database, log, CREDITDESK_CONSOLE_FRAME_ANCESTORS=other_address)
    await server.start()
    try:
        async with httpx.AsyncClient(base_url=server.address, auth=(found[1], found[2])) as http:
            listed = await http.get("/api/spaces/coworkers", params={"Coworker_Email": MEMBER})
        customer = listed.json()["Records"][0]["Id"]
        yield MemberSite(server.address, (found[1], found[2]), found[2], customer, folder, other_address)
    finally:
        server.kill()


@pytest.mark.parametrize(("scheme", "width"), [("light", 1360), ("dark", 320)])
@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
async def test_member_pages_are_accessible_and_fit(
    browser: Browser, member_site: MemberSite, scheme: str, width: int
) -> None:
    """No finding of axe for WCAG 2.2 A and AA; nothing is wider than the window; targets are large enough."""
    options: dict[str, Any] = {"color_scheme": scheme, "viewport": {"width": width, "height": 800}}
    findings: list[str] = []
    async with visitor(browser, member_site.address, bypass_csp=True, **options) as reader:
        page = await reader.open_tab()
        await page.goto(await member_site.create_link())
        await page.get_by_role("button", name="Sign in").click()
        await page.wait_for_url("**/me/")
        why = await page.get_by_role("link", name="Why?").first.get_attribute("href")
        for path in (*PAGES, "/me/password", str(why)):
            await page.goto(member_site.address + path)
            found = await Axe().run(page, options=AXE_RULES)
            findings += [f"{path}: {each['id']}" for each in found.response["violations"]]
            if await page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth"):
                findings.append(f"{path}: wider than the window")
            findings += [f"{path}: {each}" for each in await small_targets(page)]
    assert findings == []


async def test_member_signs_in_with_a_password_and_reads_why(browser: Browser, member_site: MemberSite) -> None:
    async with visitor(browser, member_site.address, java_script_enabled=False) as member:
        page = await member.open_tab("/me/history")
        await page.get_by_label("E-mail").fill(MEMBER)
        await page.get_by_label("Password").fill(member_site.password)
        await page.get_by_role("button", name="Sign in").click()
        await page.wait_for_url("**/me/history")
        await page.get_by_role("link", name="Why?").first.click()
        await expect(page.get_by_role("heading", name="Who paid")).to_be_visible()
        await page.get_by_role("link", name="Statement").click()
        async with page.expect_download() as pending:
            await page.get_by_role("link", name="PDF").click()
        file = await (await pending.value).path()
        assert file.read_bytes().startswith(b"%PDF")
        await page.get_by_role("button", name="Sign out").click()
        await page.goto(member_site.address + "/me/")
        await expect(page.get_by_label("E-mail")).to_be_visible()


async def test_member_sets_a_first_password_after_a_link(browser: Browser, member_site: MemberSite) -> None:
    async with httpx.AsyncClient(base_url=member_site.address, auth=member_site.admin) as http:
        listed = await http.get("/api/spaces/coworkers", params={"Coworker_Active": "true", "size": 100})
    customer = next(each for each in listed.json()["Records"] if each["Email"] and not each["UserId"])
    password = "a far better passphrase"
    async with visitor(browser, member_site.address) as member:
        page = await member.open_tab()
        await page.goto(await member_site.create_link(customer=customer["Id"]))
        await page.get_by_role("button", name="Sign in").click()
        await page.wait_for_url("**/me/")
        await page.get_by_role("link", name="Set a password").click()
        await page.get_by_label("New password", exact=True).fill(password)
        await page.get_by_label("New password again").fill(password)
        await page.get_by_role("button", name="Set the password").click()
        await expect(page.get_by_role("status")).to_contain_text("The password was set")
        await page.get_by_role("button", name="Sign out").click()
        await page.goto(member_site.address + "/me/")
        await page.get_by_label("E-mail").fill(customer["Email"])
        await page.get_by_label("Password").fill(password)
        await page.get_by_role("button", name="Sign in").click()
        await page.wait_for_url("**/me/")
        await expect(page.get_by_role("link", name="Change the password")).to_be_visible()


async def test_link_signs_in_once_and_leaves_the_console_closed(browser: Browser, member_site: MemberSite) -> None:
    link = await member_site.create_link()
    async with visitor(browser, member_site.address) as member:
        page = await member.open_tab()
        await page.goto(link)
        await page.get_by_role("button", name="Sign in").click()
        await page.wait_for_url("**/me/")
        await page.goto(member_site.address + "/console/customers")
        await page.wait_for_url("**/me/")
    async with visitor(browser, member_site.address) as other:
        page = await other.open_tab()
        await page.goto(link)
        await page.get_by_role("button", name="Sign in").click()
        await expect(page.get_by_role("alert")).to_contain_text("used before")


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
async def test_other_site_frames_the_page_without_a_cookie(browser: Browser, member_site: MemberSite) -> None:
    """The script places the frame and gives it the height of the page in it."""
    path = (await member_site.create_link("frame")).removeprefix(member_site.address)
    text = f"""<!doctype html><title>Our site</title><div data-creditdesk="{path}"></div>
        <div data-creditdesk="https://evil.example/me/frame/x"></div>
        <script crossorigin="anonymous" src="{member_site.address}/me/embed-1.js"></script>"""
    (member_site.other_folder / "index.html").write_text(text)
    async with visitor(browser, member_site.address) as guest:
        page = await guest.open_tab()
        await page.goto(member_site.other_address + "/")
        framed = page.frame_locator("iframe")
        await expect(framed.get_by_text("You can spend").first).to_be_visible()
        assert await framed.get_by_role("link").count() == 0
        assert await guest.context.cookies() == []
        for width in (1200, 320):
            await page.set_viewport_size({"width": width, "height": 700})
            inner = page.frames[1]
            await inner.wait_for_function("window.innerHeight === document.querySelector('main').offsetHeight")
        assert await page.locator("iframe").count() == 1
        guest.problems.remove("console: creditdesk: data-creditdesk must be the path of a frame link")


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
async def test_site_that_is_not_named_frames_nothing(browser: Browser, member_site: MemberSite) -> None:
    """The setting names the other site; this page is one of the server's own origin, which is not named."""
    link = await member_site.create_link("frame")
    async with visitor(browser, member_site.address) as guest:
        page = await guest.open_tab("/me/embed-1.js")
        add_frame = "(link) => document.body.append(Object.assign(document.createElement('iframe'), { src: link }))"
        async with page.expect_console_message(lambda message: "frame-ancestors" in message.text):
            await page.evaluate(add_frame, link)
        assert "You can spend" not in await page.frames[1].content()
        assert all("frame-ancestors" in each for each in guest.problems)
        guest.problems.clear()
