"""Metrics that are read from the database: scheduled jobs, open holds, checkpoints, free disk space."""

from __future__ import annotations

import asyncio
import shutil
import threading
import time
from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric

from creditdesk.cli.database import open_database
from creditdesk.entities.ledger.hold import Hold
from creditdesk.entities.ledger.stored_checkpoint import StoredCheckpoint
from creditdesk.entities.states import HoldState
from creditdesk.scheduler.runner import JobResult, load_job_results
from creditdesk.schema.query import Order, where
from creditdesk.schema.repository import Store
from creditdesk.storage.engine import schema_version
from creditdesk.storage.migrations import LATEST_VERSION
from creditdesk.storage.urls import sqlite_file

READ_SECONDS: Final = 5.0
"""The time between two readings, in seconds."""


class DatabaseMetrics:
    """Reads the metrics on a thread of its own; `families` returns those of the last reading.

    While the database cannot be read, the only metric is `creditdesk_database_up`, which is 0.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._families: list[Metric] = [_gauge("creditdesk_database_up", _UP, 0)]
        self._thread = threading.Thread(target=self._read_for_ever, name="database metrics", daemon=True)

    def families(self) -> Iterable[Metric]:
        return self._families

    def start(self) -> None:
        self._thread.start()

    def _read_for_ever(self) -> None:
        while True:
            self._families = asyncio.run(self._read())
            time.sleep(READ_SECONDS)

    async def _read(self) -> list[Metric]:
        found: list[Metric] = []
        # Whatever the driver raises, the database cannot be read.
        with suppress(Exception):
            found += disk_families(self._url)
            async with asyncio.timeout(READ_SECONDS), open_database(self._url) as store:
                return [_gauge("creditdesk_database_up", _UP, 1), *found, *await ledger_families(store)]
        return [_gauge("creditdesk_database_up", _UP, 0), *found]


_UP: Final = "Whether the database could be read by the server, 1 or 0."


async def ledger_families(store: Store) -> list[Metric]:
    """The metrics of a database, including those without a value."""
    now = datetime.now(UTC)
    results = await load_job_results(store)
    newest_first = Order(StoredCheckpoint.meta().columns["Id"], descending=True)
    async with store.read_session() as session:
        open_holds = await session.count(Hold, where(Hold, State=HoldState.HELD.value))
        checkpoints = await session.find(StoredCheckpoint, (), newest_first, 1, columns=("CreatedOn",))
    age = GaugeMetricFamily("creditdesk_checkpoint_age_seconds", "Seconds since the newest checkpoint was signed.")
    if checkpoints:
        age.add_metric((), (now - checkpoints[0]["CreatedOn"]).total_seconds())
    return [
        _gauge("creditdesk_open_holds", "Holds that are neither confirmed nor released.", open_holds),
        _gauge("creditdesk_schema_version", "Number of the schema that this program serves.", LATEST_VERSION),
        _gauge(
            "creditdesk_database_schema_version", "Number of the schema of the database.", await schema_version(store)
        ),
        age,
        *_job_families(results.values()),
    ]


def _job_families(results: Iterable[JobResult]) -> list[Metric]:
    started = GaugeMetricFamily(
        "creditdesk_job_last_start_timestamp_seconds", "When a scheduled job last began.", labels=["job"]
    )
    succeeded_on = GaugeMetricFamily(
        "creditdesk_job_last_success_timestamp_seconds",
        "When the last run of a scheduled job that succeeded ended.",
        labels=["job"],
    )
    failed = GaugeMetricFamily(
        "creditdesk_job_failed",
        "Whether the last finished run of a scheduled job failed, 1 or 0; that of `verify` fails if it finds a problem.",
        labels=["job"],
    )
    for result in results:
        started.add_metric([result.name], result.started.timestamp())
        if result.succeeded_on is not None:
            succeeded_on.add_metric([result.name], result.succeeded_on.timestamp())
        if result.succeeded is not None:
            failed.add_metric([result.name], 0 if result.succeeded else 1)
    return [started, succeeded_on, failed]


def disk_families(url: str) -> Iterable[Metric]:
    """The disk of a SQLite file; nothing for PostgreSQL."""
    file = sqlite_file(url)
    if file:
        usage = shutil.disk_usage(Path(file).resolve().parent)
        yield _gauge("creditdesk_disk_free_bytes", "Free space beside the SQLite file.", usage.free)
        yield _gauge("creditdesk_disk_size_bytes", "Size of the disk with the SQLite file.", usage.total)


def _gauge(name: str, meaning: str, value: float) -> Metric:
    return GaugeMetricFamily(name, meaning, value=value)
