"""Declares `ImportBatch`, which the API does not serve as a record."""

from __future__ import annotations

from creditdesk.schema.entity import Entity
from creditdesk.schema.fields import Integer, Text


class ImportBatch(Entity, area="ledger", plural="importbatches", public=False):
    """A file of one kind of record that is imported in parts.

    `Kind` is the plural of the entity. `Headings` are the columns of the file, and `Fields` the fields that they are
    imported as, both JSON lists. `State` is one of `transfer.import_batches.BatchState`. `RequestedBy` is the Id of
    the user who requested the state, and `UpdatedBy` the user's e-mail.
    """

    Kind = Text(exact=True, nullable=False)
    FileName = Text(exact=True)
    Headings = Text(exact=True, nullable=False)
    Fields = Text(exact=True)
    Numbers = Text(exact=True, nullable=False)
    Dates = Text(exact=True, nullable=False)
    State = Text(exact=True, nullable=False, indexed=True)
    RowCount = Integer(nullable=False)
    RequestedBy = Integer()
