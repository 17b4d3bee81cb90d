"""A server with demo data on each engine, and one browser for the session."""

from __future__ import annotations

import re
import subprocess
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
import pytest_asyncio
from playwright.async_api import Browser, async_playwright

from tests.support.browser import Visitor, launch, visitor
from tests.support.server_process import ServerProcess, creditdesk_command, process_environment


@dataclass(frozen=True)
class ConsoleSite:
    """A running server: its address, and its administrator."""

    address: str
    email: str
    password: str

    def http(self) -> httpx.AsyncClient:
        """The API as the administrator, to look at what pages wrote."""
        return httpx.AsyncClient(base_url=self.address, auth=(self.email, self.password))


@pytest_asyncio.fixture(scope="session")
async def browser() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        launched = await launch(playwright)
        yield launched
        await launched.close()


@pytest_asyncio.fixture(scope="module")
async def site(database: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ConsoleSite]:
    """The demo of each engine, served by the real command."""
    loaded = subprocess.run(
        creditdesk_command("demo", "--uses", "300", "--seed", "1", "--database", database),
        env=process_environment(), capture_output=True, text=True, check=True, timeout=120,
    )  # fmt: skip
    found = re.search(r"E-mail:\s+(\S+)\s+Password:\s+(\S+)", loaded.stdout)
    assert found is not None, loaded.stdout
    server = ServerProcess(database, Path(tmp_path_factory.mktemp("server")) / "log.txt")
    await server.start()
    yield ConsoleSite(server.address, found[1], found[2])
    server.kill()


@pytest_asyncio.fixture
async def desk(browser: Browser, site: ConsoleSite) -> AsyncIterator[Visitor]:
    """A context that is not signed in yet."""
    async with visitor(browser, site.address) as opened:
        yield opened
