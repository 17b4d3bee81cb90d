"""Measurements and their statistics."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True, slots=True)
class Sample:
    """One sample: responses per second, two latencies, errors, other load, and the processor time of
    the server and the database for each response.
    """

    per_second: float
    p50_milliseconds: float
    p99_milliseconds: float
    errors: int = 0
    foreign_cores: float = 0.0
    server_cpu_microseconds: float = 0.0
    database_cpu_microseconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Measurement:
    """One path on one engine: alternating samples of the server and of its ceiling."""

    engine: str
    path: str
    title: str
    server: tuple[Sample, ...]
    ceiling: tuple[Sample, ...]

    @property
    def ratio(self) -> float | None:
        """The median over the rounds of the rate relative to the ceiling."""
        if not self.ceiling:
            return None
        return median(ours.per_second / best.per_second for ours, best in zip(self.server, self.ceiling, strict=True))


def rate(samples: Sequence[Sample]) -> float:
    return median(sample.per_second for sample in samples)


def spread(samples: Sequence[Sample]) -> float:
    """Half the distance from the slowest to the fastest, as a share of the median."""
    rates = [sample.per_second for sample in samples]
    return (max(rates) - min(rates)) / 2 / rate(samples)


def server_cpu(samples: Sequence[Sample]) -> float:
    return median(sample.server_cpu_microseconds for sample in samples)


def database_cpu(samples: Sequence[Sample]) -> float:
    return median(sample.database_cpu_microseconds for sample in samples)


def p50(samples: Sequence[Sample]) -> float:
    return median(sample.p50_milliseconds for sample in samples)


def p99(samples: Sequence[Sample]) -> float:
    return median(sample.p99_milliseconds for sample in samples)


def summarize(nanoseconds: list[int], lasted_seconds: float, errors: int = 0) -> Sample:
    """A sample from the duration of each response."""
    ordered = sorted(nanoseconds) or [0]

    def at(share: float) -> float:
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))] / 1e6

    return Sample(len(nanoseconds) / lasted_seconds, at(0.50), at(0.99), errors)
