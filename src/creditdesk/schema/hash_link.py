"""The link of a hash chain: each digest covers everything before it."""

from __future__ import annotations

from hashlib import sha256
from typing import Final

_LINK: Final = b"\x04"


def link_digest(previous: bytes, content: bytes) -> bytes:
    """Digest of an entry from the digest before it and its content digest, 32 bytes each."""
    return sha256(_LINK + previous + content).digest()
