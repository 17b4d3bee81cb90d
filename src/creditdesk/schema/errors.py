"""The errors a caller can cause. Each is a value with a kind, a sentence, and field errors."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

Done = TypeVar("Done")


@dataclass(frozen=True, slots=True)
class FieldError:
    """One thing wrong with one property of a body."""

    PropertyName: str
    Message: str
    AttemptedValue: Any = None


class Refusal(Exception):
    """A call that is refused; nothing it asked for has happened."""

    status = 400

    def __init__(self, sentence: str) -> None:
        super().__init__(sentence)
        self.sentence = sentence


class Invalid(Refusal):
    """A body or query that cannot be taken; carries every field error, in field order."""

    def __init__(self, *errors: FieldError) -> None:
        super().__init__("; ".join(f"{e.PropertyName}: {e.Message}" for e in errors))
        self.errors = errors


class NotSignedIn(Refusal):
    """No, bad or expired credentials, or a user without API access."""

    status = 401


class NotAllowed(Refusal):
    """The caller lacks a role."""

    status = 403


class NotFound(Refusal):
    """No such record, or none that the caller may see."""

    status = 404

    def __init__(self) -> None:
        super().__init__("Not found")


class NoSuchVerb(Refusal):
    """The entity lacks this verb."""

    status = 405


class Conflict(Refusal):
    """A race was lost, or the same key is still in flight (rules 31, 32)."""

    status = 409


class KeyReused(Refusal):
    """An idempotency key that came with another body before (rule 32)."""

    status = 422


class Blocked(Refusal):
    """A delete or command that the record's state does not allow: 200 with WasSuccessful false."""

    status = 200


class Throttled(Refusal):
    """Too many calls; `wait_seconds` says when to come back."""

    status = 429

    def __init__(self, wait_seconds: int) -> None:
        super().__init__(f"Too many requests. Wait {wait_seconds} seconds")
        self.wait_seconds = wait_seconds


def none_refused(results: Iterable[Done | Refusal]) -> list[Done]:
    """The results, where none is a refusal; raises the first that is."""
    given: list[Done] = []
    for result in results:
        if isinstance(result, Refusal):
            raise result
        given.append(result)
    return given


def required(name: str) -> FieldError:
    return FieldError(name, "is a required field", None)


def invalid(name: str, sentence: str, attempted: Any = None) -> Invalid:
    return Invalid(FieldError(name, sentence, attempted))
