"""The reasons that the ledger generates, and how to tell them from reasons that people wrote."""

from __future__ import annotations

import re
from typing import Final

GRANT_REASON: Final = "granted"
OPENING_REASON: Final = "used before the journal began"
RENEWAL_REASON: Final = "renewal {}"
BENEFIT_REASON: Final = "benefit {}"
ROLLOVER_REASON: Final = "rolled over from credit #{}"
REISSUE_REASON: Final = "returned after credit #{} expired"
REVERSAL_REASON: Final = "reversal of #{}"
RELEASE_REASON: Final = "released"
BOOKING_CANCELLATION_REASON: Final = "booking cancelled"
VOID_REASON: Final = "voided"
EXPIRY_REASON: Final = "expired unused"
REST_EXPIRY_REASON: Final = "the rest expired"

GENERATED_REASONS: Final = (
    GRANT_REASON, OPENING_REASON, RENEWAL_REASON, BENEFIT_REASON, ROLLOVER_REASON, REISSUE_REASON, REVERSAL_REASON,
    RELEASE_REASON, BOOKING_CANCELLATION_REASON, VOID_REASON, EXPIRY_REASON, REST_EXPIRY_REASON,
)  # fmt: skip
"""Each of them, with `{}` for the number or key that it names."""

_GENERATED: Final = re.compile("|".join(re.escape(each).replace(re.escape("{}"), r"\S+") for each in GENERATED_REASONS))


def is_generated_reason(reason: str) -> bool:
    """Whether the ledger generated this reason; pages translate such reasons."""
    return _GENERATED.fullmatch(reason) is not None
