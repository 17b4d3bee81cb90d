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

from creditdesk.api.responses import JsonAnswer
from creditdesk.ledger.idempotency import number_of
from creditdesk.schema.entity import Entity
from creditdesk.schema.errors import KeyReused, invalid
from creditdesk.schema.query import Filter, Test
from creditdesk.schema.repository import Unit
from creditdesk.schema.service import Call

LONGEST_KEY: Final = 255


@dataclass(frozen=True, slots=True)
class Answers:
    """Where answers are kept: an entity with KeyNumber and Key (of a digest), UserId, Fingerprint,
    Status and Body.
    """

    entity: type[Entity]

    async def earlier(self, unit: Unit, call: Call, fingerprint: str) -> Response | None:
        """The answer this key got before; KeyReused when it came with something else."""
        if call.key is None:
            return None
        columns = self.entity.shape().columns
        digest = digest_of(call.key)
        found = await unit.find(
            self.entity,
            (
                Filter(columns["KeyNumber"], Test.IS, number_of(digest)),
                Filter(columns["UserId"], Test.IS, call.caller.user_id),
                Filter(columns["Key"], Test.IS, digest),
            ),
        )
        if not found:
            return None
        if found[0]["Fingerprint"] != fingerprint:
            raise KeyReused("This idempotency key came with another request before")
        return JsonAnswer(found[0]["Body"].encode(), found[0]["Status"])

    async def keep(
        self, unit: Unit, call: Call, fingerprint: str, status: int, body: bytes
    ) -> None:
        """Stores the answer with its key, in the unit that does the work."""
        if call.key is None:
            return
        digest = digest_of(call.key)
        kept = {
            "Key": digest,
            "KeyNumber": number_of(digest),
            "UserId": call.caller.user_id,
            "Fingerprint": fingerprint,
            "Status": status,
            "Body": body.decode(),
            "UniqueId": str(uuid4()),
            "CreatedOn": call.now,
            "UpdatedOn": call.now,
        }
        await unit.insert(self.entity, [kept])


def read_key(headers: Mapping[str, str]) -> str | None:
    """The `Idempotency-Key` of a call, if it has one."""
    key = headers.get("idempotency-key", "").strip()
    if len(key) > LONGEST_KEY:
        raise invalid("Idempotency-Key", f"must be at most {LONGEST_KEY} characters")
    return key or None


def digest_of(key: str) -> str:
    """A key as it is kept: text is compared without case, keys are not."""
    return sha256(key.encode()).hexdigest()


def fingerprint_of(method: str, path: str, body: bytes) -> str:
    """What tells one request from another under the same key."""
    digest = sha256(f"{method} {path.lower().rstrip('/')}\n".encode())
    digest.update(body)
    return digest.hexdigest()
