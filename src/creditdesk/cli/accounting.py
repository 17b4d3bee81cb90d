"""The command `accounting`: movements of credit for an accounting program."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from creditdesk.cli.database import DatabaseOption, open_database
from creditdesk.cli.jobs import JOB_ACTOR
from creditdesk.cli.output import CliError, echo
from creditdesk.private_files import open_private_text
from creditdesk.reports.ledger_view import LedgerView
from creditdesk.reports.request import parse_report_request
from creditdesk.schema.service import Principal
from creditdesk.transfer.account_mapping import MappingError, load_mapping
from creditdesk.transfer.accounting import ACCOUNTING_FORMATS, load_accounting_view


def accounting(
    out: Annotated[Path, Parameter(help="File to write.")],
    *,
    format: Annotated[Literal["hledger", "quickbooks", "xero"], Parameter(help="For which program.")],
    from_: Annotated[str | None, Parameter(name="--from", help="First local date.")] = None,
    to: Annotated[str | None, Parameter(help="Last local date, inclusive; now by default.")] = None,
    location: Annotated[tuple[int, ...], Parameter(negative="", help="Id of a location; may be repeated.")] = (),
    mapping: Annotated[Path | None, Parameter(help="TOML file with the accounts of your books.")] = None,
    database: DatabaseOption = None,
) -> int:
    """Write the movements of credit as journals that balance by day, location and account.

    hledger gets every kind of credit, QuickBooks and Xero get money.
    """
    try:
        accounts = load_mapping(mapping)
    except MappingError as error:
        raise CliError(str(error)) from None
    values = {"From": from_, "To": to, "LocationIds": list(location) or None}
    principal = Principal(0, JOB_ACTOR, unrestricted=True)
    request = parse_report_request("movements", values, principal, datetime.now(UTC))

    async def load() -> LedgerView:
        async with open_database(database) as store, store.read_session() as session:
            return await load_accounting_view(session, request)

    text = ACCOUNTING_FORMATS[format](asyncio.run(load()), accounts)
    with open_private_text(out, newline="") as file:
        file.write(text)
    echo(f"{out}: {len(text.splitlines())} lines")
    return 0
