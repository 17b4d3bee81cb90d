"""How a report is laid out on paper: a table for each kind and unit, without columns that are empty."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Final

from creditdesk.reports.documents import cell_text
from creditdesk.reports.local_texts import local_day, local_minute, local_number
from creditdesk.reports.result import Cell, CellType, ReportColumn, ReportResult, Wording, label, readable_cell

NUMBER_TYPES: Final = frozenset({CellType.AMOUNT, CellType.COUNT, CellType.PERCENT})
_ALWAYS: Final = frozenset({"Opening", "Closing", "Variance", "Amount", "Balance", "Outstanding"})
_NOT_ON_PAPER: Final = frozenset({"EntryId", "At", "MemberId", "Actor", "Key", "Action", "Recomputed", "CustomerId"})
_KIND_TITLES: Final = {"money": "Money", "time": "Time", "printing": "Printing"}
_UNIT_TITLES: Final = {"money": label("Money in {}"), "time": label("Time in {}"), "printing": label("Printing in {}")}


@dataclass(frozen=True, slots=True)
class PaperTable:
    """A table as texts; `numbers` are the positions of its right-aligned columns."""

    title: str
    headers: tuple[str, ...]
    numbers: tuple[int, ...]
    rows: tuple[tuple[str, ...], ...]
    totals: tuple[tuple[str, ...], ...] = field(default=())


def paper_tables(result: ReportResult) -> list[PaperTable]:
    """The report's rows, in a table for each kind and unit if it has such columns, else in one."""
    columns = result.columns
    units = _units(columns, result.rows)
    if units is None:
        return [_table("", columns, result.rows, result.wording, result.totals)]
    return [
        _table(
            _title(unit, result.wording),
            columns,
            _of_unit(columns, result.rows, unit),
            result.wording,
            _of_unit(columns, result.totals, unit),
        )
        for unit in units
    ]


def section_tables(result: ReportResult) -> list[PaperTable]:
    """The report's sections that have rows, each in one table."""
    return [
        _table(result.wording(each.title), each.columns, each.rows, result.wording, keeps_units=True)
        for each in result.sections
        if each.rows
    ]


def paper_text(cell: Cell, language: str) -> str:
    """A cell as people read it: grouped digits, a minus sign instead of a hyphen, instants to the minute in UTC."""
    match cell:
        case datetime():
            return local_minute(cell, language)
        case date():
            return local_day(cell, language)
        case Decimal():
            return local_number(cell, language)
        case _:
            return cell_text(cell)


def _place(columns: Sequence[ReportColumn], name: str) -> int | None:
    return next((place for place, column in enumerate(columns) if column.name == name), None)


def _units(columns: Sequence[ReportColumn], rows: Sequence[tuple[Cell, ...]]) -> list[tuple[Cell, Cell]] | None:
    kind, unit = _place(columns, "Kind"), _place(columns, "Unit")
    if kind is None or unit is None:
        return None
    return sorted({(row[kind], row[unit]) for row in rows}, key=lambda each: (str(each[0]), str(each[1])))


def _of_unit(
    columns: Sequence[ReportColumn], rows: Sequence[tuple[Cell, ...]], unit: tuple[Cell, Cell]
) -> tuple[tuple[Cell, ...], ...]:
    kind_place, unit_place = _place(columns, "Kind"), _place(columns, "Unit")
    assert kind_place is not None and unit_place is not None  # noqa: PT018 - both or neither
    return tuple(row for row in rows if (row[kind_place], row[unit_place]) == unit)


def _title(unit: tuple[Cell, Cell], worded: Wording) -> str:
    kind, name = str(unit[0]), str(unit[1])
    if not name:
        return worded(_KIND_TITLES.get(kind, kind))
    title = _UNIT_TITLES[kind]
    return worded(title.format(name if kind == "money" else f"{name}s"))


def _table(
    title: str,
    columns: Sequence[ReportColumn],
    rows: Sequence[tuple[Cell, ...]],
    worded: Wording,
    totals: Sequence[tuple[Cell, ...]] = (),
    *,
    keeps_units: bool = False,
) -> PaperTable:
    left_out = _NOT_ON_PAPER if keeps_units else _NOT_ON_PAPER | {"Kind", "Unit"}
    shown = [
        place
        for place, column in enumerate(columns)
        if column.name not in left_out and (column.name in _ALWAYS or any(_says_something(row[place]) for row in rows))
    ]
    return PaperTable(
        title,
        tuple(worded(columns[place].title) for place in shown),
        tuple(number for number, place in enumerate(shown) if columns[place].type in NUMBER_TYPES),
        tuple(tuple(_shown_text(columns[place], row[place], worded) for place in shown) for row in rows),
        tuple(tuple(_shown_text(columns[place], row[place], worded) for place in shown) for row in totals),
    )


def _shown_text(column: ReportColumn, cell: Cell, worded: Wording) -> str:
    return readable_cell(column.name, paper_text(cell, worded("en")), worded)


def _says_something(cell: Cell) -> bool:
    return cell not in (None, "", False) and not (isinstance(cell, Decimal) and not cell)
