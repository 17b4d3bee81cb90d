"""The command `report`: every report on the terminal or in a file."""

from __future__ import annotations

import asyncio
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Final, Literal

from cyclopts import Parameter

from creditdesk.api.serializer import encode
from creditdesk.auth.audit_trail import AuditAction
from creditdesk.cli.audit import record_command
from creditdesk.cli.database import DatabaseOption, database_url, open_database, settings_for
from creditdesk.cli.jobs import JOB_ACTOR
from creditdesk.cli.output import CliError, echo
from creditdesk.cli.report_tables import print_report
from creditdesk.ledger.journal.transaction import LedgerContext
from creditdesk.private_files import open_private_bytes, open_private_text
from creditdesk.reports.catalog import run_report
from creditdesk.reports.documents import report_document
from creditdesk.reports.files import FILE_FORMATS
from creditdesk.reports.request import parse_report_request
from creditdesk.reports.result import ReportResult
from creditdesk.schema.service import Principal

ReportName = Literal[
    "statement", "liability", "roll-forward", "ageing", "breakage", "exceptions", "utilisation", "activity", "movements"
]
OutputFormat = Literal["table", "json", "csv", "xlsx", "pdf"]
_TEXT_FORMATS: Final = ("table", "json", "csv")


def report(  # noqa: PLR0913 - one option of the command each
    name: Annotated[ReportName, Parameter(help="Which report.")],
    *,
    from_: Annotated[str | None, Parameter(name="--from", help="First local date, or an instant.")] = None,
    to: Annotated[str | None, Parameter(help="Last local date, inclusive, or an instant; now by default.")] = None,
    at: Annotated[str | None, Parameter(help="The end of a local date, or an instant; in place of --to.")] = None,
    as_known_at: Annotated[str | None, Parameter(help="As known at this instant.")] = None,
    location: Annotated[tuple[int, ...], Parameter(negative="", help="Id of a location; may be repeated.")] = (),
    customer: Annotated[int | None, Parameter(help="Id of a customer.")] = None,
    team: Annotated[int | None, Parameter(help="Id of a team.")] = None,
    kind: Annotated[Literal["money", "time", "printing"] | None, Parameter(help="Kind of credit.")] = None,
    credit: Annotated[int | None, Parameter(help="Id of a credit; needs --kind.")] = None,
    unit: Annotated[str | None, Parameter(help="A currency, or minute, day, print and so on.")] = None,
    funding: Annotated[
        Literal["paid", "plan", "goodwill", "migrated", "unknown"] | None, Parameter(help="How credit was funded.")
    ] = None,
    flow: Annotated[
        Literal["granted", "rolled_in", "reversed", "adjusted", "used", "rolled_out", "voided", "expired", "reopened"]
        | None,
        Parameter(help="Of `movements`: those of this kind."),
    ] = None,
    actor: Annotated[str | None, Parameter(help="Of `activity`: by this user.")] = None,
    manual_only: Annotated[bool, Parameter(negative="", help="Of `activity`: entered by hand.")] = False,
    by: Annotated[
        Literal["credit", "customer", "plan", "funding", "kind"], Parameter(help="What each row is about.")
    ] = "credit",
    format: Annotated[OutputFormat, Parameter(help="How the report is written.")] = "table",
    out: Annotated[Path | None, Parameter(help="File to write; standard output by default.")] = None,
    database: DatabaseOption = None,
) -> int:
    """Print a report or write it to a file. The exit code is 1 if it does not tie out."""
    if format not in _TEXT_FORMATS and out is None:
        raise CliError(f"A report in the format {format} needs --out FILE.")
    values = {
        "From": from_, "To": to, "At": at, "AsKnownAt": as_known_at, "LocationIds": list(location) or None,
        "CoworkerId": customer, "TeamId": team, "Kind": kind, "CreditId": credit, "Unit": unit, "By": by,
        "Funding": funding, "Flow": flow, "Actor": actor, "ManualOnly": manual_only,
    }  # fmt: skip
    principal = Principal(0, JOB_ACTOR, unrestricted=True)
    ledger = LedgerContext(lambda: datetime.now(UTC), settings_for(database_url(database)).ledger)
    request = parse_report_request(name, values, principal, datetime.now(UTC), ledger)

    async def run() -> ReportResult:
        async with open_database(database) as store:
            if out is not None:
                async with store.write_session() as writer:
                    details = {"Report": name, "Format": format, "Path": str(out)}
                    await record_command(writer, AuditAction.EXPORTED, details=details)
            async with store.read_session() as session:
                return await run_report(session, request)

    result = asyncio.run(run())
    _write(result, format, out)
    return 0 if result.footer.ties_out else 1


def _write(result: ReportResult, output_format: OutputFormat, out: Path | None) -> None:
    if output_format == "table":
        if out is None:
            print_report(result, sys.stdout)
            return
        with open_private_text(out) as file:
            print_report(result, file)
        return
    body = encode(report_document(result)) if output_format == "json" else FILE_FORMATS[output_format].render(result)
    if out is None:
        sys.stdout.buffer.write(body)
        sys.stdout.flush()
        return
    with open_private_bytes(out) as file:
        file.write(body)
    echo(f"{out}: {len(result.rows)} rows")
