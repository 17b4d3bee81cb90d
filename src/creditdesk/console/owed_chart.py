"""The chart of what was owed at the end of each month: stacked bars by funding."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final

from babel import Locale
from babel.dates import format_skeleton
from babel.numbers import format_decimal
from markupsafe import Markup

from creditdesk.console.translations import mark

PAID, PLAN, GOODWILL, OTHER = "paid", "plan", "goodwill", "other"
SERIES: Final = {PAID: mark("Paid"), PLAN: mark("Plan"), GOODWILL: mark("Goodwill"), OTHER: mark("Migrated or unknown")}
_WIDTH: Final = 1040
_HEIGHT: Final = 220
_LEFT: Final = 64
_GRID_STEPS: Final = 4
_STEPS: Final = tuple(map(Decimal, ("1", "1.2", "1.6", "2", "2.4", "3", "4", "5", "6", "8", "10")))


@dataclass(frozen=True, slots=True)
class OwedMonth:
    """What was owed at the end of a month such as 2026-10, by series."""

    month: str
    amounts: Mapping[str, Decimal]

    @property
    def total(self) -> Decimal:
        return sum(self.amounts.values(), Decimal(0))


def owed_by_month(rows: Iterable[Mapping[str, Any]], months: Sequence[str]) -> dict[str, list[OwedMonth]]:
    """The closing amounts of a roll-forward by unit, summed over locations, for every month."""
    sums: dict[str, dict[tuple[str, str], Decimal]] = defaultdict(lambda: defaultdict(Decimal))
    for row in rows:
        series = row["Funding"] if row["Funding"] in SERIES else OTHER
        sums[row["Unit"]][row["Month"], series] += Decimal(row["Closing"])
    return {
        unit: [OwedMonth(month, {name: amounts[month, name] for name in SERIES}) for month in months]
        for unit, amounts in sorted(sums.items())
    }


def owed_chart(months: Sequence[OwedMonth], locale: Locale) -> Markup:
    """A bar for each month. Overdrawn credit, which is below zero, is left to the table."""
    highest = _round_up(max((month.total for month in months), default=Decimal(0)))
    bottom, top = _HEIGHT - 24, 8
    step = Decimal(_WIDTH - _LEFT) / max(len(months), 1)

    def y(amount: Decimal) -> Decimal:
        return bottom - (bottom - top) * amount / highest

    parts = [_grid(y(highest * n / _GRID_STEPS), highest * n / _GRID_STEPS, locale) for n in range(_GRID_STEPS + 1)]
    for number, month in enumerate(months):
        x, base = _LEFT + step * number + step / 6, Decimal(0)
        for place, name in enumerate(SERIES, 1):
            amount = max(month.amounts[name], Decimal(0))
            if amount:
                parts.append(
                    Markup('<rect class="series-{}" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}"/>').format(
                        place, x, y(base + amount), step * 2 / 3, y(base) - y(base + amount)
                    )
                )
            base += amount
        if number % 3 == 0:
            parts.append(
                Markup('<text x="{:.1f}" y="{}">{}</text>').format(x, _HEIGHT - 6, month_text(month.month, locale))
            )
    return Markup('<svg class="chart" viewBox="0 0 {} {}" aria-hidden="true" focusable="false">{}</svg>').format(
        _WIDTH, _HEIGHT, Markup("").join(parts)
    )


def month_text(month: str, locale: Locale) -> str:
    """A month such as 2026-10 in words."""
    return format_skeleton("yMMM", datetime.fromisoformat(f"{month}-01").replace(tzinfo=UTC), locale=locale)


def _round_up(amount: Decimal) -> Decimal:
    """The next round number whose quarters are short numbers too."""
    if amount <= 0:
        return Decimal(1)
    power = Decimal(10) ** amount.adjusted()
    return next(step * power for step in _STEPS if step * power >= amount)


def _grid(y: Decimal, value: Decimal, locale: Locale) -> Markup:
    return Markup(
        '<line class="grid" x1="{0}" x2="{1}" y1="{2:.1f}" y2="{2:.1f}"/>'
        '<text x="{3}" y="{4:.1f}" text-anchor="end">{5}</text>'
    ).format(_LEFT, _WIDTH, y, _LEFT - 8, y + 4, format_decimal(value, "#,##0.##", locale))
