"""The page `/metrics`: the merged metrics of all processes of a server, in Prometheus' text format."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from threading import Thread
from typing import Final

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric as MetricFamily
from prometheus_client.registry import Collector

from creditdesk.telemetry.metrics import METRICS, Counter, Gauge, Histogram, Metric
from creditdesk.telemetry.slots import Labels, ProcessReading, SeriesKey, read_processes

_TICKS: Final = os.sysconf("SC_CLK_TCK")
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")


def serve_metrics(host: str, port: int, folder: Path, more: Callable[[], Iterable[MetricFamily]]) -> Thread:
    """Serves `/metrics` on a thread. `more` adds metrics that processes do not count.

    Raises OSError if the port is in use.
    """
    registry = CollectorRegistry()
    registry.register(ProcessesCollector(folder, more))
    _, thread = start_http_server(port, host, registry)
    return thread


class ProcessesCollector(Collector):
    """Merges the numbers of every process: counters of all processes, gauges of the running ones."""

    def __init__(self, folder: Path, more: Callable[[], Iterable[MetricFamily]] = lambda: ()) -> None:
        self._folder = folder
        self._more = more

    def describe(self) -> Iterable[MetricFamily]:
        return ()

    def collect(self) -> Iterator[MetricFamily]:
        processes = list(read_processes(self._folder))
        merged = _merge(processes)
        by_name: dict[str, dict[Labels, list[float]]] = defaultdict(dict)
        for (name, labels), values in merged.items():
            by_name[name][labels] = values
        for metric in METRICS.values():
            yield _family(metric, by_name[metric.name])
        yield from _process_families(processes)
        yield from self._more()


def _merge(processes: Iterable[ProcessReading]) -> dict[SeriesKey, list[float]]:
    merged: dict[SeriesKey, list[float]] = {}
    for process in processes:
        for key, values in process.series.items():
            metric = METRICS.get(key[0])
            if metric is None or (isinstance(metric, Gauge) and process.pid is None):
                continue
            total = merged.setdefault(key, [0.0] * metric.size)
            for place, value in enumerate(values):
                total[place] += value
    return merged


def _family(metric: Metric, series: dict[Labels, list[float]]) -> MetricFamily:
    if not metric.labels:
        series = series or {(): [0.0] * metric.size}
    if isinstance(metric, Histogram):
        histogram = HistogramMetricFamily(metric.name, metric.meaning, labels=metric.labels)
        for labels, values in sorted(series.items()):
            histogram.add_metric(labels, _cumulated(metric.buckets, values), values[-1])
        return histogram
    kind = CounterMetricFamily if isinstance(metric, Counter) else GaugeMetricFamily
    family = kind(metric.name, metric.meaning, labels=metric.labels)
    for labels, values in sorted(series.items()):
        family.add_metric(labels, values[0])
    return family


def _cumulated(buckets: Iterable[float], values: list[float]) -> list[tuple[str, float]]:
    total, result = 0.0, list[tuple[str, float]]()
    for bound, value in zip([*map(str, buckets), "+Inf"], values[:-1], strict=True):
        total += value
        result.append((bound, total))
    return result


def _process_families(processes: Iterable[ProcessReading]) -> Iterator[MetricFamily]:
    memory = GaugeMetricFamily(
        "creditdesk_process_resident_bytes", "Memory of each process that counts.", labels=["process"]
    )
    seconds = CounterMetricFamily(
        "creditdesk_process_cpu_seconds", "CPU time of each process that counts.", labels=["process"]
    )
    for process in processes:
        try:
            pages = Path(f"/proc/{process.pid}/statm").read_text().split()[1]
            # The name of the program, in brackets, may contain blanks.
            times = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[11:13]
        except OSError:
            continue
        memory.add_metric([str(process.number)], int(pages) * _PAGE)
        seconds.add_metric([str(process.number)], sum(map(int, times)) / _TICKS)
    yield memory
    yield seconds
