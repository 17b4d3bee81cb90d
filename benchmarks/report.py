"""The figures as a table on the screen and as a page of benchmarks/results."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Final

from benchmarks.machine import MAX_FOREIGN_CORES
from benchmarks.samples import (
    Measurement,
    Sample,
    database_cpu,
    p50,
    p99,
    rate,
    server_cpu,
    spread,
)

RESULTS: Final = Path(__file__).with_name("results")
"""Where measurements are kept."""

TARGET_RATIOS: Final = {
    "postgresql": {
        "list": 1.2, "credit": 1.2, "get": 1.2, "spend": 1.3, "keyed": 1.0, "hot": 4.0, "booking": 0.8, "served": 0.7,
    },
    "sqlite": {"list": 0.6, "credit": 0.6, "served": 0.7},
}  # fmt: skip
"""The least ratio that each path should have."""
_COLUMNS = (
    "path",
    "a second",
    "±",
    "p50 ms",
    "p99 ms",
    "CPU µs",
    "database CPU µs",
    "ceiling",
    "±",
    "p50 ms",
    "p99 ms",
    "ratio",
    "target",
)


def table_row(measured: Measurement) -> tuple[str, ...]:
    """The medians of one path."""
    database = database_cpu(measured.server)
    cells = [
        f"{measured.title} (`{measured.path}`)",
        *_cells(measured.server),
        f"{server_cpu(measured.server):.0f}",
        f"{database:.0f}" if database else "",
        *_cells(measured.ceiling),
    ]
    ratio, target = measured.ratio, TARGET_RATIOS[measured.engine].get(measured.path)
    return (*cells, f"{ratio:.2f}" if ratio else "", f"{target:.2f}" if target else "")


def _cells(samples: Sequence[Sample]) -> tuple[str, ...]:
    if not samples:
        return ("", "", "", "")
    return (
        f"{rate(samples):,.0f}",
        f"{spread(samples):.0%}",
        f"{p50(samples):.2f}",
        f"{p99(samples):.2f}",
    )


def screen_table(results: Iterable[Measurement]) -> str:
    rows = [_COLUMNS, *(table_row(measured) for measured in results)]
    widths = [max(len(cells[i]) for cells in rows) for i in range(len(_COLUMNS))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if i == 0 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(cells, widths, strict=True))
        )
        for cells in rows
    )


def render_page(results: Sequence[Measurement], facts: Sequence[str], command: str, now: datetime) -> str:
    """The page of one run."""
    parts = ["# Performance", "", "Method: benchmarks/README.md.", "", "## Measured", ""]
    parts += [f"Written by `{command}` on {now:%Y-%m-%d %H:%M} UTC.", ""]
    parts += [f"- {fact}" for fact in facts]
    for engine in dict.fromkeys(measured.engine for measured in results):
        found = [measured for measured in results if measured.engine == engine]
        parts += ["", f"### {engine}", "", *markdown(_COLUMNS, [table_row(m) for m in found])]
    parts += ["", "## Every sample", ""]
    parts += [
        f"In the order taken. *Other load* is the cores that processes other than ours kept busy; "
        f"above {MAX_FOREIGN_CORES} a sample is taken again, and the quietest is kept.",
        "",
    ]
    columns = ("engine", "path", "of", "a second", "p50 ms", "p99 ms", "errors", "other load")
    parts += markdown(columns, [cells for m in results for cells in _sample_rows(m)])
    return "\n".join(parts) + "\n"


def _sample_rows(measured: Measurement) -> Iterable[tuple[str, ...]]:
    for name, samples in (("server", measured.server), ("ceiling", measured.ceiling)):
        for s in samples:
            yield (
                measured.engine, measured.path, name, f"{s.per_second:,.1f}",
                f"{s.p50_milliseconds:.3f}", f"{s.p99_milliseconds:.3f}", str(s.errors),
                f"{s.foreign_cores:.2f}",
            )  # fmt: skip


def markdown(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """A Markdown table."""
    lines = [f"| {' | '.join(columns)} |", f"|{'---|' * len(columns)}"]
    return [*lines, *(f"| {' | '.join(cells)} |" for cells in rows)]
