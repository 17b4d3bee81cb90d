"""Acknowledging an exception: a person accepts it, with a note."""

from __future__ import annotations

from typing import Final

from creditdesk.entities.reports.exception_acknowledgement import ExceptionAcknowledgement
from creditdesk.entities.sys.business import Business
from creditdesk.reports.exception_rules import ExceptionCode
from creditdesk.schema.errors import invalid_field
from creditdesk.schema.params import Param
from creditdesk.schema.query import Order, where
from creditdesk.schema.records import new_record
from creditdesk.schema.repository import WriteSession, find_first
from creditdesk.schema.service import RequestContext
from creditdesk.schema.validation import NOT_FOUND_MESSAGE

EXCEPTION_KEY: Final = Param("Key", required=True, description="The Key of a row of the exceptions report.")
NOTE: Final = Param("Note", required=True, description="Why it is accepted.")
_CODES: Final = frozenset(code.value for code in ExceptionCode)


async def acknowledge(session: WriteSession, key: str, note: str, context: RequestContext) -> int:
    """Stores that the principal accepts an exception; returns the record's id.

    Repeating the call with the same note stores nothing and returns the existing record's id, also for concurrent
    calls. Raises ValidationError for a key that no exception of the principal's locations can have.
    """
    location, _, rest = key.partition(":")
    code = rest.partition(":")[0]
    is_known = location.isdigit() and location.isascii() and len(location) < 19 and code in _CODES
    is_visible = is_known and context.principal.sees_location(int(location))
    if not is_visible or await session.get(Business, int(location)) is None:
        raise invalid_field(EXCEPTION_KEY.name, NOT_FOUND_MESSAGE, key)
    # Serialises acknowledgements at the location, so that concurrent repetitions see the first record.
    await session.lock(Business, [int(location)], ("Id",))
    meta = ExceptionAcknowledgement.meta()
    of_key, newest = where(ExceptionAcknowledgement, Key=key), Order(meta.columns["Id"], descending=True)
    last = await find_first(session, ExceptionAcknowledgement, of_key, newest, columns=("Id", "Note", "UpdatedBy"))
    if last is not None and (last["Note"], last["UpdatedBy"]) == (note, context.principal.email):
        return int(last["Id"])
    values = {"BusinessId": int(location), "Key": key, "Note": note}
    record = new_record(ExceptionAcknowledgement, values, context.now, context.principal.email)
    (record_id,) = await session.insert(ExceptionAcknowledgement, [record])
    return record_id
