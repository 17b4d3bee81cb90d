"""Sets the clock of a location (rule 20)."""

from __future__ import annotations

from collections.abc import Mapping

from creditdesk.entities.ledger.location_profile import LocationProfile
from creditdesk.entities.sys.business import Business
from creditdesk.ledger.journal.mapping import unknown_reference
from creditdesk.ledger.loaders.rows import TypedRow, find_rows
from creditdesk.schema.conversions import ParseError
from creditdesk.schema.errors import invalid_field
from creditdesk.schema.records import new_record, update_stamp
from creditdesk.schema.repository import WriteSession
from creditdesk.schema.service import RequestContext


class _ProfileRow(TypedRow, frozen=True, gc=False):
    entity = LocationProfile


async def set_location_clock(
    session: WriteSession, business_id: int, changes: Mapping[str, object], context: RequestContext
) -> None:
    """Sets `TimeZone`, `BookingIntervalMinutes` or both; None removes a setting.

    Raises ValidationError for a location that is unknown and for a value that a request could not send.
    """
    # The lock makes two first calls for one location wait for each other.
    if not await session.lock(Business, [business_id], ("Id",)):
        raise unknown_reference("Business", business_id)
    values: dict[str, object] = {}
    for name, value in changes.items():
        try:
            values[name] = None if value is None else LocationProfile.meta().columns[name].field.parse(value)
        except ParseError as error:
            raise invalid_field(name, str(error), value) from None
    profiles = await find_rows(session, _ProfileRow, BusinessId=business_id)
    actor = context.principal.email
    if profiles:
        change = {**values, **update_stamp(context.now, actor)}
        await session.update(LocationProfile, [(profile.id, change) for profile in profiles])
    else:
        record = new_record(LocationProfile, {"BusinessId": business_id, **values}, context.now, actor)
        await session.insert(LocationProfile, [record])
