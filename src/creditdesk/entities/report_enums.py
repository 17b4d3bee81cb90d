"""Enumerations of saved reports."""

from __future__ import annotations

from enum import IntEnum


class ReportType(IntEnum):
    """The reports that are written at the end of a month."""

    Statement = 1
    Liability = 2
    RollForward = 3
    Ageing = 4
    Breakage = 5
    Exceptions = 6
    Utilisation = 7
    Activity = 8


class SavedReportPeriod(IntEnum):
    """The period of a saved report; each ends with the month that has just ended."""

    LastMonth = 1
    LastThreeMonths = 2
    LastTwelveMonths = 3
    YearToDate = 4


class SavedReportKind(IntEnum):
    """The kind of credit that a saved report is limited to."""

    Money = 1
    Time = 2
    Printing = 3


class SavedReportGrouping(IntEnum):
    """What the rows of a saved report are, where it can be grouped."""

    Credit = 1
    Customer = 2
    Plan = 3
    Funding = 4
    Kind = 5


class ReportFileType(IntEnum):
    """The file formats of a saved report."""

    Csv = 1
    Xlsx = 2
    Pdf = 3
    Json = 4
