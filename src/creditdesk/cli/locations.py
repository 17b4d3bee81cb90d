"""Commands about locations: the time zone and booking interval by which they count uses and periods."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Annotated

from cyclopts import App, Parameter

from creditdesk.auth.audit_trail import AuditAction
from creditdesk.cli.audit import record_command
from creditdesk.cli.database import DatabaseOption, open_database
from creditdesk.cli.jobs import JOB_ACTOR
from creditdesk.cli.output import CliError, echo
from creditdesk.entities.sys.business import Business
from creditdesk.ledger.loaders.locations import load_location_clocks
from creditdesk.ledger.operations.location_clock import set_location_clock
from creditdesk.schema.repository import ReadSession
from creditdesk.schema.service import Principal, RequestContext

locations = App(name="location", help="Show and set the time zone and booking interval of locations.")


@locations.command(name="list")
def list_(*, database: DatabaseOption = None) -> int:
    """Show each location with its time zone and booking interval."""

    async def run() -> None:
        async with open_database(database) as store, store.read_session() as session:
            ids = [record["Id"] for record in await session.find(Business, columns=("Id",))]
            for line in await _describe(session, ids):
                echo(line)

    asyncio.run(run())
    return 0


@locations.command(name="set")
def set_(
    location: Annotated[int, Parameter(help="Id of the location.")],
    *,
    time_zone: Annotated[
        str | None, Parameter(help="IANA name such as Europe/Madrid, or Windows' name of a time zone.")
    ] = None,
    booking_interval: Annotated[
        int | None, Parameter(help="Minutes to which the length of a booking is rounded up.")
    ] = None,
    database: DatabaseOption = None,
) -> int:
    """Set the time zone or booking interval of a location, or both.

    They apply to decisions from now on.
    """
    given = {"TimeZone": time_zone, "BookingIntervalMinutes": booking_interval}
    changes = {name: value for name, value in given.items() if value is not None}
    if not changes:
        raise CliError("Give --time-zone, --booking-interval or both.")

    async def run() -> None:
        context = RequestContext(Principal(0, JOB_ACTOR, unrestricted=True), datetime.now(UTC))
        async with open_database(database) as store, store.write_session() as session:
            await set_location_clock(session, location, changes, context)
            await record_command(session, AuditAction.CHANGED, context.now, (Business.__name__, location), changes)
            for line in await _describe(session, [location]):
                echo(line)

    asyncio.run(run())
    return 0


async def _describe(session: ReadSession, location_ids: list[int]) -> list[str]:
    clocks = await load_location_clocks(session, location_ids)
    lines = []
    for location_id, location in sorted((await session.get_many(Business, location_ids)).items()):
        clock = clocks.get(location_id)
        counted = f"{clock.zone.key}, {clock.interval_minutes} minutes" if clock else "not set: UTC, 15 minutes"
        lines.append(f"{location_id}  {location['Name']}: {counted}")
    return lines
