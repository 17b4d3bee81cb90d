"""Every field type is parsed from a file and written to one."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from enum import IntEnum
from typing import Any

import pytest

from creditdesk.schema.conversions import ParseError
from creditdesk.schema.fields import (
    FIELD_TYPES,
    Boolean,
    Collection,
    DateTime,
    Enum,
    Field,
    Guid,
    Integer,
    Money,
    Number,
    Object,
    Reference,
    Text,
)
from creditdesk.transfer.cell_values import (
    FAST_PARSERS,
    JSON_ENCODERS,
    blank_value,
    parse_value,
    to_cell,
    to_json,
)


class Shade(IntEnum):
    """An enum for the tests."""

    Light = 1
    Dark = 2


ID = "a1b2c3d4-e5f6-7890-abcd-ef1234567890"
EXAMPLES: list[tuple[Field, Any, Any, str]] = [
    (Text(), "a, “b”\nc", "a, “b”\nc", "a, “b”\nc"),
    (Guid(), ID, ID, ID),
    (Integer(), -7, -7, "-7"),
    (Money(), 125_001, Decimal("12.5001"), "12.5001"),
    (Number(), -1, Decimal("-0.00000001"), "-0.00000001"),
    (Boolean(), True, True, "true"),
    (Enum(of=Shade), 2, 2, "2"),
    (DateTime(), datetime(2026, 1, 2, 3, 4, 5, 600, UTC), "2026-01-02T03:04:05.0006Z",
     "2026-01-02T03:04:05.0006Z"),
    (Object(), {"Data": [1, "é"]}, {"Data": [1, "é"]}, '{"Data":[1,"é"]}'),
    (Reference("Business"), 4, 4, "4"),
    (Collection("Business"), (1, 2), [1, 2], "[1,2]"),
]  # fmt: skip


@pytest.mark.parametrize("raw", [
    *(in_json for _, _, in_json, _ in EXAMPLES), *(in_cell for *_, in_cell in EXAMPLES),
    *(None, "", 0, 1, -1, 2**63, 1.0, False, ID.upper(), "1", "2026-01-02T03:04:05Z"),
    *("2026-13-02T03:04:05Z", "2026-W01-1T03:04:05Z", "2026-01-02 03:04:05Z", "2026-01-02T03:04:05+"),
])  # fmt: skip
@pytest.mark.parametrize("kind", [kind for kind, *_ in EXAMPLES])
def test_fast_parser_agrees_with_full_parser(kind: Field, raw: Any) -> None:
    plain = FAST_PARSERS.get(type(kind))
    read = plain(kind, raw) if plain else ...
    if read is not ...:
        taken = parse_value(kind, raw).value
        assert (read, type(read)) == (taken, type(taken))


def test_every_field_type_has_an_encoder() -> None:
    assert set(JSON_ENCODERS) == set(FIELD_TYPES) == {type(kind) for kind, *_ in EXAMPLES}


@pytest.mark.parametrize(("kind", "inner", "in_json", "in_cell"), EXAMPLES)
def test_value_round_trips(kind: Field, inner: Any, in_json: Any, in_cell: str) -> None:
    assert to_json(kind, inner) == in_json
    assert to_cell(kind, inner) == in_cell
    assert parse_value(kind, in_json).value == inner
    assert parse_value(kind, in_cell).value == inner


@pytest.mark.parametrize("kind", [kind for kind, *_ in EXAMPLES if kind.nullable])
def test_null_is_empty_cell(kind: Field) -> None:
    assert to_json(kind, None) is None
    assert to_cell(kind, None) == ""
    assert blank_value(kind, cell=True) == kind.default_value
    assert blank_value(kind) == (() if isinstance(kind, Collection) else None)


@pytest.mark.parametrize(
    ("raw", "kept"),
    [("0.00005", 1), ("-0.00005", -1), (Decimal("0.00004999"), 0), ("99.99995", 1_000_000)],
)
def test_money_rounds_half_away_from_zero(raw: object, kept: int) -> None:
    taken = parse_value(Money(), raw)
    assert (taken.value, taken.rounded) == (kept, True)


@pytest.mark.parametrize("raw", ["", "12,50", "NaN", "1e99", True, "infinity"])
def test_non_numeric_money_is_rejected(raw: object) -> None:
    if raw == "":
        assert parse_value(Money(), raw).value is None
        return
    with pytest.raises(ParseError):
        parse_value(Money(), raw)
