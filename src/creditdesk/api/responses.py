"""JSON responses and the two envelopes; keys are in the order of the imitated API's samples."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from msgspec import Raw, Struct
from starlette.responses import Response

from creditdesk.api.serializer import encode

if TYPE_CHECKING:
    from creditdesk.api.query_params import ParsedListQuery

_CONTENT_TYPE_JSON: Final = (b"content-type", b"application/json")


class JsonBytesResponse(Response):
    """A response with an encoded body; skips Starlette's encoding of headers."""

    def __init__(self, body: bytes, status: int = 200, headers: Mapping[str, str] | None = None) -> None:
        self.status_code = status
        self.body = body
        self.background = None
        self.raw_headers = [(b"content-length", b"%d" % len(body)), _CONTENT_TYPE_JSON]
        if headers:
            self.raw_headers[:0] = [
                (name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()
            ]


def json_response(status: int, value: Any, headers: Mapping[str, str] | None = None) -> Response:
    return JsonBytesResponse(encode(value), status, headers)


class ListEnvelope(Struct, frozen=True, gc=False):
    """One page of records and its position among all that match."""

    Records: Raw | list[Struct]
    CurrentPageSize: int
    CurrentPage: int
    CurrentOrderField: str
    CurrentSortDirection: int
    FirstItem: int
    HasNextPage: bool
    HasPreviousPage: bool
    LastItem: int
    PageNumber: int
    PageSize: int
    TotalItems: int
    TotalPages: int


class ActionEnvelope(Struct, frozen=True, gc=False):
    """The result of a write."""

    Status: int
    Message: str
    Value: Any
    OpenInDialog: bool = False
    OpenInWindow: bool = False
    RedirectURL: None = None
    JavaScript: None = None
    UpdatedOn: datetime | None = None
    UpdatedBy: str | None = None
    Errors: None = None
    WasSuccessful: bool = True


def list_envelope(records: Raw | list[Struct], count: int, parsed: ParsedListQuery, total: int) -> ListEnvelope:
    """The envelope of a page of `count` records. Items count from 1; an empty page has 0 as first and last item."""
    page, size = parsed.query.page, parsed.query.size
    pages = -(-total // size)
    first = (page - 1) * size + 1 if count else 0
    return ListEnvelope(
        Records=records,
        CurrentPageSize=size,
        CurrentPage=page,
        CurrentOrderField=parsed.order_name,
        CurrentSortDirection=parsed.direction,
        FirstItem=first,
        HasNextPage=page < pages,
        HasPreviousPage=page > 1 and pages > 0,
        LastItem=first + count - 1 if count else 0,
        PageNumber=page,
        PageSize=size,
        TotalItems=total,
        TotalPages=pages,
    )


def action_body(message: str, value: Any, updated_on: datetime | None, updated_by: str | None) -> bytes:
    """The body of a write that succeeded."""
    return encode(ActionEnvelope(200, message, value, UpdatedOn=updated_on, UpdatedBy=updated_by))


def state_conflict_body(message: str) -> ActionEnvelope:
    """The body of a write that the record's state does not allow."""
    return ActionEnvelope(200, message, None, WasSuccessful=False)
