"""Where a sign-in comes from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class RequestOrigin:
    """The network address and the User-Agent header of a request, where they are known."""

    address: str | None = None
    user_agent: str | None = None


NO_ORIGIN: Final = RequestOrigin()
"""A caller of the program itself."""
