"""The period of a report: inclusive local dates or instants, which a location's clock turns into cuts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

from creditdesk.ledger.journal.entry import epoch_microseconds
from creditdesk.ledger.rules.calendar import add_months, start_of_day
from creditdesk.reports.values import BEGINNING, END_OF_TIME, Cut
from creditdesk.schema.conversions import ParseError, parse_datetime

Moment = date | datetime
"""A whole local date, or an instant."""

MIN_REPORT_YEAR: Final = 1900
MAX_REPORT_YEAR: Final = 9998
_DAY: Final = timedelta(days=1)


def parse_moment(text: str) -> Moment:
    """A date, or an instant where the text has a time. Raises ParseError."""
    instant, precision = parse_datetime(text)
    if not MIN_REPORT_YEAR <= instant.year <= MAX_REPORT_YEAR:
        raise ParseError(f"must be in the years {MIN_REPORT_YEAR} to {MAX_REPORT_YEAR}")
    return instant.date() if precision == _DAY else instant


@lru_cache(maxsize=1024)
def start_cut(moment: Moment | None, zone: ZoneInfo) -> Cut:
    """The cut before a moment: before the local date begins, or before the instant. None: before every entry."""
    if moment is None:
        return Cut(BEGINNING, BEGINNING)
    instant = epoch_microseconds(_start_of(moment, zone))
    return Cut(instant, instant)


@lru_cache(maxsize=1024)
def end_cut(moment: Moment | None, zone: ZoneInfo, now: datetime) -> Cut:
    """The cut after a moment: after the local date, or after the instant and what was recorded at it.

    None: now, after every entry.
    """
    if moment is None:
        return Cut(END_OF_TIME, epoch_microseconds(now))
    if isinstance(moment, datetime):
        instant = epoch_microseconds(moment)
        return Cut(instant + 1, instant)
    return start_cut(moment + _DAY, zone)


@dataclass(frozen=True, slots=True)
class MonthSlice:
    """A calendar month, or the part of it that is in a period."""

    label: str
    starts: Moment | None
    ends: Moment | None


def month_slices(starts: date, ends: date) -> Iterator[MonthSlice]:
    """The months of a period of inclusive dates; the first and the last are cut to the period."""
    first = starts
    while first <= ends:
        following = add_months(first.replace(day=1), 1)
        last = min(ends, following - _DAY)
        yield MonthSlice(f"{first:%Y-%m}", first, last)
        first = following


def _start_of(moment: Moment, zone: ZoneInfo) -> datetime:
    return moment if isinstance(moment, datetime) else start_of_day(moment, zone)
