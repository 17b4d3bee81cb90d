"""The command `adopt`."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Annotated, Literal

from cyclopts import Parameter

from creditdesk.cli.database import DatabaseOption, database_url, open_database, settings_for
from creditdesk.cli.output import echo
from creditdesk.ledger.actions import document_amount
from creditdesk.ledger.journal.entry import AccountType
from creditdesk.ledger.journal.transaction import LedgerContext
from creditdesk.ledger.operations.adoption import adopt_credit
from creditdesk.schema.service import Principal, RequestContext


def adopt(
    kind: Annotated[Literal["money", "time"], Parameter(help="time stands for printing credit as well.")],
    credit: Annotated[int, Parameter(help="Id of the credit.")],
    *,
    reason: Annotated[str, Parameter(help="Why the credit is right. The journal keeps it.")],
    by: Annotated[str, Parameter(help="Your e-mail address. The journal keeps it.")],
    database: DatabaseOption = None,
) -> int:
    """Write the grant of a credit that has none, so that it can be used.

    `creditdesk verify` lists such credits: they were put into the database directly.
    """

    async def run() -> None:
        ledger = LedgerContext(lambda: datetime.now(UTC), settings_for(database_url(database)).ledger)
        request = RequestContext(Principal(0, by, unrestricted=True), ledger.clock())
        async with open_database(database) as store, store.write_session() as session:
            after = await adopt_credit(session, (AccountType(kind), credit), reason, request, ledger)
        remaining, total = (document_amount(after.mapping, n) for n in (after.remaining, after.total))
        echo(f"{after} was adopted: {remaining} of {total} remain.")

    asyncio.run(run())
    return 0
