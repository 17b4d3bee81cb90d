"""The paths of members: their customers and history; and the links by which they sign in.

Members read their own records by the ledger's paths. These paths add what also depends on records of others,
such as the credit of a team.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from creditdesk.api.body import parse_body, read_body
from creditdesk.api.context import ApiContext, Route
from creditdesk.api.ledger.params import COWORKER_ID
from creditdesk.api.ledger.pools import pool_document
from creditdesk.api.openapi_operations import read_operation, write_operation
from creditdesk.api.query_params import DEFAULT_PAGE_SIZE, PAGE, SIZE
from creditdesk.api.responses import JsonBytesResponse, action_body, json_response
from creditdesk.auth.audit_trail import AuditAction, event_of_request, record_event
from creditdesk.auth.authenticator import Authenticator
from creditdesk.auth.customers import LINK_MESSAGE, require_all_locations
from creditdesk.auth.member_links import DEFAULT_LINK_MINUTES, MAX_LINK_MINUTES, LinkPurpose, create_link
from creditdesk.auth.permission import require_role
from creditdesk.auth.scope import scope_filters
from creditdesk.auth.sign_in import may_set_first_password
from creditdesk.entities.spaces.coworker import Coworker
from creditdesk.ledger.actions import document_amount
from creditdesk.ledger.journal.mapping import MAPPINGS
from creditdesk.ledger.loaders.member_history import MAX_HISTORY_DEPTH, HistoryRow, SourceName, load_member_history
from creditdesk.ledger.loaders.member_profile import MemberProfile, load_member_profiles
from creditdesk.schema.conversions import format_datetime
from creditdesk.schema.errors import PermissionDenied, invalid_field
from creditdesk.schema.fields import Integer
from creditdesk.schema.params import Param, Params
from creditdesk.schema.query import where
from creditdesk.schema.repository import ReadSession
from creditdesk.schema.service import Principal, RequestContext
from creditdesk.schema.validation import NOT_FOUND_MESSAGE

MAX_HISTORY_PAGE: Final = 200
MAX_LINK_BODY_BYTES: Final = 16_384
CURRENT_MEMBER_PATH: Final = "/api/members/current"
MEMBER_HISTORY_PATH: Final = "/api/members/current/history"
MEMBER_LINKS_PATH: Final = "/api/members/links"
_OF_CUSTOMER: Final = Param("CoworkerId", Integer(minimum=1), description="One of the member's own; all when left out.")
_ENTRY_ID: Final = Param("Id", Integer(minimum=1), description="One line alone.")
_HISTORY: Final = (_OF_CUSTOMER, _ENTRY_ID, PAGE, SIZE)
_PURPOSE: Final = Param(
    "Purpose",
    choices=tuple(each.value for each in LinkPurpose),
    description="`sign-in` is good once; `frame` shows the member's page in another site until it expires.",
)
LINK_MINUTES: Final = Param(
    "Minutes",
    Integer(minimum=1, maximum=MAX_LINK_MINUTES),
    description=f"How long the link is good; {DEFAULT_LINK_MINUTES} when left out.",
)
_LINK: Final = (COWORKER_ID, _PURPOSE, LINK_MINUTES)


def member_routes(authenticator: Authenticator) -> tuple[Route, ...]:
    """Two reads for members, and the creation of links by users who may change customers."""
    link = write_operation(
        MEMBER_LINKS_PATH, "Create a link for a member", Coworker.roles["update"], _LINK,
        {"CoworkerId": 1, "Purpose": "sign-in", "Minutes": 60},
    )  # fmt: skip
    return (
        Route(
            "GET", CURRENT_MEMBER_PATH, _get_current, _read_of_member(CURRENT_MEMBER_PATH, "The signed-in member", ())
        ),
        Route(
            "GET",
            MEMBER_HISTORY_PATH,
            _get_history,
            _read_of_member(MEMBER_HISTORY_PATH, "What happened to the member's credit", _HISTORY),
        ),
        Route("POST", MEMBER_LINKS_PATH, partial(_create_link, authenticator), link),
    )


def _read_of_member(path: str, title: str, params: Sequence[Param]) -> dict[str, Any]:
    return read_operation(path, title, "", params) | {"description": f"{title}. For members alone."}


def _own_customers(context: RequestContext) -> frozenset[int]:
    """The customers of the calling member. Raises PermissionDenied for any other user."""
    if context.principal.customers is None:
        raise PermissionDenied("Only members have a page of their own")
    return context.principal.customers


async def _get_current(api: ApiContext, _request: Request, context: RequestContext, _id: int) -> Response:
    """The member's customers with their locations, and what their teams share with them."""
    customers = _own_customers(context)
    async with api.store.read_session() as session:
        profiles = await load_member_profiles(session, customers, context.now)
        may_set_first = await may_set_first_password(session, context.principal.user_id, context.principal.session_id)
    shown = [_show_profile(profile, context) for profile in profiles]
    return json_response(
        200, {"Email": context.principal.email, "MaySetFirstPassword": may_set_first, "Customers": shown}
    )


def _show_profile(profile: MemberProfile, context: RequestContext) -> dict[str, Any]:
    return {
        "Id": profile.customer_id,
        "FullName": profile.name,
        "Email": profile.email,
        "Locations": [
            {"Id": each.id, "Name": each.name, "CurrencyCode": each.currency, "TimeZone": each.zone}
            for each in profile.locations
        ],
        "Pools": [pool_document(pool, context.now) for pool in profile.pools],
    }


async def _get_history(api: ApiContext, request: Request, context: RequestContext, _id: int) -> Response:
    """A page of the member's history, the latest line first."""
    customers = _own_customers(context)
    params = Params(_HISTORY, request.query_params)
    page, size = params[PAGE] or 1, min(params[SIZE] or DEFAULT_PAGE_SIZE, MAX_HISTORY_PAGE)
    if params[_OF_CUSTOMER] is not None and params[_OF_CUSTOMER] not in customers:
        params.add_error(_OF_CUSTOMER, NOT_FOUND_MESSAGE)
    if page * size > MAX_HISTORY_DEPTH:
        params.add_error(PAGE, f"must lie within the latest {MAX_HISTORY_DEPTH} lines")
    params.raise_errors()
    chosen = customers if params[_OF_CUSTOMER] is None else frozenset({params[_OF_CUSTOMER]})
    async with api.store.read_session() as session:
        found = await load_member_history(session, chosen, page, size, params[_ENTRY_ID])
    return json_response(
        200,
        {
            "Records": [_show_line(row, chosen, found.sources) for row in found.rows],
            "CurrentPage": page,
            "PageSize": size,
            "TotalItems": found.total,
            "HasNextPage": page * size < found.total,
        },
    )


def _show_line(
    row: HistoryRow, customers: frozenset[int], sources: Mapping[tuple[str, int], SourceName]
) -> dict[str, Any]:
    """A line as JSON. For a team's credit it has what the member drew, but not the balance."""
    mapping = MAPPINGS[row.credit_kind]
    is_own = row.coworker_id in customers
    source = sources.get((row.source_kind or "", row.source_id or 0))
    return {
        "Id": row.id,
        "RecordedOn": format_datetime(row.recorded_on),
        "BusinessId": row.business_id,
        "CreditKind": row.credit_kind.value,
        "CreditId": row.credit_id,
        "Kind": row.kind,
        "Cause": row.cause,
        "Amount": document_amount(mapping, row.amount // mapping.scale),
        "BalanceAfter": document_amount(mapping, row.balance_after // mapping.scale) if is_own else None,
        "SourceKind": row.source_kind,
        "SourceId": row.source_id,
        "SourceName": source.name if source else None,
        "SourceTime": format_datetime(source.at) if source and source.at else None,
        "Reason": row.reason if is_own else "",
        "OfTeam": not is_own,
        "ByTeamMember": is_own and row.member_id is not None and row.member_id not in customers,
        "AllocationId": row.allocation_id,
    }


async def require_customer(session: ReadSession, customer_id: int, principal: Principal) -> None:
    """Raises ValidationError unless the principal sees the customer."""
    filters = (*where(Coworker, Id=customer_id), *scope_filters(principal, Coworker))
    if not await session.count(Coworker, filters):
        raise invalid_field(COWORKER_ID.name, NOT_FOUND_MESSAGE, customer_id)


async def _create_link(
    authenticator: Authenticator, api: ApiContext, request: Request, context: RequestContext, _id: int
) -> Response:
    """Creates a link; it is shown once and never stored, so the response has no idempotency key.

    For callers who see all locations of the customer; the others let it be sent by e-mail.
    """
    require_role(context.principal, Coworker, "update")
    body = await read_body(request, MAX_LINK_BODY_BYTES, api.settings.body_seconds)
    params = Params(_LINK, parse_body(body, request.headers.get("content-type", "")))
    params.raise_errors()
    customer_id = params[COWORKER_ID]
    purpose = LinkPurpose(params[_PURPOSE] or LinkPurpose.SIGN_IN)
    signer = await authenticator.link_signer(context.now)
    async with api.store.write_session() as session:
        await require_customer(session, customer_id, context.principal)
        await require_all_locations(session, (customer_id,), context.principal, LINK_MESSAGE)
        link = await create_link(
            session, customer_id, purpose, params[LINK_MINUTES] or DEFAULT_LINK_MINUTES, signer, context
        )
        details = {"Purpose": purpose.value, "ExpireDate": format_datetime(link.expires.replace(microsecond=0))}
        event = event_of_request(context, AuditAction.LINK_CREATED, Coworker.__name__, customer_id, details)
        await record_event(session, event, context.now)
    value = {"Purpose": purpose.value, "Path": link.path, "ExpireDate": details["ExpireDate"]}
    now = context.now.replace(microsecond=0)
    return JsonBytesResponse(action_body("The link was successfully created.", value, now, context.principal.email))
