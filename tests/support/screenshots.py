"""Takes the pictures of the documentation: `python -m tests.support.screenshots` writes docs/assets/console/.

A server of its own shows the demo of one seed, so that a picture changes only when a page does.
"""

from __future__ import annotations

import asyncio
import re
import subprocess
import tempfile
from pathlib import Path
from typing import Any, Final

import httpx
from playwright.async_api import Page, async_playwright

from tests.support.browser import launch, visitor
from tests.support.server_process import ServerProcess, creditdesk_command, process_environment

PICTURES: Final = Path(__file__).parents[2] / "docs" / "assets" / "console"
DESKTOP: Final = {"width": 1280, "height": 800}
PHONE: Final = {"width": 360, "height": 720}
SHOTS: Final = (
    ("today-light", "/console/", "light", DESKTOP),
    ("customer-light", "/console/customers/126?all=1", "light", DESKTOP),
    ("customer-phone", "/console/customers/126", "light", PHONE),
    ("credit-light", "/console/credits/money/{credit}", "light", DESKTOP),
    ("credit-dark", "/console/credits/money/{credit}", "dark", DESKTOP),
    ("spend-light", "/console/spend?customer=126", "light", DESKTOP),
    ("report-light", "/console/reports/roll-forward?From=2026-10-01&To=2026-10-31", "light", DESKTOP),
    ("exceptions-light", "/console/exceptions", "light", DESKTOP),
    ("list-dark", "/console/records/billing/coworkerbookingcredits?from_CoworkerBookingCredit_RemainingCredit=20", "dark",
     DESKTOP),
)  # fmt: skip
"""Name, page, colours and window of each picture."""
MEMBER: Final = "mara@demo.creditdesk.example"
MEMBER_SHOTS: Final = (
    ("member-light", "/me/", "light", DESKTOP),
    ("member-dark", "/me/", "dark", DESKTOP),
    ("member-phone", "/me/", "light", PHONE),
    ("member-history-phone", "/me/history", "dark", PHONE),
)
"""The same as a member sees them."""


async def take() -> None:
    """Writes every picture."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        database = f"sqlite:///{folder}/demo.db"
        loaded = subprocess.run(
            creditdesk_command("demo", "--uses", "5000", "--seed", "1", "--until", "2026-11-28", "--database", database),
            env=process_environment(), capture_output=True, text=True, check=True,
        )  # fmt: skip
        email, password = re.findall(r"(?:E-mail|Password):\s+(\S+)", loaded.stdout)[:2]
        server = ServerProcess(database, Path(folder) / "log.txt")
        await server.start()
        try:
            async with async_playwright() as playwright:
                browser = await launch(playwright)
                credit = await _busy_credit(server.address, (email, password))
                shots = [(email, shot) for shot in SHOTS] + [(MEMBER, shot) for shot in MEMBER_SHOTS]
                for user, (name, path, scheme, window) in shots:
                    options: dict[str, Any] = {"color_scheme": scheme, "viewport": window}
                    async with visitor(browser, server.address, **options) as visiting:
                        page = await visiting.sign_in(user, password, "/me/" if user == MEMBER else "/console/")
                        await page.goto(server.address + path.format(credit=credit), wait_until="networkidle")
                        await _fill_in(page)
                        await page.screenshot(path=PICTURES / f"{name}.png")
                await browser.close()
        finally:
            server.kill()


async def _busy_credit(address: str, admin: tuple[str, str]) -> int:
    """The money credit that paid for the latest booking."""
    query: dict[str, str | int] = {"JournalLine_CreditKind": "money", "JournalLine_Kind": "use", "JournalLine_SourceKind": "booking",
             "JournalLine_Actor": admin[0], "orderby": "RecordedOn", "dir": "descending", "size": 1}  # fmt: skip
    async with httpx.AsyncClient(base_url=address, auth=admin) as http:
        [line] = (await http.get("/api/ledger/entries", params=query)).json()["Records"]
    return int(line["CreditId"])


async def _fill_in(page: Page) -> None:
    """A booking at the spend desk, so that its picture has a preview."""
    if "/console/spend" in page.url:
        await page.get_by_label("Compass").first.check()
        await page.locator("#preview .verdict").first.wait_for()


if __name__ == "__main__":
    asyncio.run(take())
