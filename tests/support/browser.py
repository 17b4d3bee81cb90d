"""Chromium for the tests of the console: found on this machine, confined to it, and listened to."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from playwright.async_api import Browser, BrowserContext, ConsoleMessage, Page, Playwright, Route

from creditdesk.settings import BROWSER_VARIABLE

ON_PATH = ("chromium", "chromium-headless-shell", "chromium-browser", "google-chrome")
NO_BROWSER = (
    f"The tests of the console need Chromium: name one in {BROWSER_VARIABLE}, or install the package `chromium`."
)
_INSTALL_SECONDS = 300
_REPORT_VIOLATIONS = """
document.addEventListener("securitypolicyviolation", (event) =>
  console.error("policy violation: " + event.violatedDirective + " " + event.blockedURI));
"""


def browser_path(playwright: Playwright) -> str:
    """The browser that the variable names, one on the path, Playwright's own, else Debian's package.

    Raises RuntimeError with one sentence where there is none.
    """
    named = os.environ.get(BROWSER_VARIABLE)
    own = playwright.chromium.executable_path
    found = named or _on_path() or (own if Path(own).exists() else None)
    if found is None and shutil.which("apt-get") and os.geteuid() == 0:
        # A fresh machine has no lists of packages, or old ones.
        for arguments in (("update",), ("install", "--yes", "chromium")):
            command = ["apt-get", "--quiet", *arguments]
            subprocess.run(command, capture_output=True, timeout=_INSTALL_SECONDS, check=False)
        found = _on_path()
    if found is None or not Path(found).exists():
        raise RuntimeError(NO_BROWSER)
    return found


def _on_path() -> str | None:
    return next((path for name in ON_PATH if (path := shutil.which(name))), None)


async def launch(playwright: Playwright) -> Browser:
    """A browser without a window; as root it runs without its sandbox, which needs another user."""
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    return await playwright.chromium.launch(executable_path=browser_path(playwright), args=arguments)


@dataclass
class Visitor:
    """One browser context at one server. `problems` has what no page may cause."""

    context: BrowserContext
    address: str
    problems: list[str] = field(default_factory=list)

    async def open_tab(self, path: str | None = None) -> Page:
        """A tab, at a page of the console."""
        page = await self.context.new_page()
        if path is not None:
            await page.goto(self.address + path)
        return page

    async def sign_in(self, email: str, password: str, first_path: str = "/console/") -> Page:
        """A tab that is signed in, at the first page of the user."""
        page = await self.open_tab("/console/sign-in")
        await page.get_by_label("E-mail").fill(email)
        await page.get_by_label("Password").fill(password)
        await page.get_by_role("button", name="Sign in").click()
        await page.wait_for_url(f"**{first_path}")
        return page


@asynccontextmanager
async def visitor(browser: Browser, address: str, **options: Any) -> AsyncIterator[Visitor]:
    """A context of its own that reaches this machine alone; problems fail the test when it ends."""
    context = await browser.new_context(**{"locale": "en-GB", "viewport": {"width": 1360, "height": 860}, **options})
    context.set_default_timeout(10_000)
    found = Visitor(context, address)

    async def only_here(route: Route) -> None:
        if urlsplit(route.request.url).hostname == "127.0.0.1":
            await route.continue_()
        else:
            found.problems.append(f"request to {route.request.url}")
            await route.abort()

    def note(message: ConsoleMessage) -> None:
        # The browser itself reports the status of a page that is refused on purpose.
        if message.type in ("error", "warning") and "the server responded with a status of 4" not in message.text:
            found.problems.append(f"console: {message.text}")

    await context.route("**/*", only_here)
    await context.add_init_script(_REPORT_VIOLATIONS)
    context.on("console", note)
    context.on("weberror", lambda error: found.problems.append(f"script: {error.error}"))
    try:
        yield found
    finally:
        await context.close()
    assert found.problems == [], found.problems
