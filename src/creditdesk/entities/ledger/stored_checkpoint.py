"""Declares `StoredCheckpoint`, which the API does not serve."""

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
    """A signed checkpoint of the whole ledger, with what its proofs need.

    `Document` is the published checkpoint, `PublicKey` its signer's key (raw, in hex), `Blinding` a
    secret that is never published. Each follows another or none, so two never follow the same one.
    """

    Document = Object()
    Previous = Text(exact=True, nullable=False)
    KeyFingerprint = Text(exact=True, nullable=False, indexed=True)
    PublicKey = Text(exact=True, nullable=False)
    Blinding = Text(exact=True, nullable=False)
