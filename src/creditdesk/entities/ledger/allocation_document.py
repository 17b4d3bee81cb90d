"""Declares `AllocationDocument`, served at `/api/ledger/allocations`."""

from __future__ import annotations

from creditdesk.entities.roles import CORRECT_ROLE, READ_ROLE, SPEND_ROLE
from creditdesk.schema.entity import Entity
from creditdesk.schema.fields import Integer, Object, Reference, Text


def _listed(credit: str) -> str:
    """A credit as `Credits` lists it, so that a filter for `money/1` does not find `money/12`."""
    return credit.strip().rstrip(";") + ";"


class AllocationDocument(
    Entity,
    area="ledger",
    plural="allocations",
    verbs=("list", "get"),
    scope="BusinessId",
    owner="CoworkerId",
    roles={
        "list": READ_ROLE,
        "get": READ_ROLE,
        "create": SPEND_ROLE,
        "update": CORRECT_ROLE,
        "delete": CORRECT_ROLE,
    },
):
    """The decision that a spend executed, as it was made (rules 19, 22).

    A spend on several sources keeps one document for each, with the same `Group`. `Operation` is one of
    `entities.states`. `Credits` lists every credit that was considered, such as `money/7;time/3;`. Both
    are null in documents that are older than them.
    """

    Business = Reference("Business", required=True)
    Coworker = Reference("Coworker", required=True, embeds=("FullName",))
    Group = Integer(nullable=False, indexed=True)
    Operation = Text(exact=True)
    SourceKind = Text(exact=True, nullable=False)
    SourceId = Integer(nullable=False, indexed=True)
    Credits = Text(filter_form=_listed)
    Document = Object()
