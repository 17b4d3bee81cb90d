"""Where a sign-in comes from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class RequestOrigin:
    """The network address and the User-Agent header of a request, where they are known.

    A client that the user has signed in with before is recognised by `device_secret`, a text that only the client
    has, or by a valid `refresh_token`. `has_client_credentials`: the client sent HTTP Basic credentials of its own.
    """

    address: str | None = None
    user_agent: str | None = None
    device_secret: str | None = None
    refresh_token: str | None = None
    has_client_credentials: bool = False


NO_ORIGIN: Final = RequestOrigin()
"""A caller of the program itself."""
