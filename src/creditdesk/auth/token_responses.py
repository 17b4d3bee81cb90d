"""Responses of the token endpoint: tokens, or an OAuth 2 error (RFC 6749, section 5.2)."""

from __future__ import annotations

from dataclasses import dataclass

from creditdesk.auth.principal import NO_ACCESS_MESSAGE, RESET_MESSAGE, UserSnapshot
from creditdesk.schema.errors import DomainError


@dataclass(frozen=True, slots=True)
class TokenResponse:
    """Issued tokens; field names and order are those of the response."""

    access_token: str
    token_type: str
    expires_in: int
    refresh_token: str


class TokenError(DomainError):
    """A failed token request; `error` is its OAuth 2 error code."""

    def __init__(self, error: str, message: str) -> None:
        super().__init__(message)
        self.error = error


def unsupported_grant_type() -> TokenError:
    return TokenError("unsupported_grant_type", "Send grant_type password or refresh_token as a form")


def wrong_password() -> TokenError:
    return TokenError("invalid_grant", "The user name or password is incorrect")


def wrong_refresh_token() -> TokenError:
    return TokenError("invalid_grant", "The refresh token is not valid")


def wrong_code() -> TokenError:
    return TokenError("invalid_grant", "The one-time code is not valid")


def refused_user(snapshot: UserSnapshot | None) -> TokenError:
    """The error for a user with valid credentials that may not use the API."""
    message = snapshot.message if snapshot else NO_ACCESS_MESSAGE
    return TokenError("password_reset_required" if message == RESET_MESSAGE else "invalid_grant", message)


def code_required() -> TokenError:
    return TokenError("two_factor_auth_check", "Send the one-time code as totp")
