"""Packed rows unpack to the same values."""

from __future__ import annotations

import sqlite3
from typing import Any

import pytest

from creditdesk.storage.dialects import MAX_PACKED_VALUES, SQLite

AWKWARD: list[Any] = [
    None, 0, -1, 2**63 - 1, -(2**63), 2**53 + 1, "", " ", "null", "1", "[1]", '{"a": 1}', '"', "\\",
    "\\u0041", "a\nb\tc\rd\be\ff", "\x01\x1f\x7f", "\u2028", "naïve ß İ", "👩🏽‍💻", "\ue000\uffff", "x" * 100_000,
]  # fmt: skip


def through(values: list[Any]) -> list[Any]:
    """Values after binding, packing, fetching behind another column, and unpacking."""
    packed = SQLite().pack_row([f"?{position}" for position in range(1, len(values) + 1)])
    rows = sqlite3.connect(":memory:").execute(f"SELECT 'total', {packed}", values).fetchall()
    [row] = SQLite().unpack_rows(rows, 1)
    return list(row)


@pytest.mark.parametrize("value", AWKWARD, ids=lambda value: ascii(value)[:20])
def test_packed_value_is_unchanged(value: Any) -> None:
    assert through([value]) == [value]


@pytest.mark.parametrize("width", [1, MAX_PACKED_VALUES - 1, MAX_PACKED_VALUES, MAX_PACKED_VALUES + 1, 250])
def test_packed_row_of_any_width_keeps_its_order(width: int) -> None:
    values = [AWKWARD[position % len(AWKWARD)] for position in range(width)]
    assert through(values) == values
