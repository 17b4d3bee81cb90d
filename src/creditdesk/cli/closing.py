"""The command `close`: closes a month of a location, or opens it again."""

from __future__ import annotations

import asyncio
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from creditdesk.auth.encryption import SecretCipher
from creditdesk.cli.database import DatabaseOption, database_url, open_database
from creditdesk.cli.encryption_keys import settings_with_key
from creditdesk.cli.jobs import JOB_ACTOR
from creditdesk.cli.output import CliError, echo
from creditdesk.cli.schedule_commands import report_folder
from creditdesk.ledger.journal.transaction import LedgerContext
from creditdesk.scheduler.closing import ClosingContext, close_month, reopen_month
from creditdesk.schema.service import Principal


def close(
    *,
    location: Annotated[int, Parameter(help="Id of the location.")],
    period: Annotated[str, Parameter(help="The month, such as 2026-10.")],
    reopen: Annotated[bool, Parameter(negative="", help="Open a closed month again; needs --reason.")] = False,
    reason: Annotated[str, Parameter(help="Why it is opened again.")] = "",
    by: Annotated[str, Parameter(help="E-mail of the person who closes.")] = JOB_ACTOR,
    out: Annotated[
        Path | None, Parameter(help="Folder for the closing reports; that of the settings by default.")
    ] = None,
    database: DatabaseOption = None,
) -> int:
    """Close a month of a location: verify it, sign a checkpoint, and write the closing reports.

    Refused while a balance is not explained, unless its exception is acknowledged. Every later report of
    the month shows that it was closed, and that it was opened again.
    """
    month = _parse_month(period)
    url = database_url(database)

    async def run() -> None:
        settings = settings_with_key(url)
        async with open_database(database) as store:
            context = ClosingContext(
                store,
                Principal(0, by, unrestricted=True),
                LedgerContext(lambda: datetime.now(UTC), settings.ledger),
                SecretCipher(settings.auth.encryption_key),
                out or report_folder(settings),
            )
            if reopen:
                await reopen_month(context, location, month, reason)
                echo(f"{period} is open again.")
                return
            closing = await close_month(context, location, month)
        for path, digest in closing.documents.items():
            echo(f"{digest}  {path}")
        echo(f"{period} is closed under checkpoint {closing.checkpoint}.")

    asyncio.run(run())
    return 0


def _parse_month(text: str) -> date:
    try:
        return date.fromisoformat(f"{text}-01")
    except ValueError:
        raise CliError(f"{text} is not a month such as 2026-10.") from None
