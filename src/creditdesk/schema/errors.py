"""Errors that a request can cause, each with its HTTP status and a message for the caller."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

ResultT = TypeVar("ResultT")


@dataclass(frozen=True, slots=True)
class FieldError:
    """An error of one property of a request; the field names are those of the HTTP API."""

    PropertyName: str
    Message: str
    AttemptedValue: Any = None


class DomainError(Exception):
    """Base of the errors that are answered to the caller; the transaction is rolled back."""

    status = 400

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class ValidationError(DomainError):
    """An invalid body or query; `errors` has every field error, in field order."""

    def __init__(self, *errors: FieldError) -> None:
        super().__init__("; ".join(f"{e.PropertyName}: {e.Message}" for e in errors))
        self.errors = errors


class Unauthenticated(DomainError):
    """No, bad or expired credentials, or a user without API access."""

    status = 401


class PermissionDenied(DomainError):
    """The caller lacks a role or a location."""

    status = 403


class NotFound(DomainError):
    """The record does not exist, or not for the caller."""

    status = 404

    def __init__(self) -> None:
        super().__init__("Not found")


class MethodNotAllowed(DomainError):
    """The path exists without this method."""

    status = 405


class Conflict(DomainError):
    """Another transaction won, or a request with the same idempotency key is still running."""

    status = 409


class IdempotencyKeyReused(DomainError):
    """The idempotency key was used before with another request."""

    status = 422


class StateConflict(DomainError):
    """The state of the record does not allow the change.

    The HTTP API answers 200 with `WasSuccessful: false`.
    """

    status = 200


class UnknownStoredValue(StateConflict):
    """A record holds a value that this version does not know, of another version or written past the API."""

    def __init__(self, entity: str, record_id: object, name: str, value: object) -> None:
        super().__init__(f"{entity} #{record_id} has a {name} that this version does not know: {value!r}")


class RateLimited(DomainError):
    """Too many requests; `retry_after_seconds` is the value of the Retry-After header."""

    status = 429

    def __init__(self, retry_after_seconds: int) -> None:
        super().__init__(f"Too many requests. Wait {retry_after_seconds} seconds")
        self.retry_after_seconds = retry_after_seconds


class Unavailable(DomainError):
    """The database cannot be reached or is held by another program; the request may be repeated.

    `retry_after_seconds` is the value of the Retry-After header.
    """

    status = 503

    def __init__(self, message: str, retry_after_seconds: int = 1) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


def raise_first_error(results: Iterable[ResultT | DomainError]) -> list[ResultT]:
    """The results of a batch; raises the first that is an error."""
    values: list[ResultT] = []
    for result in results:
        if isinstance(result, DomainError):
            raise result
        values.append(result)
    return values


def missing_field(name: str) -> FieldError:
    """The error of a required property that is absent."""
    return FieldError(name, "is a required field")


def invalid_field(name: str, message: str, attempted: Any = None) -> ValidationError:
    """A ValidationError with one field error."""
    return ValidationError(FieldError(name, message, attempted))
