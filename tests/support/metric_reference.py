"""Every metric that a server has, as the reference page and the checks of dashboards need them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from prometheus_client.metrics_core import Metric

from creditdesk.cli.database_metrics import DatabaseMetrics, disk_families, ledger_families
from creditdesk.storage.engine import open_store
from creditdesk.telemetry.exposition import ProcessesCollector
from creditdesk.telemetry.metrics import METRICS


@dataclass(frozen=True, slots=True)
class DocumentedMetric:
    """A metric by the name that queries use."""

    name: str
    kind: str
    labels: tuple[str, ...]
    meaning: str

    @property
    def series(self) -> set[str]:
        """The names of its series."""
        if self.kind == "histogram":
            return {f"{self.name}_{part}" for part in ("bucket", "sum", "count")}
        return {self.name}


def documented_metrics() -> list[DocumentedMetric]:
    """The metrics of processes, then those of the database."""
    return [
        DocumentedMetric(
            f"{family.name}_total" if family.type == "counter" else family.name,
            family.type,
            METRICS[family.name].labels if family.name in METRICS else tuple(family._labelnames),  # type: ignore[attr-defined]
            family.documentation,
        )
        for family in _families()
    ]


def _families() -> Iterator[Metric]:
    with TemporaryDirectory() as folder:
        yield from ProcessesCollector(Path(folder)).collect()
        url = f"sqlite:///{folder}/empty.db"
        yield from DatabaseMetrics(url).families()
        yield from disk_families(url)
        yield from asyncio.run(_ledger(url))


async def _ledger(url: str) -> list[Metric]:
    store = await open_store(url, migrated=True)
    try:
        return await ledger_families(store)
    finally:
        await store.close()
