"""Numbers of several processes in one folder, and the page that merges them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from creditdesk.telemetry.exposition import ProcessesCollector
from creditdesk.telemetry.metrics import BATCH_REQUESTS, BATCH_WAITING, REQUESTS, Metric
from creditdesk.telemetry.slots import CAPACITY, ProcessSlots, read_processes

StartProcess = Callable[[], ProcessSlots]


@pytest.fixture
def process(tmp_path: Path) -> Iterator[Callable[[], ProcessSlots]]:
    """Starts one more process that counts."""
    started: list[ProcessSlots] = []

    def start() -> ProcessSlots:
        started.append(ProcessSlots())
        started[-1].attach(tmp_path)
        return started[-1]

    yield start
    for slots in started:
        slots.close()


def add(slots: ProcessSlots, metric: Metric, labels: tuple[str, ...], *values: float) -> None:
    place = slots.place(metric.name, labels, metric.size)
    for offset, value in enumerate(values):
        slots.values[place + offset] += value


def page(folder: Path) -> dict[tuple[str, str], float]:
    registry = CollectorRegistry()
    registry.register(ProcessesCollector(folder))
    text = generate_latest(registry).decode()
    return {
        (sample.name, ",".join(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_counters_of_all_processes_are_added(process: StartProcess, tmp_path: Path) -> None:
    first, second = process(), process()
    add(first, REQUESTS, ("GET", "/a", "200"), 3)
    add(second, REQUESTS, ("GET", "/b", "200"), 1)
    add(second, REQUESTS, ("GET", "/a", "200"), 2)
    found = page(tmp_path)
    assert found["creditdesk_http_requests_total", "GET,/a,200"] == 5
    assert found["creditdesk_http_requests_total", "GET,/b,200"] == 1
    assert {name for name, _ in found} >= {"creditdesk_process_resident_bytes", "creditdesk_process_cpu_seconds_total"}


def test_a_process_goes_on_where_an_ended_one_stopped(process: StartProcess, tmp_path: Path) -> None:
    first = process()
    add(first, REQUESTS, ("GET", "/a", "200"), 3)
    add(first, BATCH_WAITING, (), 7)
    first.close()
    found = page(tmp_path)
    assert found["creditdesk_http_requests_total", "GET,/a,200"] == 3
    assert found["creditdesk_batch_waiting", ""] == 0
    second = process()
    assert [reading.number for reading in read_processes(tmp_path)] == [0]
    add(second, REQUESTS, ("GET", "/c", "404"), 1)
    add(second, REQUESTS, ("GET", "/a", "200"), 1)
    assert page(tmp_path)["creditdesk_http_requests_total", "GET,/a,200"] == 4
    assert page(tmp_path)["creditdesk_http_requests_total", "GET,/c,404"] == 1


def test_histograms_are_cumulative(process: StartProcess, tmp_path: Path) -> None:
    add(process(), BATCH_REQUESTS, (), 4, 2, 0, 0, 0, 0, 0, 1, 99)
    found = page(tmp_path)
    assert [found["creditdesk_batch_size_bucket", bound] for bound in ("1.0", "2.0", "64.0", "+Inf")] == [4, 6, 6, 7]
    assert (found["creditdesk_batch_size_count", ""], found["creditdesk_batch_size_sum", ""]) == (7, 99)


def test_half_a_line_of_a_killed_process_is_passed_over(process: StartProcess, tmp_path: Path) -> None:
    first = process()
    add(first, REQUESTS, ("GET", "/a", "200"), 3)
    with (tmp_path / "0.series").open("ab") as file:
        file.write(b'["creditdesk_http')
    assert page(tmp_path)["creditdesk_http_requests_total", "GET,/a,200"] == 3
    first.close()
    second = process()
    add(second, REQUESTS, ("GET", "/b", "200"), 5)
    assert page(tmp_path)["creditdesk_http_requests_total", "GET,/b,200"] == 5


def test_series_beyond_the_capacity_take_no_place_of_another(process: StartProcess) -> None:
    slots = process()
    assert slots.place("first", (), CAPACITY // 2) > 1
    assert slots.place("second", (), CAPACITY) == 0
    assert slots.place("third", ()) > 1
