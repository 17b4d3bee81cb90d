"""The errors a caller can cause. Each is a value with a kind, a sentence, and field errors."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

ResultT = TypeVar("ResultT")


@dataclass(frozen=True, slots=True)
class FieldError:
    """One thing wrong with one property of a body."""

    PropertyName: str
    Message: str
    AttemptedValue: Any = None


class DomainError(Exception):
    """A call that is refused; nothing it asked for has happened."""

    status = 400

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class ValidationError(DomainError):
    """A body or query that cannot be taken; carries every field error, in field order."""

    def __init__(self, *errors: FieldError) -> None:
        super().__init__("; ".join(f"{e.PropertyName}: {e.Message}" for e in errors))
        self.errors = errors


class Unauthenticated(DomainError):
    """No, bad or expired credentials, or a user without API access."""

    status = 401


class PermissionDenied(DomainError):
    """The caller lacks a role."""

    status = 403


class NotFound(DomainError):
    """No such record, or none that the caller may see."""

    status = 404

    def __init__(self) -> None:
        super().__init__("Not found")


class MethodNotAllowed(DomainError):
    """The entity lacks this verb."""

    status = 405


class Conflict(DomainError):
    """A race was lost, or the same key is still in flight (rules 31, 32)."""

    status = 409


class IdempotencyKeyReused(DomainError):
    """An idempotency key that came with another body before (rule 32)."""

    status = 422


class StateConflict(DomainError):
    """A delete or command that the record's state does not allow: 200 with WasSuccessful false."""

    status = 200


class RateLimited(DomainError):
    """Too many calls; `wait_seconds` says when to come back."""

    status = 429

    def __init__(self, retry_after_seconds: int) -> None:
        super().__init__(f"Too many requests. Wait {retry_after_seconds} seconds")
        self.retry_after_seconds = retry_after_seconds


def raise_first_error(results: Iterable[ResultT | DomainError]) -> list[ResultT]:
    """The results, where none is a refusal; raises the first that is."""
    values: list[ResultT] = []
    for result in results:
        if isinstance(result, DomainError):
            raise result
        values.append(result)
    return values


def missing_field(name: str) -> FieldError:
    return FieldError(name, "is a required field", None)


def invalid_field(name: str, message: str, attempted: Any = None) -> ValidationError:
    return ValidationError(FieldError(name, message, attempted))
