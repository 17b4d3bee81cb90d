"""The tables of a report on a page: typed cells, a group of rows for each unit, and links behind the figures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final
from urllib.parse import urlencode

from markupsafe import Markup

from creditdesk.console.formats import ABSENT
from creditdesk.console.journal_table import CREDIT_ENTITIES, LINE_TITLES
from creditdesk.console.line_facts import FUNDING_TEXTS
from creditdesk.console.links import record_path
from creditdesk.console.member.words import unit_words
from creditdesk.console.page import ConsolePage
from creditdesk.console.report_figures import cohort_query, figure_query
from creditdesk.console.report_forms import KIND_TEXTS
from creditdesk.entities.spaces.coworker import Coworker
from creditdesk.reports.result import readable_cell

_NUMBERS: Final = frozenset({"amount", "count", "percent"})
_ALWAYS: Final = frozenset({"Opening", "Closing", "Variance", "Amount", "Balance", "Outstanding"})
_NOT_SHOWN: Final = frozenset({"EntryId", "At", "Key", "Recomputed", "ValueCurrency"})
_NAMED_BY: Final = {"CustomerId": "Customer", "CreditId": "CreditName"}
"""Ids that are shown as the link of a name column, if the report has one."""
_MONEY_VALUES: Final = frozenset({"PricePaid", "Value"})
_NOT_RESULTS: Final = _NOT_SHOWN | _MONEY_VALUES | {"Variance"}
_CODES: Final = {"Kind": KIND_TEXTS, "Funding": FUNDING_TEXTS, "Verb": LINE_TITLES}
MOVEMENTS_PATH: Final = "/console/reports/movements"
BREAKAGE_PATH: Final = "/console/reports/breakage"


@dataclass(frozen=True, slots=True)
class ReportHeading:
    """A column: its title, its meaning, and whether its cells are right-aligned."""

    title: str
    description: str
    numeric: bool


@dataclass(frozen=True, slots=True)
class ReportCell:
    """A cell; `path` is the page of the record, or of the lines that the figure adds up."""

    text: Markup | str
    numeric: bool
    path: str = ""
    hint: str = ""
    is_zero: bool = False


@dataclass(frozen=True, slots=True)
class RowGroup:
    """Rows of one kind and unit with their total; without a title, all rows."""

    title: str
    rows: list[list[ReportCell]]
    totals: list[list[ReportCell]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class ReportTable:
    """A table as it is rendered; `total` counts the rows that the report has."""

    title: str
    headings: list[ReportHeading]
    groups: list[RowGroup]
    total: int

    @property
    def shown(self) -> int:
        return sum(len(group.rows) for group in self.groups)


@dataclass(frozen=True, slots=True)
class ReportReader:
    """Turns a report's document into tables; `requested` are the parameters that the API was given."""

    page: ConsolePage
    name: str
    document: Mapping[str, Any]
    requested: Mapping[str, str]

    def table(self, *, units_together: bool) -> ReportTable:
        """The rows and totals of the report."""
        document = self.document
        return self._table("", document, document["Rows"], document["Totals"], units_together=units_together)

    def sections(self) -> list[ReportTable]:
        """The further tables that have rows."""
        return [
            self._table(self._translated(each["Title"]), each, each["Rows"], [], units_together=False)
            for each in self.document["Sections"]
            if each["Rows"]
        ]

    def _table(
        self, title: str, source: Mapping[str, Any], rows: Sequence[Any], totals: Sequence[Any], *, units_together: bool
    ) -> ReportTable:
        columns = _shown_columns(source["Columns"], [*rows, *totals], units_together=units_together)
        headings = [
            ReportHeading(self._translated(c["Title"]), self._translated(c["Description"]), c["Type"] in _NUMBERS)
            for c in columns
        ]
        is_whole = source["RowCount"] == len(rows)
        if units_together or not _has_units(source["Columns"]):
            groups = [RowGroup("", self._rows(columns, rows), self._rows(columns, totals))]
        else:
            units = sorted({_unit(row) for row in (*rows, *(() if not is_whole else totals))})
            groups = [
                RowGroup(
                    self._unit_title(unit),
                    self._rows(columns, [row for row in rows if _unit(row) == unit]),
                    self._rows(columns, [row for row in totals if is_whole and _unit(row) == unit]),
                )
                for unit in units
            ]
        return ReportTable(title, headings, groups, source["RowCount"])

    def totals(self) -> list[tuple[str, str, ReportCell]]:
        """The result in each total of a report with several pages: unit, title and amount."""
        columns = [c for c in self.document["Columns"] if c["Type"] == "amount" and c["Name"] not in _NOT_RESULTS]
        found: list[tuple[str, str, ReportCell]] = []
        for row in self.document["Totals"]:
            # The result is the last amount column that has a total.
            column = next((c for c in reversed(columns) if row.get(c["Name"])), None)
            if column is not None:
                cell = self._cell(column, row)
                found.append((self._unit_title(_unit(row)), self._translated(column["Title"]), cell))
        return found

    def _translated(self, text: str) -> str:
        return self.page.wording(text)

    def _unit_title(self, unit: tuple[str, str]) -> str:
        kind, name = unit
        return (
            f"{self.page.translate(KIND_TEXTS.get(kind, kind))}, {self.page.translate(unit_words(name))}"
            if name
            else kind
        )

    def _rows(self, columns: Sequence[Mapping[str, str]], rows: Sequence[Mapping[str, Any]]) -> list[list[ReportCell]]:
        return [[self._cell(column, row) for column in columns] for row in rows]

    def _cell(self, column: Mapping[str, str], row: Mapping[str, Any]) -> ReportCell:
        name, kind = column["Name"], column["Type"]
        value, numeric = row.get(name), kind in _NUMBERS
        hint = ""
        if name == "LocalDate" and row.get("At"):
            return ReportCell(self.page.format.instant(row["At"]), numeric=False, path=_entry_path(row))
        if value in (None, ""):
            if name in _NAMED_BY.values() and (identifier := _identifier(name, row)):
                return ReportCell(f"#{identifier}", numeric, self._record_path(name, row))
            return ReportCell(ABSENT if numeric else "", numeric)
        if name == "CreditName":
            hint = f"#{row['CreditId']}" if row.get("CreditId") else ""
        path = self._figure_path(name, row, value) if kind == "amount" else self._record_path(name, row)
        is_zero = kind == "amount" and not Decimal(value)
        return ReportCell(self._text(name, kind, row, value), numeric, path, hint, is_zero)

    def _text(self, name: str, kind: str, row: Mapping[str, Any], value: Any) -> Markup | str:
        formatter = self.page.format
        match kind:
            case "amount":
                if name in _MONEY_VALUES:
                    return formatter.money(value, row.get("ValueCurrency"))
                return formatter.amount(value, "money" if row.get("Kind") == "money" else "time", row.get("Unit"))
            case "count":
                return formatter.units(value)
            case "instant":
                return formatter.day(value) if name in _DAYS else formatter.instant(value)
            case "id":
                return f"#{value}"
            case "text" if name == "Unit":
                return self.page.translate(unit_words(str(value)))
            case "text" if name == "Actor":
                return Markup('<span title="{}">{}</span>').format(value, str(value).partition("@")[0])
            case _:
                text = str(_CODES.get(name, {}).get(value, value))
                return readable_cell(name, text, self._translated)

    def _figure_path(self, name: str, row: Mapping[str, Any], value: Any) -> str:
        if not Decimal(value):
            return ""
        if self.name == "breakage":
            listed = cohort_query(self.requested, row, name)
            return "" if listed is None else f"{BREAKAGE_PATH}?{urlencode(listed)}"
        known = str(self.document["Footer"]["KnownAsOf"])
        query = figure_query(self.name, self.requested, row, name, self._location_ids(), known)
        return "" if query is None else f"{MOVEMENTS_PATH}?{urlencode(query)}"

    def _location_ids(self) -> dict[str, int]:
        places = self.document["Footer"]["Locations"]
        names = Counter(each["Name"] for each in places)
        return {each["Name"]: each["Id"] for each in places if names[each["Name"]] == 1}

    def _record_path(self, name: str, row: Mapping[str, Any]) -> str:
        if name in ("Customer", "CustomerId") and row.get("CustomerId"):
            return record_path(Coworker, row["CustomerId"])
        if name == "MemberId" and row.get("MemberId"):
            return record_path(Coworker, row["MemberId"])
        if name in ("CreditName", "CreditId") and row.get("CreditId"):
            kind = "money" if row["Kind"] == "money" else "time"
            return record_path(CREDIT_ENTITIES[kind], row["CreditId"])
        return _entry_path(row) if name == "RecordedOn" else ""


_DAYS: Final = frozenset({"GrantedOn", "ValidFrom", "ExpireDate", "LastUse"})


def _identifier(name: str, row: Mapping[str, Any]) -> Any:
    return next((row.get(key) for key, named in _NAMED_BY.items() if named == name), None)


def _entry_path(row: Mapping[str, Any]) -> str:
    return f"/console/why/{row['EntryId']}" if row.get("EntryId") else ""


def _unit(row: Mapping[str, Any]) -> tuple[str, str]:
    return row["Kind"], row["Unit"]


def _has_units(columns: Sequence[Mapping[str, str]]) -> bool:
    return {"Kind", "Unit"} <= {column["Name"] for column in columns}


def _shown_columns(
    columns: Sequence[Mapping[str, str]], rows: Sequence[Mapping[str, Any]], *, units_together: bool
) -> list[Mapping[str, str]]:
    """The columns that are not empty in these rows."""
    names = {column["Name"] for column in columns}
    left_out = _NOT_SHOWN | {key for key, named in _NAMED_BY.items() if named in names}
    if {"Kind", "Unit"} <= names:
        # The unit of a row implies its kind, and the unit of a group is in its title.
        left_out |= {"Kind"} if units_together else {"Kind", "Unit"}
    return [
        column
        for column in columns
        if column["Name"] not in left_out
        and (column["Name"] in _ALWAYS or any(_says_something(column, row) for row in rows))
    ]


def _says_something(column: Mapping[str, str], row: Mapping[str, Any]) -> bool:
    value = row.get(column["Name"])
    if value in (None, "", False):
        named = column["Name"] in _NAMED_BY.values()
        return named and bool(_identifier(column["Name"], row))
    return column["Type"] != "amount" or bool(Decimal(value))
