"""Time-based one-time codes of 30 seconds (RFC 6238). Callers store the last accepted step."""

from __future__ import annotations

import binascii
import hmac
from datetime import datetime

import pyotp

STEP_SECONDS = 30


def is_valid_secret(secret: str) -> bool:
    """Whether the text is a base-32 secret of at least 80 bits."""
    try:
        return len(pyotp.TOTP(secret).byte_secret()) >= 10
    except (binascii.Error, ValueError):
        return False


def accepted_step(secret: str, code: str, now: datetime, last_step: int) -> int | None:
    """The step whose code this is: the current one or a neighbour, later than `last_step`.

    Returns None where there is none, so no code is accepted twice.
    """
    digits = code.replace(" ", "").encode()
    current = int(now.timestamp()) // STEP_SECONDS
    generator = pyotp.TOTP(secret)
    for step in (current, current - 1, current + 1):
        expected = generator.generate_otp(step).encode()
        if step > last_step and hmac.compare_digest(expected, digits):
            return step
    return None
