"""The command that creates a link for a member."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Annotated, Final, Literal

from cyclopts import Parameter
from cyclopts.validators import Number

from creditdesk.auth.audit_trail import AuditAction
from creditdesk.auth.member_links import (
    DEFAULT_LINK_MINUTES,
    MAX_LINK_MINUTES,
    LinkPurpose,
    LinkSigner,
    create_link,
)
from creditdesk.auth.tokens import signing_secret
from creditdesk.cli.audit import record_command
from creditdesk.cli.database import DatabaseOption, database_url, open_database
from creditdesk.cli.encryption_keys import settings_with_key
from creditdesk.cli.output import CliError, echo
from creditdesk.entities.spaces.coworker import Coworker
from creditdesk.schema.conversions import format_datetime
from creditdesk.schema.query import where
from creditdesk.schema.repository import ReadSession
from creditdesk.schema.service import Principal, RequestContext

COMMAND_AUTHOR: Final = "command line"


def member_link(
    customer: Annotated[str, Parameter(help="Id or e-mail address of the customer.")],
    *,
    purpose: Annotated[
        Literal["sign-in", "frame"],
        Parameter(help="sign-in is good once; frame shows the member's page in another site."),
    ] = "sign-in",
    minutes: Annotated[
        int, Parameter(validator=Number(gte=1, lte=MAX_LINK_MINUTES), help="How long the link is good.")
    ] = DEFAULT_LINK_MINUTES,
    url: Annotated[str, Parameter(help="Address of the server, such as https://credit.example.com.")] = "",
    database: DatabaseOption = None,
) -> int:
    """Create a link by which a customer reaches its own page, and print it.

    The customer becomes a user without any other right where it is none yet.
    """

    async def run() -> None:
        now = datetime.now(UTC)
        async with open_database(database) as store:
            settings = settings_with_key(database_url(database)).auth
            signer = LinkSigner(await signing_secret(store, settings, now), settings)
            async with store.write_session() as session:
                customer_id = await _require_customer_id(session, customer)
                context = RequestContext(Principal(0, COMMAND_AUTHOR, unrestricted=True), now)
                link = await create_link(session, customer_id, LinkPurpose(purpose), minutes, signer, context)
                details = {"Purpose": purpose, "ExpireDate": format_datetime(link.expires.replace(microsecond=0))}
                await record_command(session, AuditAction.LINK_CREATED, now, (Coworker.__name__, customer_id), details)
        echo(url.rstrip("/") + link.path)

    asyncio.run(run())
    return 0


async def _require_customer_id(session: ReadSession, text: str) -> int:
    """The customer with this Id or e-mail. Raises CliError where none or several have it."""
    name, value = ("Id", int(text)) if text.isascii() and text.isdecimal() and len(text) < 19 else ("Email", text)
    found = await session.find(Coworker, where(Coworker, **{name: value}), limit=2, columns=["Id"])
    if len(found) != 1:
        raise CliError(f"{'Several customers have' if found else 'No customer has'} the {name} {text}.")
    return int(found[0]["Id"])
