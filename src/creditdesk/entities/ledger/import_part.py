"""Declares `ImportPart`, which the API does not serve as a record."""

from __future__ import annotations

from creditdesk.schema.entity import Entity
from creditdesk.schema.fields import Boolean, Integer, Reference, Text


class ImportPart(Entity, area="ledger", plural="importparts", public=False):
    """Some rows of an `ImportBatch`, and what has become of them in its state.

    `Rows` are lines of JSON, each a list of cells or the message of a row that cannot be read; empty once they are
    imported. `FirstRow` is the number of the first row. `Taken` rows are done, and all if `IsDone`. `AddedIds` are
    the new records, as ranges. `Messages` are a JSON list.
    """

    Batch = Reference("ImportBatch", required=True)
    FirstRow = Integer(nullable=False)
    RowCount = Integer(nullable=False)
    Rows = Text(exact=True, nullable=False)
    Taken = Integer(nullable=False)
    IsDone = Boolean(nullable=False)
    Added = Integer(nullable=False)
    Changed = Integer(nullable=False)
    Unchanged = Integer(nullable=False)
    Refused = Integer(nullable=False)
    Adjusted = Integer(nullable=False)
    Ignored = Integer(nullable=False)
    Deleted = Integer(nullable=False)
    AddedIds = Text(exact=True, nullable=False)
    Messages = Text(exact=True, nullable=False)
    MessageCount = Integer(nullable=False)
