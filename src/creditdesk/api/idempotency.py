"""Idempotency keys (rule 32): key and effect commit together; the same call gets the same bytes.

Knows the entity that keeps answers only by its fields. A refused call undoes its unit, and with it
the key.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Final
from uuid import uuid4

from starlette.responses import Response

from creditdesk.api.responses import JsonBytesResponse
from creditdesk.ledger.idempotency import key_number
from creditdesk.schema.entity import Entity
from creditdesk.schema.errors import IdempotencyKeyReused, invalid_field
from creditdesk.schema.query import Comparison, Filter
from creditdesk.schema.repository import WriteSession
from creditdesk.schema.service import RequestContext

MAX_KEY_LENGTH: Final = 255


@dataclass(frozen=True, slots=True)
class ResponseStore:
    """Where answers are kept: an entity with KeyNumber and Key (of a digest), UserId, Fingerprint,
    Status and Body.
    """

    entity: type[Entity]

    async def find(
        self, session: WriteSession, context: RequestContext, fingerprint: str
    ) -> Response | None:
        """The answer this key got before; KeyReused when it came with something else."""
        if context.idempotency_key is None:
            return None
        columns = self.entity.meta().columns
        digest = key_digest(context.idempotency_key)
        found = await session.find(
            self.entity,
            (
                Filter(columns["KeyNumber"], Comparison.EQUALS, key_number(digest)),
                Filter(columns["UserId"], Comparison.EQUALS, context.principal.user_id),
                Filter(columns["Key"], Comparison.EQUALS, digest),
            ),
        )
        if not found:
            return None
        if found[0]["Fingerprint"] != fingerprint:
            raise IdempotencyKeyReused("This idempotency key came with another request before")
        return JsonBytesResponse(found[0]["Body"].encode(), found[0]["Status"])

    async def save(
        self,
        session: WriteSession,
        context: RequestContext,
        fingerprint: str,
        status: int,
        body: bytes,
    ) -> None:
        """Stores the answer with its key, in the unit that does the work."""
        if context.idempotency_key is None:
            return
        digest = key_digest(context.idempotency_key)
        kept = {
            "Key": digest,
            "KeyNumber": key_number(digest),
            "UserId": context.principal.user_id,
            "Fingerprint": fingerprint,
            "Status": status,
            "Body": body.decode(),
            "UniqueId": str(uuid4()),
            "CreatedOn": context.now,
            "UpdatedOn": context.now,
        }
        await session.insert(self.entity, [kept])


def parse_key(headers: Mapping[str, str]) -> str | None:
    """The `Idempotency-Key` of a call, if it has one."""
    key = headers.get("idempotency-key", "").strip()
    if len(key) > MAX_KEY_LENGTH:
        raise invalid_field("Idempotency-Key", f"must be at most {MAX_KEY_LENGTH} characters")
    return key or None


def key_digest(key: str) -> str:
    """A key as it is kept: text is compared without case, keys are not."""
    return sha256(key.encode()).hexdigest()


def request_fingerprint(method: str, path: str, body: bytes) -> str:
    """What tells one request from another under the same key."""
    digest = sha256(f"{method} {path.lower().rstrip('/')}\n".encode())
    digest.update(body)
    return digest.hexdigest()
