"""Charts as SVG made on the server: they print, follow the theme, and need no script.

A table or figures beside each chart show the same; screen readers skip the drawing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

from babel import Locale
from babel.dates import format_skeleton
from markupsafe import Markup

WIDTH: Final = 1040
_TICK_WIDTH: Final = 70
"""The width of the name of a month."""

_MAX_TICKS: Final = 7
_MAX_NAME: Final = 26


@dataclass(frozen=True, slots=True)
class BalancePoint:
    """The balance from an instant until the next point."""

    at: datetime
    balance: Decimal


@dataclass(frozen=True, slots=True)
class CreditSpan:
    """One credit in a timeline: its window, and what of it is left, used and expired (0 to 1)."""

    name: str
    path: str
    starts: datetime
    ends: datetime | None
    left: float
    used: float
    is_expired: bool


def balance_chart(points: Sequence[BalancePoint], now: datetime, locale: Locale) -> Markup:
    """The balance of a credit as steps, from the first line until now."""
    if not points:
        return Markup("")
    height, width = 150, 340
    left, bottom, top = 44, height - 20, 10
    begins, ends = points[0].at, max(now, points[-1].at)
    span = max((ends - begins).total_seconds(), 1)
    highest = max((float(point.balance) for point in points), default=0) or 1

    def x(at: datetime) -> float:
        return left + (width - left - 6) * (at - begins).total_seconds() / span

    def y(balance: Decimal) -> float:
        return bottom - (bottom - top) * float(balance) / highest

    path = f"M{x(points[0].at):.1f} {y(points[0].balance):.1f}"
    for point in points[1:]:
        path += f"H{x(point.at):.1f}V{y(point.balance):.1f}"
    path += f"H{x(ends):.1f}"
    parts = [_grid_line(left, width, y(Decimal(str(value))), f"{value:g}") for value in (0, highest / 2, highest)]
    parts += [_tick(x(at), height - 5, _day(at, locale), anchor) for at, anchor in ((begins, "start"), (ends, "end"))]
    parts.append(Markup('<path class="balance" d="{}"/>').format(path))
    return _svg(width, height, parts)


def timeline_chart(spans: Sequence[CreditSpan], now: datetime, locale: Locale) -> Markup:
    """Credits as bars from grant to expiry; how much is left, used and expired fills each."""
    if not spans:
        return Markup("")
    row, label, top = 26, 186, 8
    height = top + row * len(spans) + 26
    begins = min(span.starts for span in spans)
    ends = max([now + timedelta(days=30), *(min(span.ends or now, now + timedelta(days=400)) for span in spans)])
    seconds = max((ends - begins).total_seconds(), 1)

    def x(at: datetime) -> float:
        inside = min(max(at, begins), ends)
        return label + (WIDTH - label - 8) * (inside - begins).total_seconds() / seconds

    parts = [Markup('<line class="grid" x1="{0:.1f}" x2="{0:.1f}" y1="{1}" y2="{2}"/>').format(x(at), top, height - 22)
             for at in _months(begins, ends)]  # fmt: skip
    parts += [
        _tick(x(at), height - 6, _month(at, locale), "start" if x(at) + _TICK_WIDTH < WIDTH else "end")
        for at in _months(begins, ends)
    ]
    for number, span in enumerate(spans):
        y = top + row * number
        parts.append(Markup('<text x="0" y="{}">{}</text>').format(y + 15, _short(span.name)))
        parts += _bar(span, x(span.starts), x(span.ends or ends), y)
    parts.append(
        Markup('<line class="now" x1="{0:.1f}" x2="{0:.1f}" y1="{1}" y2="{2}"/>').format(x(now), top - 6, height - 22)
    )
    return _svg(WIDTH, height, parts)


def _short(name: str) -> str:
    """A name that fits before the bars."""
    return name if len(name) <= _MAX_NAME else f"{name[: _MAX_NAME - 1].rstrip()}…"


def _bar(span: CreditSpan, begins: float, ends: float, y: float) -> list[Markup]:
    width = max(ends - begins, 3.0)
    used = width * span.used
    rest = "gone" if span.is_expired else "left"
    shapes = [("used", begins, used), (rest, begins + used, width - used)]
    return [
        Markup('<rect class="{}" x="{:.1f}" y="{}" width="{:.1f}" height="14" rx="2"/>').format(name, at, y + 4, wide)
        for name, at, wide in shapes
        if wide > 0
    ]


def _months(begins: datetime, ends: datetime) -> list[datetime]:
    """The first days of months, thinned out so that their names fit."""
    at = begins.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    found: list[datetime] = []
    while at <= ends:
        if at >= begins:
            found.append(at)
        at = (at + timedelta(days=32)).replace(day=1)
    step = -(-len(found) // _MAX_TICKS) or 1
    return found[::step]


def _grid_line(left: float, right: float, y: float, text: str) -> Markup:
    return Markup(
        '<line class="grid" x1="{0}" x2="{1}" y1="{2:.1f}" y2="{2:.1f}"/>'
        '<text x="{3}" y="{4:.1f}" text-anchor="end">{5}</text>'
    ).format(left, right, y, left - 6, y + 4, text)


def _tick(x: float, y: float, text: str, anchor: str) -> Markup:
    return Markup('<text x="{:.1f}" y="{}" text-anchor="{}">{}</text>').format(x, y, anchor, text)


def _day(at: datetime, locale: Locale) -> str:
    return format_skeleton("MMMd", at, locale=locale)


def _month(at: datetime, locale: Locale) -> str:
    return format_skeleton("yMMM", at, locale=locale)


def _svg(width: int, height: int, parts: Sequence[Markup]) -> Markup:
    content = Markup("").join(parts)
    return Markup('<svg class="chart" viewBox="0 0 {} {}" aria-hidden="true" focusable="false">{}</svg>').format(
        width, height, content
    )
