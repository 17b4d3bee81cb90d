"""The audit trail: who did what outside of the ledger, when and from where (rule 39).

Records are append-only and chained like journal entries. Writers lock the chain's head, so an event is recorded
last in its transaction.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from hashlib import sha256
from typing import Any, Final

import msgspec

from creditdesk.auth.origin import NO_ORIGIN, RequestOrigin
from creditdesk.entities.ledger.audit_head import AuditHead
from creditdesk.entities.ledger.audit_record import AuditRecord
from creditdesk.entities.sys.user import User
from creditdesk.schema.entity import Record
from creditdesk.schema.hash_link import link_digest
from creditdesk.schema.query import where
from creditdesk.schema.records import new_record, update_stamp
from creditdesk.schema.repository import ReadSession, WriteSession, find_first
from creditdesk.schema.service import RequestContext

HEAD_ID: Final = 1
GENESIS: Final = sha256(b"creditdesk audit trail 1").digest()
"""The digest before the first record."""
UNKNOWN_ACTOR: Final = "unknown"
"""The actor of a failed sign-in of an unknown user. The entered text is not recorded: it may be a password."""
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class AuditAction(StrEnum):
    """What was done."""

    SIGN_IN = "sign-in"
    SIGN_IN_REFUSED = "sign-in refused"
    SIGN_OUT = "sign-out"
    TOKEN_REPLAYED = "refresh token used twice"  # noqa: S105 - the name of an act
    LINK_CREATED = "member link created"
    TOKEN_ISSUED = "token issued"  # noqa: S105 - the name of an act
    PASSWORD_CHANGED = "password changed"  # noqa: S105 - the name of an act
    SECOND_FACTOR_REMOVED = "second factor removed"
    ROLES_CHANGED = "roles changed"
    CREATED = "created"
    CHANGED = "changed"
    DELETED = "deleted"
    CLOSED = "month closed"
    REOPENED = "month reopened"
    IMPORTED = "imported"
    EXPORTED = "exported"
    BACKED_UP = "backed up"
    REFUSED = "refused"
    KEY_ROTATED = "key rotated"
    BEGUN = "audit trail begun"
    PURGED = "audit trail purged"


@dataclass(frozen=True, slots=True)
class AuditEvent:
    """An act, who did it from where, and to which record."""

    action: AuditAction
    actor: str
    user_id: int | None = None
    address: str | None = None
    business_id: int | None = None
    subject: str | None = None
    subject_id: int | None = None
    details: Mapping[str, Any] = field(default_factory=dict)


def event_of_request(
    context: RequestContext, action: AuditAction, subject: str, subject_id: int, details: Mapping[str, Any]
) -> AuditEvent:
    """The event of a signed-in user."""
    principal = context.principal
    return AuditEvent(action, principal.email, principal.user_id, context.address, None, subject, subject_id, details)


async def record_user_event(
    session: WriteSession,
    action: AuditAction,
    user_id: int | None,
    now: datetime,
    origin: RequestOrigin = NO_ORIGIN,
    details: Mapping[str, Any] | None = None,
) -> None:
    """Records what a user did with its own password or session; None for an unknown user."""
    email = UNKNOWN_ACTOR
    if user_id is not None:
        found = await find_first(session, User, where(User, Id=user_id), columns=("Id", "Email"))
        email = found["Email"] if found else UNKNOWN_ACTOR
    subject = User.__name__ if user_id is not None else None
    await record_event(
        session, AuditEvent(action, email, user_id, origin.address, None, subject, user_id, details or {}), now
    )


async def record_event(session: WriteSession, event: AuditEvent, now: datetime) -> None:
    """Appends the event to the trail."""
    head = (await session.lock(AuditHead, [HEAD_ID])).get(HEAD_ID)
    sequence = head["Sequence"] + 1 if head else 1
    record = new_record(
        AuditRecord,
        {
            "BusinessId": event.business_id,
            "Sequence": sequence,
            "RecordedOn": now,
            "Action": event.action.value,
            "Actor": event.actor,
            "UserId": event.user_id,
            "Address": event.address,
            "Subject": event.subject,
            "SubjectId": event.subject_id,
            "Details": msgspec.json.encode(event.details).decode(),
        },
        now,
        event.actor,
    )
    previous = bytes.fromhex(head["Digest"]) if head else GENESIS
    digest = record["Digest"] = record_digest(previous, record).hex()
    await session.insert(AuditRecord, [record])
    if head:
        await session.update(
            AuditHead, [(HEAD_ID, {"Sequence": sequence, "Digest": digest, **update_stamp(now, None)})]
        )
    else:
        values = {"Id": HEAD_ID, "Sequence": sequence, "Digest": digest}
        await session.insert(AuditHead, [new_record(AuditHead, values, now)])


async def find_head(session: ReadSession) -> tuple[int, bytes]:
    """The last record's number and digest; 0 for an empty trail."""
    found = await find_first(session, AuditHead)
    return (found["Sequence"], bytes.fromhex(found["Digest"])) if found else (0, GENESIS)


def record_digest(previous: bytes, record: Record) -> bytes:
    """The digest of a record after the one with digest `previous`."""
    recorded = (record["RecordedOn"] - _EPOCH) // timedelta(microseconds=1)
    content = [
        record["Sequence"], recorded, record["Action"], record["Actor"], record["UserId"], record["Address"],
        record["BusinessId"], record["Subject"], record["SubjectId"], record["Details"],
    ]  # fmt: skip
    return link_digest(previous, sha256(msgspec.json.encode(content)).digest())
