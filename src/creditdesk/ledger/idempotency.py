"""Idempotency: what a call with a key was answered, kept in the transaction of its effect (rule 32).

This module must not know what the call did.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256

from creditdesk.entities.ledger.stored_response import StoredAnswer
from creditdesk.ledger.journal.mapping import new_record, where
from creditdesk.schema.errors import KeyReused
from creditdesk.schema.repository import Finding, Insert, Reading, Unit
from creditdesk.schema.service import Call


@dataclass(frozen=True, slots=True)
class Answer:
    """A wire answer: its HTTP status and its exact bytes."""

    status: int
    body: bytes


KeyId = tuple[int, str]
"""A user, and the digest of its key: text is compared without case, keys are not."""


def key_id(call: Call) -> KeyId | None:
    """Names the call's key, or None when it came without one; keys are each user's own."""
    if call.key is None:
        return None
    return (call.caller.user_id, _digest(call.key))


@lru_cache(maxsize=256)
def _digest(key: str) -> str:
    """Kept for a moment, as a call's key is asked for at each step of its way."""
    return sha256(key.encode()).hexdigest()


async def earlier_answers(
    finding: Finding, calls: Iterable[tuple[Call, str]]
) -> dict[KeyId, Answer | KeyReused]:
    """What the calls, each with its fingerprint, were answered before.

    A key that came with another body before gives KeyReused; a key not seen before is left out.
    """
    asked = {key: fingerprint for call, fingerprint in calls if (key := key_id(call))}
    if not asked:
        return {}
    users = tuple({user for user, _ in asked})
    numbers = tuple({number_of(key) for _, key in asked})
    found = await finding.find(StoredAnswer, where(StoredAnswer, UserId=users, KeyNumber=numbers))
    answers: dict[KeyId, Answer | KeyReused] = {}
    for stored in found:
        key = (stored["UserId"], stored["Key"])
        if key not in asked:
            continue
        if stored["Fingerprint"] != asked[key]:
            answers[key] = KeyReused("This idempotency key came with another body before.")
        else:
            answers[key] = Answer(stored["Status"], stored["Body"].encode())
    return answers


async def earlier_answer(reading: Reading, call: Call, fingerprint: str) -> Answer | None:
    """What this very call was answered before, if it was. Raises KeyReused."""
    found = (await earlier_answers(reading, [(call, fingerprint)])).get(key_id(call) or (0, ""))
    if isinstance(found, KeyReused):
        raise found
    return found


async def store_answers(unit: Unit, answered: Sequence[tuple[Call, str, Answer]]) -> None:
    """Keeps the answers of the calls that have a key, in one statement."""
    records = [
        new_record(
            StoredAnswer,
            {
                "UserId": key[0],
                "Key": key[1],
                "KeyNumber": number_of(key[1]),
                "Fingerprint": fingerprint,
                "Status": answer.status,
                "Body": answer.body.decode(),
            },
            call.now,
            call.caller.email,
        )
        for call, fingerprint, answer in answered
        if (key := key_id(call))
    ]
    if records:
        await unit.write([Insert(StoredAnswer, records)])


def number_of(digest: str) -> int:
    """The digest's first 63 bits: many keys are looked up at once by numbers."""
    return int(digest[:16], 16) >> 1
