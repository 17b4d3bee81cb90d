"""Declares `CheckpointHeads`, which the API does not serve."""

from __future__ import annotations

from creditdesk.schema.entity import Entity
from creditdesk.schema.fields import Integer, Object, Reference, Text


class CheckpointHeads(
    Entity,
    area="ledger",
    plural="checkpointheads",
    public=False,
    append_only=True,
    unique=(("StoredCheckpointId", "CreditKind", "FirstCreditId"),),
):
    """A part of the heads under a checkpoint: credits of one type, ordered by Id.

    `Heads` is one text: the 50 bytes of each head (docs/explanation/proof.md), concatenated, in base 64.
    """

    StoredCheckpoint = Reference("StoredCheckpoint", required=True)
    CreditKind = Text(exact=True, nullable=False)
    FirstCreditId = Integer(nullable=False)
    LastCreditId = Integer(nullable=False)
    Heads = Object()
