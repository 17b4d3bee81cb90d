"""Declares `StoredCheckpoint`, which the wire does not serve."""

from __future__ import annotations

from creditdesk.schema.entity import Entity
from creditdesk.schema.fields import Object, Text


class StoredCheckpoint(
    Entity,
    area="ledger",
    plural="checkpoints",
    public=False,
    append_only=True,
    unique=(("Previous",),),
):
    """One signed checkpoint of the whole ledger, with what proofs under it are made from.

    `Document` is the checkpoint as it is published. `PublicKey` is its signer's, raw in hex;
    `Blinding` the secret that never leaves the space. Each follows another one or none, so no
    two can be made side by side.
    """

    Document = Object()
    Previous = Text(exact=True, nullable=False)
    KeyFingerprint = Text(exact=True, nullable=False, indexed=True)
    PublicKey = Text(exact=True, nullable=False)
    Blinding = Text(exact=True, nullable=False)
