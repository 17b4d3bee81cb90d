"""Reports as tables of a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import IO, Final

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from creditdesk.reports.documents import cell_text
from creditdesk.reports.result import Cell, CellType, ReportColumn, ReportFooter, ReportResult
from creditdesk.reports.values import Flow

WIDTH_OF_FILES: Final = 200
"""The number of characters of a line if the output is not a terminal."""

MIN_TEXT_WIDTH: Final = 10
"""The least width of a column of texts, which wrap."""

COLUMN_GAP: Final = 3
"""The number of characters between two columns."""

MIN_CHART_MONTHS: Final = 2
BAR_WIDTH: Final = 40
"""The number of characters of the longest bar of a chart."""

_CHARTED: Final = {"roll-forward": ("Month", "Closing"), "statement": ("LocalDate", "Balance")}
"""The reports with a chart: the column of the month, and that of the value at its end."""

_TOO_WIDE: Final = frozenset({"Action", "Key"})
"""Columns with texts that are too long for a terminal."""

_FLOWS: Final = frozenset(flow.value.title().replace("_", "") for flow in Flow)
"""Columns that are left out if nothing moved that way."""

_NUMBERS: Final = frozenset({CellType.AMOUNT, CellType.COUNT, CellType.PERCENT, CellType.ID})
_WHOLE: Final = _NUMBERS | {CellType.DATE, CellType.INSTANT}
"""Cells that never wrap."""


def print_report(result: ReportResult, file: IO[str]) -> None:
    """Prints a report with its sections, totals and footer, without empty columns."""
    console = Console(file=file, highlight=False, soft_wrap=False, width=None if file.isatty() else WIDTH_OF_FILES)
    console.print(Text(f"{result.title}: {result.subtitle}", style="bold"))
    console.print(Text(result.footer.period), end="\n\n")
    for section in result.sections:
        _print_rows(console, section.columns, section.rows, title=section.title)
    _print_rows(console, result.columns, result.rows, result.totals)
    for line in chart_lines(result):
        console.print(Text(line))
    for line in footer_texts(result.footer):
        console.print(Text(line, style="dim"))


def chart_lines(result: ReportResult) -> list[str]:
    """A bar for what was owed at the end of each month, by unit; none for fewer than two months."""
    if result.name not in _CHARTED:
        return []
    names = [column.name for column in result.columns]
    month_column, amount_column = _CHARTED[result.name]
    ends: dict[tuple[str, str], dict[str, Decimal]] = {}
    for row in result.rows:
        cells = dict(zip(names, row, strict=True))
        amount, month = cells[amount_column], cell_text(cells[month_column])[:7]
        if isinstance(amount, Decimal):
            months = ends.setdefault((str(cells["Kind"]), str(cells["Unit"])), {})
            # A statement's later balance replaces the one before; the groups of a month add up.
            months[month] = amount if result.name == "statement" else months.get(month, Decimal(0)) + amount
    lines: list[str] = []
    for (kind, unit), months in ends.items():
        most = max(months.values())
        if len(months) < MIN_CHART_MONTHS or most <= 0:
            continue
        lines.append(f"{kind} in {unit}, end of month")
        for month, amount in months.items():
            bar = "█" * max(0, round(amount * BAR_WIDTH / most))
            lines.append(f"  {month}  {bar:<{BAR_WIDTH}}  {amount:,f}")
        lines.append("")
    return lines


def footer_texts(footer: ReportFooter) -> list[str]:
    """The footer as sentences."""
    zones = ", ".join(f"{each.name} ({each.zone})" for each in footer.locations)
    checkpoint = f"checkpoint {footer.checkpoint}" if footer.checkpoint else "no checkpoint yet"
    variance = ", ".join(f"{unit} {cell_text(amount)}" for unit, amount in footer.variance)
    return [
        f"Locations: {zones or 'none'}",
        f"Known as of {cell_text(footer.known_as_of)}; {footer.entries} journal entries; {checkpoint}",
        f"Heads {footer.heads_digest}",
        *([f"Variance: {variance}"] if variance else []),
        *footer.notes,
    ]


def _print_rows(
    console: Console,
    columns: Sequence[ReportColumn],
    rows: Sequence[tuple[Cell, ...]],
    totals: Sequence[tuple[Cell, ...]] = (),
    title: str = "",
) -> None:
    """Prints a table, or one record after another if the terminal is too narrow for the numbers."""
    shown = [place for place, column in enumerate(columns) if _is_shown(column, [row[place] for row in rows])]
    equal = [place for place in shown if _is_equal([row[place] for row in rows], [row[place] for row in totals])]
    if common := ", ".join(f"{columns[place].title}: {_shown(rows[0][place])}" for place in equal):
        console.print(Text(common))
    different = [place for place in shown if place not in equal]
    if _least_width(columns, (*rows, *totals), different) <= console.width:
        console.print(_table(columns, rows, totals, different, title))
        return
    if title:
        console.print(Text(title, style="italic"))
    for row in (*rows, *totals):
        for place in different:
            if row[place] not in (None, ""):
                console.print(Text(f"{columns[place].title}: {_shown(row[place])}"))
        console.print()


def _least_width(columns: Sequence[ReportColumn], rows: Sequence[tuple[Cell, ...]], shown: Sequence[int]) -> int:
    """The least width of a terminal at which no number of the table is cut; texts wrap."""
    width = 0
    for place in shown:
        longest = max(len(text) for text in (columns[place].title, *(_shown(row[place]) for row in rows)))
        width += COLUMN_GAP + (longest if columns[place].type in _WHOLE else min(longest, MIN_TEXT_WIDTH))
    return width


def _is_shown(column: ReportColumn, cells: Sequence[Cell]) -> bool:
    if column.name in _TOO_WIDE:
        return False
    if column.name in _FLOWS:
        return any(cells)
    return any(cell not in (None, "") for cell in cells)


def _is_equal(cells: Sequence[Cell], totals: Sequence[Cell]) -> bool:
    """Whether all rows have the same text, so that one line above them can show it."""
    is_same = len(cells) > 1 and isinstance(cells[0], str) and len({*cells}) == 1
    return is_same and {*totals} <= {"", None, cells[0]}


def _table(
    columns: Sequence[ReportColumn],
    rows: Sequence[tuple[Cell, ...]],
    totals: Sequence[tuple[Cell, ...]],
    shown: Sequence[int],
    title: str,
) -> Table:
    table = Table(box=box.SIMPLE_HEAD, title=title or None, title_justify="left", show_footer=False, pad_edge=False)
    for place in shown:
        number = columns[place].type in _NUMBERS
        table.add_column(
            Text(columns[place].title),
            justify="right" if number else "left",
            overflow="fold",
            no_wrap=columns[place].type in _WHOLE,
        )
    for row in rows:
        table.add_row(*(Text(_shown(row[place])) for place in shown))
    if totals:
        table.add_section()
        for row in totals:
            table.add_row(*(Text(_shown(row[place]), style="bold") for place in shown))
    return table


def _shown(cell: Cell) -> str:
    match cell:
        case datetime():
            return f"{cell:%Y-%m-%d %H:%M}"
        case Decimal():
            return f"{cell:,f}"
        case _:
            return cell_text(cell)
