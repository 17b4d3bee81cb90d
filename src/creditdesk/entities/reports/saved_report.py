"""Declares `SavedReport`, served at `/api/reports/savedreports`."""

from __future__ import annotations

from creditdesk.entities.report_enums import (
    ReportFileType,
    ReportType,
    SavedReportGrouping,
    SavedReportKind,
    SavedReportPeriod,
)
from creditdesk.schema.entity import Entity
from creditdesk.schema.fields import Boolean, Enum, Reference, Text


class SavedReport(Entity, area="reports", plural="savedreports", label="Name", scope="BusinessId"):
    """A report of a location that is written to a folder after the end of every month.

    `Period` is relative to the month that has ended, `LastMonth` where it is null. With a `Coworker` the report is
    about that customer, with a `Kind` about credit of that kind. `GroupBy` is what the rows of `Liability` and
    `Utilisation` are.
    """

    Business = Reference("Business", required=True, embeds=("Name",))
    Name = Text(required=True, max_length=100)
    Report = Enum(ReportType, required=True)
    Format = Enum(ReportFileType, required=True)
    Period = Enum(SavedReportPeriod, default=int(SavedReportPeriod.LastMonth))
    Coworker = Reference("Coworker", embeds=("FullName",))
    Kind = Enum(SavedReportKind)
    GroupBy = Enum(SavedReportGrouping)
    Active = Boolean(nullable=False, default=True)
