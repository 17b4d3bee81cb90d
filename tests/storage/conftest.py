"""Databases of the storage tests."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.support.databases import create_postgres_database, drop_postgres_database


@pytest_asyncio.fixture(params=("sqlite", "postgresql"))
async def empty(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[str]:
    """The URL of an empty database."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'new.db'}"
        return
    yield request.getfixturevalue("empty_postgres")


@pytest.fixture
def empty_postgres(postgres_server: str) -> Iterator[str]:
    """The URL of an empty PostgreSQL database, for what SQLite has no case of."""
    url = create_postgres_database(postgres_server)
    yield url
    drop_postgres_database(postgres_server, url)
