"""`verify` and the exports read one state of the ledger, whatever is committed meanwhile."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from creditdesk.audit import verify
from creditdesk.audit.verify import verify_ledger
from creditdesk.schema.repository import ReadSession, Store
from creditdesk.transfer.beancount import export_beancount
from creditdesk.transfer.export import export_records
from tests.support.ledger_builder import LedgerBuilder
from tests.support.progress import CollectingReporter

Write = Callable[[], Awaitable[Any]]


class InterleavingStore:
    """A store in which a write is committed before every statement of a read session."""

    def __init__(self, store: Store, write: Write, *, snapshot: bool = True) -> None:
        self.store, self.write, self.snapshot = store, write, snapshot
        self.writes = 0

    @asynccontextmanager
    async def read_session(self) -> AsyncIterator[ReadSession]:
        async with self.store.read_session(snapshot=self.snapshot) as session:
            yield _InterleavingSession(self, session)  # type: ignore[misc] # forwards every method


class _InterleavingSession:
    def __init__(self, store: InterleavingStore, session: ReadSession) -> None:
        self._store, self._session = store, session

    def __getattr__(self, name: str) -> Callable[..., Awaitable[Any]]:
        async def call(*arguments: Any, **named: Any) -> Any:
            result = await getattr(self._session, name)(*arguments, **named)
            self._store.writes += 1
            await self._store.write()
            return result

        return call


@pytest.fixture
async def credits_(ledger: LedgerBuilder) -> list[int]:
    return [await ledger.add_money_credit("1000.00") for _ in range(3)]


@pytest.fixture
def spend(ledger: LedgerBuilder, credits_: list[int]) -> Write:
    """Posts a use of every credit: balance, journal, uses and counters change together."""

    async def draw() -> None:
        for credit in credits_:
            await ledger.post_use(credit, "0.01")

    return draw


async def findings(store: Any) -> list[str]:
    report = CollectingReporter()
    await verify_ledger(store, report)
    return report.problems


async def test_verify_sees_no_half_of_a_spend(store: Store, spend: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verify, "VERIFY_BATCH_SIZE", 2)
    interleaving = InterleavingStore(store, spend)
    assert await findings(interleaving) == []
    assert interleaving.writes > 5
    # The same reads without a snapshot find differences, so the writes do come in between.
    assert await findings(InterleavingStore(store, spend, snapshot=False)) != []
    assert await findings(store) == []


async def test_export_sees_no_half_of_a_spend(store: Store, credits_: list[int], spend: Write, tmp_path: Path) -> None:
    await export_records(InterleavingStore(store, spend), tmp_path, CollectingReporter())  # type: ignore[arg-type] # reads only
    left = {
        record["Id"]: round(record["TotalCredit"] - record["RemainingCredit"], 2)
        for record in _lines(tmp_path / "coworkerbookingcredits.jsonl")
    }
    used = dict.fromkeys(credits_, 0.0)
    for record in _lines(tmp_path / "coworkerbookingcreditusehistories.jsonl"):
        if record["CoworkerBookingCreditId"] in used:
            used[record["CoworkerBookingCreditId"]] += record["CreditUsed"]
    assert {credit: round(amount, 2) for credit, amount in used.items()} == {
        credit: left[credit] for credit in credits_
    }


async def test_beancount_export_sees_no_half_of_a_spend(store: Store, spend: Write, tmp_path: Path) -> None:
    report = CollectingReporter()
    await export_beancount(InterleavingStore(store, spend), tmp_path / "ledger.beancount", report)  # type: ignore[arg-type] # reads only
    assert report.problems == []


def _lines(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()]
