"""No call, however odd, is answered with a 5xx, and the ledger verifies after all of them."""

from __future__ import annotations

import pytest

from creditdesk.audit.verify import verify_ledger
from creditdesk.demo.load import load_demo
from creditdesk.schema.progress import NullReporter
from creditdesk.schema.repository import Store
from tests.support.fuzz import DEMO_SEED, DEMO_USES, fuzz
from tests.support.progress import CollectingReporter


@pytest.fixture(scope="module")
async def records(store: Store) -> None:
    await load_demo(store, DEMO_USES, DEMO_SEED, NullReporter())


async def assert_no_failures(store: Store, calls: int, seed: int) -> None:
    report = await fuzz(store, calls, seed)
    assert report.failures == []
    assert report.calls > calls * 0.95
    assert report.statuses[200] > calls / 20
    assert report.statuses[400] > calls / 20
    problems = CollectingReporter()
    await verify_ledger(store, problems)
    assert problems.problems == []


@pytest.mark.usefixtures("records")
async def test_a_thousand_calls_are_answered(store: Store) -> None:
    await assert_no_failures(store, 1_000, seed=11)


@pytest.mark.deep
@pytest.mark.usefixtures("records")
@pytest.mark.parametrize("seed", range(5))
async def test_many_calls_are_answered(store: Store, seed: int) -> None:
    await assert_no_failures(store, 20_000, seed)
