"""Requests for sign-in links by e-mail: stored for the job that sends them.

A request is stored whether or not a customer has the e-mail, so that nobody learns from the response
or its time which addresses are known. The job looks for the customers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from operator import itemgetter
from typing import Final

from creditdesk.auth.audit_trail import AuditAction, AuditEvent, record_event
from creditdesk.auth.credentials import normalize_login
from creditdesk.auth.login_throttle import link_counters, record_failure, retry_after_seconds
from creditdesk.auth.member_links import LinkPurpose, LinkSigner, create_link
from creditdesk.entities.security.link_request import LinkRequest
from creditdesk.entities.spaces.coworker import Coworker
from creditdesk.schema.conversions import format_datetime
from creditdesk.schema.entity import Record
from creditdesk.schema.errors import RateLimited, StateConflict, ValidationError, invalid_field
from creditdesk.schema.query import Comparison, Filter, Order, where
from creditdesk.schema.records import new_record, update_stamp
from creditdesk.schema.repository import ReadSession, WriteSession, delete_matching
from creditdesk.schema.service import Principal, RequestContext
from creditdesk.settings import AuthSettings

OWN_LINK_MINUTES: Final = 60
"""How long a link is valid that a member requests for itself."""
SENDING_TIME: Final = timedelta(days=1)
"""How long sending is retried, and how long a request is kept afterwards."""
REPEAT_TIME: Final = timedelta(minutes=5)
"""A second request for an e-mail within this time sends nothing: the first link is on its way."""
MAX_LINKS_OF_EMAIL: Final = 5
LINK_SENT: Final = "sent"
"""The result of a request whose link was sent."""
NOBODY_MESSAGE: Final = "no customer may sign in"
"""The result of a request for an address whose customers may not sign in."""
MAX_SHOWN_REQUESTS: Final = 10
_LONGEST_WAIT: Final = timedelta(hours=1)
_PAGE: Final = 100


async def request_own_link(
    session: WriteSession, email: str, address: str | None, language: str, settings: AuthSettings, now: datetime
) -> None:
    """Stores the request of a member who is not signed in.

    Raises RateLimited after several requests, ValidationError for a text that cannot be an e-mail.
    """
    login = normalize_login(email)
    if "@" not in login:
        raise invalid_field("Email", "must be an e-mail address")
    counters = link_counters(login, address)
    if retry_after := await retry_after_seconds(session, counters, settings, now):
        raise RateLimited(retry_after)
    await record_failure(session, counters, now)
    recent = Filter(LinkRequest.meta().columns["CreatedOn"], Comparison.AT_LEAST, now - REPEAT_TIME)
    if not await session.count(LinkRequest, (*where(LinkRequest, Login=login), recent)):
        await _store(session, login, None, language, OWN_LINK_MINUTES, None, now)


async def request_link_for(
    session: WriteSession, customer_id: int, language: str, minutes: int, signer: LinkSigner, context: RequestContext
) -> str:
    """Stores an operator's request for a customer; returns the e-mail that it goes to.

    Raises as `create_link` does: the link itself is created when it is sent.
    """
    await create_link(session, customer_id, LinkPurpose.SIGN_IN, minutes, signer, context)
    customer = await session.get(Coworker, customer_id)
    email = str(customer["Email"] or "") if customer else ""
    if "@" not in normalize_login(email):
        raise invalid_field("CoworkerId", "has no e-mail address", customer_id)
    await _store(session, normalize_login(email), customer_id, language, minutes, context.principal.email, context.now)
    return email


async def _store(
    session: WriteSession, login: str, customer_id: int | None, language: str, minutes: int, by: str | None,
    now: datetime,
) -> None:  # fmt: skip
    values = {
        "Login": login, "CoworkerId": customer_id, "Language": language, "Minutes": minutes, "RequestedBy": by,
        "Attempts": 0, "NextAttemptOn": now, "ExpireDate": now + SENDING_TIME,
    }  # fmt: skip
    await session.insert(LinkRequest, [new_record(LinkRequest, values, now, by)])


async def find_due_requests(session: ReadSession, now: datetime) -> Sequence[Record]:
    """The requests that are to be sent now, the oldest first."""
    column = LinkRequest.meta().columns["NextAttemptOn"]
    return await session.find(LinkRequest, [Filter(column, Comparison.AT_MOST, now)], Order(column), _PAGE)


class LinkRequestState(StrEnum):
    """The state of a request."""

    QUEUED = "queued"
    RETRYING = "retrying"
    SENT = "sent"
    FAILED = "failed"


def link_request_state(request: Record) -> LinkRequestState:
    """The state of a request; one that is retried says in `Result` why it was not sent."""
    if request["NextAttemptOn"] is not None:
        return LinkRequestState.RETRYING if request["Attempts"] else LinkRequestState.QUEUED
    return LinkRequestState.SENT if request["Result"] == LINK_SENT else LinkRequestState.FAILED


async def find_requests_of(session: ReadSession, customer: Record) -> Sequence[Record]:
    """The latest link requests of a customer, newest first: those of operators, and those for its e-mail."""
    order = Order(LinkRequest.meta().columns["Id"], descending=True)
    login = normalize_login(customer["Email"] or "")
    of_operators = await session.find(
        LinkRequest, where(LinkRequest, CoworkerId=customer["Id"]), order, MAX_SHOWN_REQUESTS
    )
    of_nobody = Filter(LinkRequest.meta().columns["CoworkerId"], Comparison.NULL)
    own = await session.find(LinkRequest, (*where(LinkRequest, Login=login), of_nobody), order, MAX_SHOWN_REQUESTS)
    # A filter matches more than one form of an address.
    own = [each for each in own if login and each["Login"] == login]
    return sorted([*of_operators, *own], key=itemgetter("Id"), reverse=True)[:MAX_SHOWN_REQUESTS]


async def create_requested_links(
    session: WriteSession, request: Record, signer: LinkSigner, now: datetime
) -> Mapping[str, Sequence[tuple[str, str]]]:
    """New links by the e-mail that they go to, each with the customer's name; none if nobody may sign in.

    A link goes to the customer's stored address, never to the entered text: two addresses may look alike. Each link is
    recorded in the audit trail.
    """
    links: dict[str, list[tuple[str, str]]] = {}
    for customer in await _customers(session, request):
        actor = request["RequestedBy"] or customer["Email"]
        try:
            by_job = RequestContext(Principal(0, actor, unrestricted=True), now)
            link = await create_link(session, customer["Id"], LinkPurpose.SIGN_IN, request["Minutes"], signer, by_job)
        except (ValidationError, StateConflict):
            continue
        details = {
            "Purpose": link.purpose.value, "ExpireDate": format_datetime(link.expires.replace(microsecond=0)),
            "SentTo": customer["Email"],
        }  # fmt: skip
        event = AuditEvent(
            AuditAction.LINK_CREATED, actor, subject=Coworker.__name__, subject_id=customer["Id"], details=details
        )
        await record_event(session, event, now)
        links.setdefault(customer["Email"], []).append((customer["FullName"] or customer["Email"], link.path))
    return links


async def _customers(session: ReadSession, request: Record) -> Sequence[Record]:
    if request["CoworkerId"] is not None:
        chosen = where(Coworker, Id=request["CoworkerId"])
    else:
        chosen = where(Coworker, Email=request["Login"], Active=True)
    found = await session.find(Coworker, chosen, columns=["Id", "Email", "FullName", "Archived"])
    # A filter matches more than one form of an address; the whole address must be this one.
    matching = [
        each for each in found if not each["Archived"] and normalize_login(each["Email"] or "") == request["Login"]
    ]
    return matching[:MAX_LINKS_OF_EMAIL]


async def postpone_request(session: WriteSession, request: Record, reason: str, now: datetime) -> None:
    """Schedules another attempt, after waits that double up to an hour; ends the request after `ExpireDate`."""
    wait = min(timedelta(minutes=2 ** min(request["Attempts"], 10)), _LONGEST_WAIT)
    next_attempt = now + wait if now + wait < request["ExpireDate"] else None
    change = {"Attempts": request["Attempts"] + 1, "NextAttemptOn": next_attempt, "Result": reason}
    await session.update(LinkRequest, [(request["Id"], change | update_stamp(now, None))])


async def end_request(session: WriteSession, request: Record, result: str, now: datetime) -> None:
    """Marks a request as done, or as impossible."""
    change = {"Attempts": request["Attempts"] + 1, "NextAttemptOn": None, "Result": result}
    await session.update(LinkRequest, [(request["Id"], change | update_stamp(now, None))])


async def delete_ended_requests(session: WriteSession, now: datetime) -> int:
    """Deletes requests that ended a day ago; returns how many."""
    columns = LinkRequest.meta().columns
    filters = [
        Filter(columns["NextAttemptOn"], Comparison.NULL),
        Filter(columns["CreatedOn"], Comparison.AT_MOST, now - SENDING_TIME),
    ]
    return await delete_matching(session, LinkRequest, filters, _PAGE)
