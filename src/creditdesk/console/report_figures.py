"""The movements behind a figure of a report: the query parameters that list the lines it adds up."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import Any, Final

from creditdesk.reports.periods import parse_moment
from creditdesk.reports.statement import FLOW_TITLES
from creditdesk.reports.values import EXPIRY_BANDS, NO_PLAN

_FLOWS: Final = {flow.value.title().replace("_", ""): flow.value for flow in FLOW_TITLES}
_BALANCES: Final = frozenset({"Closing", "Outstanding"})
_BANDS: Final = {band.title(): band for band in EXPIRY_BANDS}
_SHARED: Final = ("From", "To", "AsKnownAt", "TermsAt", "LocationIds", "CoworkerId", "TeamId", "Kind", "CreditId", "Unit", "Funding",
                  "Plan", "Expires")  # fmt: skip
_UTILISED: Final = {"Used": "used,reversed", "Expired": "expired,reopened"}
_PLAN_GROUPS: Final = ("", "credit", "plan")

_COHORT_FIGURES: Final = ("Granted", "Used", "Expired")

Row = Mapping[str, Any]


def figure_query(
    report: str,
    requested: Mapping[str, str],
    row: Row,
    column: str,
    locations: Mapping[str, int],
    known_as_of: str = "",
) -> dict[str, str] | None:
    """The parameters of the movements that add up to the figure; None if it is not a sum of movements.

    `requested` are the parameters of the report, `locations` the ids by names that are unique in it, `known_as_of`
    the instant as of which the report is known.
    """
    if report in ("roll-forward", "statement") and column in ("Opening", "Closing", *_FLOWS):
        period = _month_of(requested, row) if report == "roll-forward" else requested
        query = _of_period(_of_row(requested, row, locations), period, column)
        if query is None or "AsKnownAt" in query or query.get("To") == requested.get("To"):
            return query
        # The row has the owner and funding of a credit at the end of the report.
        return {"TermsAt": requested.get("To") or known_as_of, **query}
    if report in ("liability", "ageing") and (column in _BALANCES or column in _BANDS):
        return _at_instant(report, requested, row, column, locations)
    if report == "utilisation" and column in _UTILISED and "Location" in row:
        return _utilised(requested, row, column, locations)
    return None


def cohort_query(requested: Mapping[str, str], row: Row, column: str) -> dict[str, str] | None:
    """The parameters of the breakage estimate that list the credits of a row; None if the figure is not their sum.

    Each credit links to its lines.
    """
    if column not in _COHORT_FIGURES or not row.get("Product") or requested.get("Cohort"):
        return None
    return _filled(
        {**requested, "Kind": row["Kind"], "Unit": row["Unit"], "Cohort": f"{row['Month']} {row['Product']}"}
    )


def _month_of(requested: Mapping[str, str], row: Row) -> Mapping[str, str]:
    """The part of the report's period that the row is about: its month, or the whole period."""
    if row["Month"] == "Total" or not requested.get("From"):
        return requested
    starts = parse_moment(requested["From"])
    ends = parse_moment(requested["To"]) if requested.get("To") else date.max
    if isinstance(starts, datetime) or isinstance(ends, datetime):
        return requested
    first = date.fromisoformat(f"{row['Month']}-01")
    last = (first + timedelta(days=31)).replace(day=1) - timedelta(days=1)
    return {"From": max(first, starts).isoformat(), "To": min(last, ends).isoformat()}


def _of_period(query: dict[str, str] | None, period: Mapping[str, str], column: str) -> dict[str, str] | None:
    """The query of one column: what moved in the period, or everything before its start or its end."""
    if query is None:
        return None
    begins, ends = period.get("From", ""), period.get("To", "")
    flow = _FLOWS.get(column)
    if column == "Opening":
        starts = parse_moment(begins) if begins else None
        if starts is None or isinstance(starts, datetime):
            return None
        begins, ends = "", (starts - timedelta(days=1)).isoformat()
    elif flow is None:
        begins = ""
    return _filled({**query, "From": begins, "To": ends, "Flow": flow or ""})


def _at_instant(
    report: str, requested: Mapping[str, str], row: Row, column: str, locations: Mapping[str, int]
) -> dict[str, str] | None:
    by = requested.get("By", "credit") if report == "liability" else "plan"
    query = _of_row(requested, row, locations, by_plan=by == "plan" and row["Location"] != "Total")
    if query is None:
        return None
    if report == "liability" and row["Location"] != "Total" and by in ("credit", "customer"):
        name = {"credit": "CreditId", "customer": "CustomerId"}[by]
        if not row[name]:
            return None
        query["CreditId" if by == "credit" else "CoworkerId"] = str(row[name])
    return _filled(
        {**query, "From": "", "To": requested.get("At", ""), "Expires": _BANDS.get(column, query.get("Expires", ""))}
    )


def _utilised(
    requested: Mapping[str, str], row: Row, column: str, locations: Mapping[str, int]
) -> dict[str, str] | None:
    by, is_total = requested.get("By", ""), row["Location"] == "Total"
    query = _of_row(requested, row, locations)
    if query is None:
        return None
    if not is_total and by == "customer":
        if not row["CustomerId"]:
            return None
        query["CoworkerId"] = str(row["CustomerId"])
    if not is_total and by in _PLAN_GROUPS:
        query["Plan"] = row["Group"] or NO_PLAN
    if not is_total and by == "funding":
        query["Funding"] = row["Group"]
    return _filled({**query, "Flow": _UTILISED[column]})


def _of_row(
    requested: Mapping[str, str], row: Row, locations: Mapping[str, int], *, by_plan: bool = False
) -> dict[str, str] | None:
    """The report's parameters, limited to what the row is about; None if its location has no unique name."""
    query = {name: requested[name] for name in _SHARED if requested.get(name)}
    query |= {name: row[name] for name in ("Kind", "Unit", "Funding") if row.get(name)}
    place = row.get("Location")
    if place and place != "Total":
        if place not in locations:
            return None
        query["LocationIds"] = str(locations[place])
    if by_plan:
        query["Plan"] = row["Plan"] or NO_PLAN
    return query


def _filled(query: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in query.items() if value}
