"""Declares `AuditRecord`, served at `/api/ledger/audittrail`."""

from __future__ import annotations

from creditdesk.entities.roles import AUDIT_ROLE
from creditdesk.schema.entity import ALL_VERBS, Entity
from creditdesk.schema.fields import DateTime, Integer, Reference, Text


class AuditRecord(
    Entity,
    area="ledger",
    plural="audittrail",
    verbs=("list", "get"),
    scope="BusinessId",
    append_only=True,
    deletable_when="EXISTS (SELECT 1 FROM audit_head WHERE removed_through >= OLD.sequence)",
    roles=dict.fromkeys(ALL_VERBS, AUDIT_ROLE),
):
    """An act of a person beside the ledger: a sign-in, a change of a user, an export (rule 39).

    `Actor` is the e-mail, or the command line's user; `UserId` is empty for a command. `Subject` is
    the kind of record that was acted on, with its Id. `Details` is a JSON object: what changed, each
    with the value before and after. Each digest covers all records before it. Records before the start
    that the trail itself states (`AuditAction.PURGED`) may be deleted.
    """

    # A plain id: a record never changes, and must not prevent that a location is deleted.
    Business = Reference("Business", is_local=False)
    Sequence = Integer(nullable=False)
    RecordedOn = DateTime(nullable=False, indexed=True)
    Action = Text(exact=True, nullable=False, indexed=True)
    Actor = Text(exact=True, nullable=False, indexed=True)
    UserId = Integer()
    Address = Text(exact=True)
    Subject = Text(exact=True)
    SubjectId = Integer()
    Details = Text(nullable=False)
    Digest = Text(exact=True, nullable=False)
