"""JSON Web Tokens that this server signs and verifies, with one key for each purpose."""

from __future__ import annotations

import hmac
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeVar

import jwt

from creditdesk.schema.fields import MAX_INTEGER

MAX_TOKEN_LENGTH: Final = 2_000
_ALGORITHM: Final = "HS256"

ClaimsT = TypeVar("ClaimsT")


class TokenSigner:
    """Signs and reads tokens with the key derived from `secret` for a purpose."""

    def __init__(self, secret: str, purpose: str) -> None:
        self._key = hmac.digest(secret.encode(), f"creditdesk {purpose}".encode(), "sha256")

    def sign(self, payload: Mapping[str, Any]) -> str:
        return jwt.encode(dict(payload), self._key, _ALGORITHM)

    def read(
        self,
        token: str,
        required: Sequence[str],
        parse: Callable[[Mapping[str, Any]], ClaimsT],
        audience: str | None = None,
    ) -> ClaimsT | None:
        """What `parse` makes of the payload; None for a wrong signature or audience, or a malformed claim.

        Expiry is left to the caller, who compares it with its own clock.
        """
        if len(token) > MAX_TOKEN_LENGTH:
            return None
        try:
            payload = jwt.decode(
                token,
                self._key,
                algorithms=[_ALGORITHM],
                audience=audience,
                options={"require": list(required), "verify_exp": False, "verify_iat": False},
            )
            return parse(payload)
        except (jwt.InvalidTokenError, KeyError, ValueError, TypeError, OverflowError):
            return None


def parse_id(claim: Any) -> int:
    """The id in a claim. Raises ValueError or TypeError for anything else."""
    found = int(claim)
    if not 0 < found <= MAX_INTEGER:
        raise ValueError("not an id")
    return found
