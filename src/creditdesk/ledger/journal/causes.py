"""The coded cause of a journal entry (rule 36)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from creditdesk.ledger.rules.credit import SourceKind
from creditdesk.ledger.rules.open_words import OpenWord


class Cause(OpenWord):
    """The coded cause of an entry, in addition to its free-text reason.

    A use and a hold name the kind of item they are for. `UNKNOWN` is for entries from before causes
    were recorded. `UNATTRIBUTED` is a use that was posted without an item, `IMPORTED` what another
    system recorded, `OPENED` the balance with which a journal found its credit, and `ADOPTED` a
    credit without a grant that an operator accepted (rule 38).
    """

    UNKNOWN = "unknown"
    # grants
    ISSUED = "issued"
    RENEWED = "renewed"
    PURCHASED = "purchased"
    REISSUED = "reissued"
    ROLLED_OVER = "rolled_over"
    TOTAL_CHANGED = "total_changed"
    IMPORTED = "imported"
    OPENED = "opened"
    ADOPTED = "adopted"
    # uses and holds
    BOOKING = "booking"
    EVENT = "event"
    INVOICE = "invoice"
    PRODUCT = "product"
    TIME_PASS = "time_pass"  # noqa: S105 - a pass to the space
    PLAN = "plan"
    CHARGE = "charge"
    PRINT_JOB = "print_job"
    UNATTRIBUTED = "unattributed"
    # reversals, adjustments and releases
    CORRECTION = "correction"
    CANCELLED = "cancelled"
    RECALCULATED = "recalculated"
    CONFIRMED = "confirmed"
    CHARGED = "charged"
    RELEASED = "released"
    TIMED_OUT = "timed_out"
    DESCRIPTION_CHANGED = "description_changed"
    # expiry and the end of a credit
    EXPIRY_RUN = "expiry_run"
    VOIDED = "voided"
    DELETED = "deleted"
    # changes of a credit's terms
    WINDOW_MOVED = "window_moved"
    OWNER_CHANGED = "owner_changed"
    LOCATION_CHANGED = "location_changed"
    RATE_CHANGED = "rate_changed"
    LIMITS_CHANGED = "limits_changed"
    PRICE_CHANGED = "price_changed"
    ORIGIN_CHANGED = "origin_changed"
    PRIORITY_CHANGED = "priority_changed"
    OVERDRAFT_CHANGED = "overdraft_changed"
    FUNDING_CHANGED = "funding_changed"


SOURCE_CAUSES: Final[Mapping[str | None, Cause]] = {
    None: Cause.UNATTRIBUTED,
    SourceKind.BOOKING.value: Cause.BOOKING,
    SourceKind.EVENT_ATTENDANCE.value: Cause.EVENT,
    SourceKind.INVOICE_LINE.value: Cause.INVOICE,
    SourceKind.PRODUCT.value: Cause.PRODUCT,
    SourceKind.TIME_PASS.value: Cause.TIME_PASS,
    SourceKind.PLAN.value: Cause.PLAN,
    SourceKind.CHARGE.value: Cause.CHARGE,
    SourceKind.PRINT_JOB.value: Cause.PRINT_JOB,
}
"""The cause of a use or a hold, by the kind of what it is for."""


def recorded_cause(kind: str, source_kind: str | None, history_id: int | None) -> Cause:
    """The cause of an entry from before causes were recorded, as far as it is certain."""
    if kind == "expiry":
        return Cause.EXPIRY_RUN
    if kind == "use" and source_kind is None and history_id is None:
        return Cause.OPENED
    return SOURCE_CAUSES.get(source_kind, Cause.UNKNOWN) if kind in ("use", "hold") else Cause.UNKNOWN
