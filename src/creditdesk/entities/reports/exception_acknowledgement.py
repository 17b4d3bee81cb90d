"""Declares `ExceptionAcknowledgement`, which the API does not serve."""

from __future__ import annotations

from creditdesk.schema.entity import Entity
from creditdesk.schema.fields import Reference, Text


class ExceptionAcknowledgement(
    Entity, area="reports", plural="acknowledgements", public=False, scope="BusinessId", append_only=True
):
    """That a person accepts an exception of the exceptions report, with a note.

    `Key` identifies the exception and its amount, so one that changes is open again. The author and the
    time are those of the record; the newest record of a key counts.
    """

    Business = Reference("Business", required=True)
    Key = Text(exact=True, nullable=False, indexed=True)
    Note = Text(nullable=False)
