"""Numbers with decimal commas and dates in the order of a country are read when asked for."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from creditdesk.schema.conversions import ParseError
from creditdesk.schema.fields import DateTime, Integer, Money, Text
from creditdesk.transfer.cell_values import parse_value
from creditdesk.transfer.file_format import FileFormat

EUROPEAN, DAY_FIRST, MONTH_FIRST = (
    FileFormat(numbers="european"),
    FileFormat(dates="dmy"),
    FileFormat(dates="mdy"),
)
LAST_DAY = datetime(2026, 12, 31, tzinfo=UTC)


@pytest.mark.parametrize(
    ("form", "field", "raw", "value"),
    [
        (EUROPEAN, Money(), "1.234,50", 12_345_000),
        (EUROPEAN, Money(), "-0,5", -5_000),
        (EUROPEAN, Money(), 12.5, 125_000),
        (EUROPEAN, Integer(), "1.000", 1000),
        (EUROPEAN, Text(), "1.000", "1.000"),
        (DAY_FIRST, DateTime(), "31/12/2026", LAST_DAY),
        (DAY_FIRST, DateTime(), "31.12.2026 00:00", LAST_DAY),
        (DAY_FIRST, DateTime(), "2026-12-31", LAST_DAY),
        (MONTH_FIRST, DateTime(), "12/31/2026", LAST_DAY),
    ],
)
def test_value_is_read_in_its_format(form: FileFormat, field: Any, raw: object, value: object) -> None:
    assert parse_value(field, form.normalize(field, raw)).value == value


@pytest.mark.parametrize(
    ("form", "field", "raw"),
    [
        (EUROPEAN, Money(), "12.5"),
        (EUROPEAN, Money(), "1,234.50"),
        (EUROPEAN, Money(), "1_000"),
        (DAY_FIRST, DateTime(), "12/31/2026"),
        (MONTH_FIRST, DateTime(), "31/12/2026"),
        (DAY_FIRST, DateTime(), "31/12/26"),
        (FileFormat(), DateTime(), "01/02/2026"),
        (FileFormat(), Money(), "1,000"),
    ],
)
def test_value_in_another_form_is_refused(form: FileFormat, field: Any, raw: object) -> None:
    with pytest.raises(ParseError):
        parse_value(field, form.normalize(field, raw))
