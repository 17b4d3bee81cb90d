"""The title, the summary and the form parameters of each report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from types import MappingProxyType
from typing import Final

from creditdesk.console.formats import Formatter
from creditdesk.console.inputs import CONTROLS
from creditdesk.console.line_facts import FUNDING_TEXTS
from creditdesk.console.page import ConsolePage
from creditdesk.console.translations import mark
from creditdesk.reports.request import AS_KNOWN_AT
from creditdesk.schema.fields import DateTime

Pairs = tuple[tuple[str, str], ...]

CUSTOMER_TEXT: Final = "Customer"
"""The field of a customer's name; the address then has CoworkerId."""
_PERIOD: Final = ("From", "To")
_OF_GROUPS: Final = ("LocationIds", "Kind", "Unit", "Funding", "AsKnownAt")


@dataclass(frozen=True, slots=True)
class ReportForm:
    """A report in the console. `shows_units_together`: rows are in order of time, else by kind and unit."""

    title: str
    summary: str
    fields: tuple[str, ...]
    shows_units_together: bool = False

    @property
    def of_period(self) -> bool:
        return "From" in self.fields


REPORT_FORMS: Final[Mapping[str, ReportForm]] = MappingProxyType(
    {
        "statement": ReportForm(
            mark("Statement"), mark("The movements of a customer's credit, line by line, with the balance."),
            (*_PERIOD, CUSTOMER_TEXT, "TeamId", *_OF_GROUPS), shows_units_together=True,
        ),
        "liability": ReportForm(
            mark("Liability"), mark("What is owed to members at an instant, credit by credit or in groups."),
            ("At", "By", CUSTOMER_TEXT, *_OF_GROUPS),
        ),
        "roll-forward": ReportForm(
            mark("Roll-forward"), mark("How what is owed moved from opening to closing, month by month."),
            (*_PERIOD, *_OF_GROUPS),
        ),
        "ageing": ReportForm(
            mark("Ageing"), mark("When what is owed will expire, in bands and week by week."), ("At", *_OF_GROUPS)
        ),
        "breakage": ReportForm(
            mark("Breakage estimate"), mark("What will probably never be used: an estimate, not a posting."),
            ("At", "Cohort", *_OF_GROUPS),
        ),
        "utilisation": ReportForm(
            mark("Utilisation"), mark("How much credit was used, how much expired, and which credit nobody uses."),
            (*_PERIOD, "By", *_OF_GROUPS),
        ),
        "activity": ReportForm(
            mark("Activity"), mark("Who did what, and which changes were made by hand."),
            (*_PERIOD, CUSTOMER_TEXT, "Actor", "ManualOnly", *_OF_GROUPS), shows_units_together=True,
        ),
        "movements": ReportForm(
            mark("Movements"), mark("The journal lines that a figure of another report adds up."),
            (*_PERIOD, CUSTOMER_TEXT, "TeamId", "Flow", "Plan", "Expires", *_OF_GROUPS), shows_units_together=True,
        ),
    }
)  # fmt: skip
"""The reports with a page of this form, in the order of the index; exceptions have their own screen."""

FIELD_TITLES: Final = {
    "From": mark("From"),
    "To": mark("To"),
    "At": mark("At the end of"),
    "AsKnownAt": mark("As known at"),
    "LocationIds": mark("Location"),
    CUSTOMER_TEXT: mark("Customer"),
    "TeamId": mark("Number of the team"),
    "Kind": mark("Kind"),
    "Unit": mark("Unit"),
    "Funding": mark("Funding"),
    "By": mark("Rows by"),
    "Actor": mark("By whom"),
    "ManualOnly": mark("Manual changes only"),
    "Flow": mark("Movement"),
    "Plan": mark("Plan or product"),
    "Expires": mark("Expires within"),
    "Cohort": mark("Month and product"),
}
KIND_TEXTS: Final = {"money": mark("Money"), "time": mark("Time"), "printing": mark("Printing")}
_GROUP_TEXTS: Final = {
    "credit": mark("Credit"),
    "customer": mark("Customer"),
    "plan": mark("Plan or product"),
    "funding": mark("Funding"),
    "kind": mark("Kind"),
}
BAND_TEXTS: Final = {
    "days7": mark("7 days"),
    "days30": mark("8 to 30 days"),
    "days90": mark("31 to 90 days"),
    "days365": mark("91 to 365 days"),
    "later": mark("more than a year"),
    "never": mark("never"),
}
_RARE: Final = frozenset({"TeamId", "Unit", "Funding", "AsKnownAt", "Plan", "Expires", "Cohort"})
"""Fields that the form opens on demand."""
_CHOICES: Final = {"Kind": KIND_TEXTS, "Funding": FUNDING_TEXTS, "By": _GROUP_TEXTS, "Expires": BAND_TEXTS}


@dataclass(frozen=True, slots=True)
class ReportField:
    """A field of the form: `kind` is a type of input, or select or checkbox."""

    name: str
    title: str
    kind: str
    value: str
    choices: tuple[tuple[str, str], ...] = ()
    error: str = ""
    is_rare: bool = False


def report_fields(
    page: ConsolePage, form: ReportForm, values: Mapping[str, str], errors: Mapping[str, str]
) -> list[ReportField]:
    """The fields of a report's form, filled with the values of the address."""
    return [_field(page, name, values.get(name, ""), errors) for name in form.fields]


def _field(page: ConsolePage, name: str, value: str, errors: Mapping[str, str]) -> ReportField:
    choices: tuple[tuple[str, str], ...] = ()
    kind = "text"
    if name == "LocationIds":
        kind, choices = "select", tuple((str(each.id), each.name) for each in page.locations.values())
    elif name in _CHOICES:
        kind, choices = "select", tuple((code, page.translate(text)) for code, text in _CHOICES[name].items())
    elif name in ("From", "To", "At"):
        # A link may contain an instant, which is not a date.
        kind = "date" if len(value) <= len("2026-10-31") else "text"
    elif name == "AsKnownAt":
        kind = "datetime-local"
    elif name == "ManualOnly":
        kind = "checkbox"
    error = errors.get("CoworkerId" if name == CUSTOMER_TEXT else name, "")
    return ReportField(name, page.translate(FIELD_TITLES[name]), kind, value, choices, error, name in _RARE)


def default_values(page: ConsolePage, form: ReportForm) -> dict[str, str]:
    """The parameters of an address without any: this month or now, in few rows, at the chosen location."""
    values: dict[str, str] = {}
    if "By" in form.fields:
        values["By"] = "funding"
    if form.of_period:
        values["From"] = _today(page).replace(day=1).isoformat()
    if page.location is not None:
        values["LocationIds"] = str(page.location.id)
    return values


def periods(page: ConsolePage, form: ReportForm) -> list[tuple[str, dict[str, str | None]]]:
    """Links to common periods: their titles, and the parameters that they set or remove."""
    today = _today(page)
    month = today.replace(day=1)
    last_month = month - timedelta(days=1)
    if not form.of_period:
        return [(mark("Now"), {"At": None}), (mark("End of last month"), {"At": last_month.isoformat()})]
    return [
        (mark("This month"), {"From": month.isoformat(), "To": None}),
        (mark("Last month"), {"From": last_month.replace(day=1).isoformat(), "To": last_month.isoformat()}),
        (mark("This year"), {"From": date(today.year, 1, 1).isoformat(), "To": None}),
    ]


def api_values(formatter: Formatter, values: Mapping[str, str]) -> dict[str, str]:
    """The parameters for the API: local times in UTC, without empty values."""
    sent = {name: value for name, value in values.items() if value and name != CUSTOMER_TEXT}
    if AS_KNOWN_AT.name in sent:
        sent[AS_KNOWN_AT.name] = str(CONTROLS[DateTime].to_api(formatter, sent[AS_KNOWN_AT.name]))
    return sent


def _today(page: ConsolePage) -> date:
    return page.now.astimezone(page.format.zone).date()
