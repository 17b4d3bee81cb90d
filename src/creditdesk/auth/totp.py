"""One-time codes of 30 seconds (RFC 6238). Pure; the last accepted step is the caller's to keep."""

from __future__ import annotations

import binascii
import hmac
from datetime import datetime

import pyotp

STEP_SECONDS = 30


def new_secret() -> str:
    """A fresh secret in base 32."""
    return pyotp.random_base32()


def is_valid_secret(secret: str) -> bool:
    """Whether the text is a base-32 secret of at least 80 bits."""
    try:
        return len(pyotp.TOTP(secret).byte_secret()) >= 10
    except (binascii.Error, ValueError):
        return False


def accepted_step(secret: str, code: str, now: datetime, last_step: int) -> int | None:
    """The step whose code this is: the current one or its neighbours, and newer than `last_step`,
    so that no code is accepted twice. None when there is no such step.
    """
    digits = code.replace(" ", "").encode()
    current = int(now.timestamp()) // STEP_SECONDS
    generator = pyotp.TOTP(secret)
    for step in (current, current - 1, current + 1):
        expected = generator.generate_otp(step).encode()
        if step > last_step and hmac.compare_digest(expected, digits):
            return step
    return None
