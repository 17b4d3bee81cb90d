"""Idempotency: what a call with a key was answered, kept in the transaction of its effect (rule 32).

This module must not know what the call did.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256

from creditdesk.entities.ledger.stored_response import StoredResponse
from creditdesk.ledger.journal.mapping import where
from creditdesk.schema.errors import IdempotencyKeyReused
from creditdesk.schema.records import new_record
from creditdesk.schema.repository import Finder, Insert, ReadSession, WriteSession
from creditdesk.schema.service import RequestContext


@dataclass(frozen=True, slots=True)
class SavedResponse:
    """A wire answer: its HTTP status and its exact bytes."""

    status: int
    body: bytes


ScopedKey = tuple[int, str]
"""A user, and the digest of its key: text is compared without case, keys are not."""


def scoped_key(context: RequestContext) -> ScopedKey | None:
    """Names the call's key, or None when it came without one; keys are each user's own."""
    if context.idempotency_key is None:
        return None
    return (context.principal.user_id, _key_digest(context.idempotency_key))


@lru_cache(maxsize=256)
def _key_digest(key: str) -> str:
    """Kept for a moment, as a call's key is asked for at each step of its way."""
    return sha256(key.encode()).hexdigest()


async def find_responses(
    finder: Finder, requests: Iterable[tuple[RequestContext, str]]
) -> dict[ScopedKey, SavedResponse | IdempotencyKeyReused]:
    """What the calls, each with its fingerprint, were answered before.

    A key that came with another body before gives KeyReused; a key not seen before is left out.
    """
    fingerprints = {
        key: fingerprint for context, fingerprint in requests if (key := scoped_key(context))
    }
    if not fingerprints:
        return {}
    users = tuple({user for user, _ in fingerprints})
    numbers = tuple({key_number(key) for _, key in fingerprints})
    found = await finder.find(
        StoredResponse, where(StoredResponse, UserId=users, KeyNumber=numbers)
    )
    responses: dict[ScopedKey, SavedResponse | IdempotencyKeyReused] = {}
    for stored in found:
        key = (stored["UserId"], stored["Key"])
        if key not in fingerprints:
            continue
        if stored["Fingerprint"] != fingerprints[key]:
            responses[key] = IdempotencyKeyReused(
                "This idempotency key came with another body before."
            )
        else:
            responses[key] = SavedResponse(stored["Status"], stored["Body"].encode())
    return responses


async def find_response(
    session: ReadSession, context: RequestContext, fingerprint: str
) -> SavedResponse | None:
    """What this very call was answered before, if it was. Raises KeyReused."""
    found = (await find_responses(session, [(context, fingerprint)])).get(
        scoped_key(context) or (0, "")
    )
    if isinstance(found, IdempotencyKeyReused):
        raise found
    return found


async def save_responses(
    session: WriteSession, responses: Sequence[tuple[RequestContext, str, SavedResponse]]
) -> None:
    """Keeps the answers of the calls that have a key, in one statement."""
    records = [
        new_record(
            StoredResponse,
            {
                "UserId": key[0],
                "Key": key[1],
                "KeyNumber": key_number(key[1]),
                "Fingerprint": fingerprint,
                "Status": answer.status,
                "Body": answer.body.decode(),
            },
            context.now,
            context.principal.email,
        )
        for context, fingerprint, answer in responses
        if (key := scoped_key(context))
    ]
    if records:
        await session.write([Insert(StoredResponse, records)])


def key_number(digest: str) -> int:
    """The digest's first 63 bits: many keys are looked up at once by numbers."""
    return int(digest[:16], 16) >> 1
