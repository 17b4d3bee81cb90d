"""The commands `saved-report add`, `list` and `remove`: what the job `reports` writes after each month."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Annotated, Final, Literal

from cyclopts import App, Parameter

from creditdesk.auth.audit_trail import AuditAction
from creditdesk.cli.audit import record_command
from creditdesk.cli.database import DatabaseOption, open_database
from creditdesk.cli.jobs import JOB_ACTOR
from creditdesk.cli.output import CliError, echo
from creditdesk.entities.report_enums import ReportFileType, SavedReportGrouping, SavedReportKind, SavedReportPeriod
from creditdesk.entities.reports.saved_report import SavedReport
from creditdesk.entities.spaces.coworker import Coworker
from creditdesk.entities.sys.business import Business
from creditdesk.scheduler.month_end import REPORT_NAMES
from creditdesk.schema.entity import Record
from creditdesk.schema.query import where
from creditdesk.schema.records import new_record
from creditdesk.schema.repository import ReadSession, WriteSession

SavedReportName = Literal[
    "statement", "liability", "roll-forward", "ageing", "breakage", "exceptions", "utilisation", "activity"
]
PeriodName = Literal["last-month", "last-three-months", "last-twelve-months", "year-to-date"]

PERIODS: Final[dict[PeriodName, SavedReportPeriod]] = {
    "last-month": SavedReportPeriod.LastMonth,
    "last-three-months": SavedReportPeriod.LastThreeMonths,
    "last-twelve-months": SavedReportPeriod.LastTwelveMonths,
    "year-to-date": SavedReportPeriod.YearToDate,
}
_PERIOD_NAMES: Final = {period: name for name, period in PERIODS.items()}

saved_reports = App(
    name="saved-report", help="Reports that are written to a folder after every month: list, add and remove them."
)


@saved_reports.command(name="list")
def list_saved_reports(*, database: DatabaseOption = None) -> int:
    """List the saved reports with their parameters."""

    async def run() -> list[Record]:
        async with open_database(database) as store, store.read_session() as session:
            return await session.find(SavedReport)

    for record in asyncio.run(run()):
        echo(_describe(record))
    return 0


@saved_reports.command(name="add")
def add_saved_report(  # noqa: PLR0913 - one option each
    name: Annotated[str, Parameter(help="A name, which is part of the file's name.")],
    *,
    location: Annotated[int, Parameter(help="Id of the location.")],
    report: Annotated[SavedReportName, Parameter(help="Which report.")],
    format: Annotated[Literal["csv", "xlsx", "pdf", "json"], Parameter(help="The format of the file.")],
    period: Annotated[
        PeriodName, Parameter(help="The months up to the end of the one that has just ended.")
    ] = "last-month",
    customer: Annotated[int | None, Parameter(help="Id of a customer, for a report about it alone.")] = None,
    kind: Annotated[
        Literal["money", "time", "printing"] | None, Parameter(help="The kind of credit, for a report about it alone.")
    ] = None,
    by: Annotated[
        Literal["credit", "customer", "plan", "funding", "kind"] | None,
        Parameter(help="What the rows of liability and utilisation are; credits by default."),
    ] = None,
    database: DatabaseOption = None,
) -> int:
    """Save a report: `creditdesk jobs run` writes it once each month has ended."""
    names = {each: report_type for report_type, each in REPORT_NAMES.items()}
    values = {
        "Name": name,
        "BusinessId": location,
        "Report": int(names[report]),
        "Format": int(ReportFileType[format.capitalize()]),
        "Period": int(PERIODS[period]),
        "CoworkerId": customer,
        "Kind": int(SavedReportKind[kind.capitalize()]) if kind else None,
        "GroupBy": int(SavedReportGrouping[by.capitalize()]) if by else None,
    }

    async def run() -> Record:
        async with open_database(database) as store, store.write_session() as session:
            await _require(session, location, customer)
            now = datetime.now(UTC)
            record = new_record(SavedReport, values, now, JOB_ACTOR)
            (record_id,) = await session.insert(SavedReport, [record])
            await _record(session, AuditAction.CREATED, record_id, values, now)
            return {**record, "Id": record_id}

    echo(_describe(asyncio.run(run())))
    return 0


@saved_reports.command(name="remove")
def remove_saved_report(
    saved_report: Annotated[int, Parameter(help="Id of the saved report, as listed.")],
    *,
    database: DatabaseOption = None,
) -> int:
    """Remove a saved report. Keeps the files that were written."""

    async def run() -> None:
        async with open_database(database) as store, store.write_session() as session:
            if not await session.find(SavedReport, where(SavedReport, Id=saved_report), columns=("Id",)):
                raise CliError(f"There is no saved report {saved_report}.")
            await session.delete(SavedReport, [saved_report])
            await _record(session, AuditAction.DELETED, saved_report, {}, datetime.now(UTC))

    asyncio.run(run())
    return 0


async def _require(session: ReadSession, location: int, customer: int | None) -> None:
    """Raises CliError for a location or customer that does not exist."""
    if not await session.find(Business, where(Business, Id=location), columns=("Id",)):
        raise CliError(f"There is no location {location}.")
    if customer is not None and not await session.find(Coworker, where(Coworker, Id=customer), columns=("Id",)):
        raise CliError(f"There is no customer {customer}.")


async def _record(
    session: WriteSession, action: AuditAction, record_id: int, details: dict[str, object], now: datetime
) -> None:
    await record_command(session, action, now, (SavedReport.__name__, record_id), details)


def _describe(record: Record) -> str:
    report = next(name for kind, name in REPORT_NAMES.items() if kind == record["Report"])
    period = _PERIOD_NAMES[SavedReportPeriod(record["Period"] or SavedReportPeriod.LastMonth)]
    about = f"location {record['BusinessId']}"
    if record["CoworkerId"]:
        about += f", customer {record['CoworkerId']}"
    if record["Kind"]:
        about += f", {SavedReportKind(record['Kind']).name.lower()} credit"
    if record["GroupBy"]:
        about += f", by {SavedReportGrouping(record['GroupBy']).name.lower()}"
    file_type = ReportFileType(record["Format"]).name.lower()
    paused = "" if record["Active"] else "  (not active)"
    return f"{record['Id']}  {record['Name']}: {report}, {period}, {about}, {file_type}{paused}"
