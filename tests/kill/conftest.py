"""The desk of tests/bugs, over a store whose connection can be cut."""

from __future__ import annotations

import pytest
from starlette.applications import Starlette
from tests.bugs.conftest import (  # noqa: F401 - pytest finds its fixtures by these names
    admin_token,
    clock,
    desk,
    open_desk,
    town,
)
from tests.bugs.desk import Clock
from tests.kill.cutting import Cutting

from creditdesk.app import build_app
from creditdesk.schema.store import Store
from creditdesk.settings import Settings


@pytest.fixture(scope="module")
def cutting(store: Store) -> Cutting:
    return Cutting(store)


@pytest.fixture(scope="module")
def app(cutting: Cutting, clock: Clock) -> Starlette:  # noqa: F811 - the fixture imported above
    """The application over a connection that can be cut."""
    return build_app(cutting, Settings(), clock)
