"""The two envelopes: of a list, and of an action; key orders are those of the samples.

Must not know how records render or what was done to them.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal

from msgspec import Struct

from creditdesk.api.query_params import ParsedListQuery
from creditdesk.api.serializer import encode

WriteKind = Literal["created", "updated", "deleted"]


class ListEnvelope(Struct, frozen=True, gc=False):
    """One page of records and where it lies among all that match."""

    Records: Sequence[Any]
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
    """What a write did, and the record it left."""

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


def list_envelope(records: Sequence[Any], parsed: ParsedListQuery, total: int) -> ListEnvelope:
    """Items count from 1; a page without records has 0 as its first and last item."""
    page, size = parsed.query.page, parsed.query.size
    pages = -(-total // size)
    first = (page - 1) * size + 1 if records else 0
    return ListEnvelope(
        Records=records,
        CurrentPageSize=size,
        CurrentPage=page,
        CurrentOrderField=parsed.order_name,
        CurrentSortDirection=parsed.direction,
        FirstItem=first,
        HasNextPage=page < pages,
        HasPreviousPage=page > 1 and pages > 0,
        LastItem=first + len(records) - 1 if records else 0,
        PageNumber=page,
        PageSize=size,
        TotalItems=total,
        TotalPages=pages,
    )


def write_message(entity_name: str, kind: WriteKind) -> str:
    return f"{entity_name} was successfully {kind}."


def action_body(
    message: str, value: Any, updated_on: datetime | None, updated_by: str | None
) -> bytes:
    """The body of a write that succeeded."""
    return encode(ActionEnvelope(200, message, value, UpdatedOn=updated_on, UpdatedBy=updated_by))
