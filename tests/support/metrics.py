"""Reads what this process has counted."""

from __future__ import annotations

from creditdesk.telemetry.metrics import SLOTS, Histogram, Metric


def counted(metric: Metric, *labels: str) -> float:
    """The number of a counter or gauge; of a histogram, how many values it has."""
    place = SLOTS.place(metric.name, labels, metric.size)
    values = SLOTS.values[place : place + metric.size].tolist()
    return sum(values[:-1]) if isinstance(metric, Histogram) else values[0]
