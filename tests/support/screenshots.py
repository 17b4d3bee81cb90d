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

from playwright.async_api import Page, async_playwright

from tests.support.browser import launch, visitor
from tests.support.server_process import ServerProcess, creditdesk_command, process_environment

PICTURES: Final = Path(__file__).parents[2] / "docs" / "assets" / "console"
DESKTOP: Final = {"width": 1280, "height": 800}
PHONE: Final = {"width": 360, "height": 720}
SHOTS: Final = (
    ("today-light", "/console/", "light", DESKTOP),
    ("customer-light", "/console/customers/5?all=1", "light", DESKTOP),
    ("customer-phone", "/console/customers/5", "light", PHONE),
    ("credit-light", "/console/credits/money/25", "light", DESKTOP),
    ("credit-dark", "/console/credits/money/25", "dark", DESKTOP),
    ("spend-light", "/console/spend?customer=5", "light", DESKTOP),
    ("list-dark", "/console/records/billing/coworkerbookingcredits?from_CoworkerBookingCredit_RemainingCredit=20", "dark",
     DESKTOP),
)  # fmt: skip
"""Name, page, colours and window of each picture."""


async def take() -> None:
    """Writes every picture."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        database = f"sqlite:///{folder}/demo.db"
        loaded = subprocess.run(
            creditdesk_command("demo", "--uses", "5000", "--seed", "1", "--database", database),
            env=process_environment(), capture_output=True, text=True, check=True,
        )  # fmt: skip
        email, password = re.findall(r"(?:E-mail|Password):\s+(\S+)", loaded.stdout)[:2]
        server = ServerProcess(database, Path(folder) / "log.txt")
        await server.start()
        try:
            async with async_playwright() as playwright:
                browser = await launch(playwright)
                for name, path, scheme, window in SHOTS:
                    options: dict[str, Any] = {"color_scheme": scheme, "viewport": window}
                    async with visitor(browser, server.address, **options) as visiting:
                        page = await visiting.sign_in(email, password)
                        await page.goto(server.address + path)
                        await _fill_in(page)
                        await page.screenshot(path=PICTURES / f"{name}.png")
                await browser.close()
        finally:
            server.kill()


async def _fill_in(page: Page) -> None:
    """An amount at the spend desk, so that its picture has a preview."""
    if "/console/spend" in page.url:
        await page.get_by_label("Charge").fill("12.50")
        await page.locator("#preview table, #preview .problem").first.wait_for()


if __name__ == "__main__":
    asyncio.run(take())
