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

WIDTH_OF_FILES: Final = 200
"""Characters of a line where the output is no terminal."""

MIN_CHART_MONTHS: Final = 2
BAR_WIDTH: Final = 40
"""Characters of the longest bar of a chart."""

_CHARTED: Final = {"roll-forward": ("Month", "Closing"), "statement": ("LocalDate", "Balance")}
"""Of the reports with a chart: the column that gives the month, and the one whose value its end has."""

_TOO_WIDE: Final = frozenset({"Action", "Key"})
"""Columns of texts that only files and JSON have room for."""

_NUMBERS: Final = frozenset({CellType.AMOUNT, CellType.COUNT, CellType.PERCENT, CellType.ID})


def print_report(result: ReportResult, file: IO[str]) -> None:
    """Prints a report with its sections, totals and footer; columns without a value are left out."""
    console = Console(file=file, highlight=False, soft_wrap=False, width=None if file.isatty() else WIDTH_OF_FILES)
    console.print(Text(f"{result.title}: {result.subtitle}", style="bold"))
    console.print(Text(result.footer.period), end="\n\n")
    for section in result.sections:
        console.print(_table(section.columns, section.rows, title=section.title))
    console.print(_table(result.columns, result.rows, result.totals))
    for line in chart_lines(result):
        console.print(Text(line))
    for line in footer_texts(result.footer):
        console.print(Text(line, style="dim"))


def chart_lines(result: ReportResult) -> list[str]:
    """A bar for what was owed at the end of each month, by unit; none for less than two months."""
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


def _table(
    columns: Sequence[ReportColumn],
    rows: Sequence[tuple[Cell, ...]],
    totals: Sequence[tuple[Cell, ...]] = (),
    title: str = "",
) -> Table:
    shown = [
        place
        for place, column in enumerate(columns)
        if column.name not in _TOO_WIDE and any(row[place] not in (None, "") for row in rows)
    ]
    table = Table(box=box.SIMPLE_HEAD, title=title or None, title_justify="left", show_footer=False, pad_edge=False)
    for place in shown:
        number = columns[place].type in _NUMBERS
        table.add_column(Text(columns[place].title), justify="right" if number else "left", overflow="fold")
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
