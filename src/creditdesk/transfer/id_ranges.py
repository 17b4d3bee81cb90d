"""Ids as short text: neighbours are a range."""

from __future__ import annotations

from collections.abc import Iterator, Sequence


def format_id_ranges(ids: Sequence[int]) -> str:
    """Ids as text, neighbours as a range: `5-7,9`."""
    ranges: list[list[int]] = []
    for each in sorted(ids):
        if ranges and each == ranges[-1][1] + 1:
            ranges[-1][1] = each
        else:
            ranges.append([each, each])
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in ranges)


def parse_id_ranges(text: str) -> Iterator[int]:
    """The ids of `5-7,9`."""
    for part in text.split(",") if text else ():
        first, _, last = part.partition("-")
        yield from range(int(first), int(last or first) + 1)
