"""The desk of tests/regression, over a store whose connection can be cut."""

from __future__ import annotations

import pytest
from starlette.types import ASGIApp

from creditdesk.app import build_app
from creditdesk.schema.repository import Store
from creditdesk.settings import Settings
from tests.crash.failing_store import FailingStore
from tests.regression.conftest import (  # noqa: F401 - pytest finds its fixtures by these names
    admin_token,
    clock,
    desk,
    open_desk,
    town,
)
from tests.regression.desk import AdjustableClock


@pytest.fixture(scope="module")
def cutting(store: Store) -> FailingStore:
    return FailingStore(store)


@pytest.fixture(scope="module")
def app(cutting: FailingStore, clock: AdjustableClock) -> ASGIApp:  # noqa: F811 - the fixture imported above
    """The application over a connection that can be cut."""
    return build_app(cutting, Settings(), clock)
