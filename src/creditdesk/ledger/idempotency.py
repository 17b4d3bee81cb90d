"""Idempotency keys: the response to a request is stored in the transaction of its effect (rule 32)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from hashlib import sha256

from msgspec import Struct, convert

from creditdesk.entities.ledger.stored_response import StoredResponse
from creditdesk.schema.errors import IdempotencyKeyReused
from creditdesk.schema.query import where
from creditdesk.schema.records import new_record
from creditdesk.schema.repository import Finder, Insert, ReadSession, WriteSession
from creditdesk.schema.service import RequestContext
from creditdesk.telemetry.metrics import REPLAYS


class SavedResponse(Struct, frozen=True):
    """A response: its HTTP status and its exact bytes."""

    status: int
    body: bytes


class _ResponseRow(Struct, frozen=True, rename="pascal"):
    user_id: int
    key: str
    fingerprint: str
    status: int
    body: str


ScopedKey = tuple[int, str]
"""A user and the digest of their key. Stored text ignores case, keys do not, hence the digest."""


def scoped_key(context: RequestContext) -> ScopedKey | None:
    """The request's key with its user, or None without a key. Each user has keys of their own."""
    if context.idempotency_key is None:
        return None
    return (context.principal.user_id, _key_digest(context.idempotency_key))


@lru_cache(maxsize=256)
def _key_digest(key: str) -> str:
    """Cached, because each request asks for it several times."""
    return sha256(key.encode()).hexdigest()


async def find_responses(
    finder: Finder, requests: Iterable[tuple[RequestContext, str]]
) -> dict[ScopedKey, SavedResponse | IdempotencyKeyReused]:
    """The stored responses to these requests, each given with the fingerprint of its body.

    A key that was used with another body maps to IdempotencyKeyReused; a new key is left out.
    """
    fingerprints = {key: fingerprint for context, fingerprint in requests if (key := scoped_key(context))}
    if not fingerprints:
        return {}
    users = tuple({user for user, _ in fingerprints})
    numbers = tuple({key_number(key) for _, key in fingerprints})
    filters = where(StoredResponse, UserId=users, KeyNumber=numbers)
    responses: dict[ScopedKey, SavedResponse | IdempotencyKeyReused] = {}
    for record in await finder.find(StoredResponse, filters):
        row = convert(record, _ResponseRow)
        key = (row.user_id, row.key)
        if key not in fingerprints:
            continue
        if row.fingerprint != fingerprints[key]:
            responses[key] = IdempotencyKeyReused("This idempotency key was used with a different request before.")
        else:
            REPLAYS.count()
            responses[key] = SavedResponse(row.status, row.body.encode())
    return responses


async def find_response(session: ReadSession, context: RequestContext, fingerprint: str) -> SavedResponse | None:
    """The stored response to this request, if any. Raises IdempotencyKeyReused."""
    found = (await find_responses(session, [(context, fingerprint)])).get(scoped_key(context) or (0, ""))
    if isinstance(found, IdempotencyKeyReused):
        raise found
    return found


async def save_responses(session: WriteSession, responses: Sequence[tuple[RequestContext, str, SavedResponse]]) -> None:
    """Stores the responses to the requests that have a key, in one statement."""
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
    """The first 63 bits of the digest, by which many keys are found at once."""
    return int(digest[:16], 16) >> 1
