"""What an edit of the database may change without a finding of `verify`, and why.

Everything else is covered: the random edits of `tests/audit/test_random_edits.py` compare this table with
what is found, and docs/reference/findings.md is generated from it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from creditdesk.entities.billing.coworker_booking_credit import CoworkerBookingCredit
from creditdesk.entities.billing.coworker_booking_credit_use_history import CoworkerBookingCreditUseHistory
from creditdesk.entities.billing.coworker_extra_service import CoworkerExtraService
from creditdesk.entities.billing.coworker_extra_service_use_history import CoworkerExtraServiceUseHistory
from creditdesk.entities.ledger.account_state import AccountState
from creditdesk.entities.ledger.allocation_document import AllocationDocument
from creditdesk.entities.ledger.benefit_grant import BenefitGrant
from creditdesk.entities.ledger.checkpoint_heads import CheckpointHeads
from creditdesk.entities.ledger.hold import Hold
from creditdesk.entities.ledger.journal_line import JournalLine
from creditdesk.entities.ledger.pool_cap import PoolCap
from creditdesk.entities.ledger.stored_checkpoint import StoredCheckpoint
from creditdesk.entities.ledger.stored_response import StoredResponse
from creditdesk.schema.entity import Entity

INSERTED_ROW: Final = "an inserted row"
DELETED_ROW: Final = "a deleted row"
EARLIER_GRANT: Final = "the terms of a credit whose grant is of format 1"
BOOKING_CHARGE: Final = "a row that is a booking charge"
MASTER_DATA: Final = (
    "Master data and settings: they decide what happens next. What has happened is in the journal, with the amounts "
    "that were decided then."
)
"""The reason for every entity that is named neither in `UNCOVERED` nor in `PARTLY_COVERED`."""

_UNREAD: Final = "No rule reads it, and the API does not serve the record."
_LABEL: Final = "A label that no rule reads."
_STAMP: Final = "Any update of the record sets it, also one that the journal does not record."
_CREATED: Final = "No entry states it; it only decides the order of payment between credits that are equal otherwise."
_EARLIER: Final = "Grants of format 1 state no terms; what changed since is compared."
_PROFILE: Final = "Belongs to the price or the invoice of the credit, not to its balance."

_INTERNAL_BASE: Final = dict.fromkeys(
    ("UpdatedOn", "CreatedOn", "UniqueId", "UpdatedBy", "SystemId", "CustomFields"), _UNREAD
)
_SERVED_BASE: Final = {
    **dict.fromkeys(("UniqueId", "SystemId", "CustomFields"), _LABEL),
    **dict.fromkeys(("UpdatedOn", "UpdatedBy"), _STAMP),
}

UNCOVERED: Final[Mapping[type[Entity], str]] = {
    StoredResponse: "Answers a repeated request with the bytes of the first response, for 30 days; what it tells of is "
    "in the journal.",
}
"""The entities of the ledger that are not covered, with the reason."""

PARTLY_COVERED: Final[Mapping[type[Entity], Mapping[str, str]]] = {
    CoworkerBookingCredit: {
        **_SERVED_BASE,
        "CreatedOn": _CREATED,
        "Description": _LABEL,
        EARLIER_GRANT: _EARLIER,
    },
    CoworkerExtraService: {
        **_SERVED_BASE,
        "CreatedOn": _CREATED,
        EARLIER_GRANT: _EARLIER,
        **dict.fromkeys(("Description", "Notes", "PurchaseOrder", "DiscountCode"), _LABEL),
        **dict.fromkeys(
            (
                *("LastMinutePriceAdjustment", "DynamicPriceAdjustment", "PriceFactorLastMinute"),
                *("PriceFactorDemand", "DueDate", "Invoiced", "InvoiceDate"),
                *("TariffTimePassUniqueId", "AutomaticallyAdded", "InvoiceThisCoworker"),
                *("CoworkerDiscountUniqueId", "DiscountAmount"),
                *("BookingFromTime", "BookingToTime", "BookingResourceName"),
            ),
            _PROFILE,
        ),
        "the overdraft of an imported credit": "No entry states it until it changes.",
        BOOKING_CHARGE: "A booking charge has no balance and no journal (rule 5).",
    },
    CoworkerBookingCreditUseHistory: {
        **_SERVED_BASE,
        "Description": "A PUT may change it; the journal keeps what it was before.",
        **dict.fromkeys(
            ("CoworkerInvoiceLineId", "EventAttendeeId"),
            "An imported use may name a second item beside the one in its line.",
        ),
    },
    CoworkerExtraServiceUseHistory: _SERVED_BASE,
    JournalLine: {
        **dict.fromkeys(("SystemId", "CustomFields"), _LABEL),
        "of a line of format 1 its location, owner, member and identity": "Format 1 does not cover them.",
    },
    AccountState: {**_INTERNAL_BASE, EARLIER_GRANT: _EARLIER},
    Hold: {
        **_INTERNAL_BASE,
        **dict.fromkeys(("Id", "BusinessId", "CoworkerId", "Group", "Covered"), "Not in the journal."),
        "of a hold of an earlier version when it ends": "Its entry does not state it.",
        "of a hold with entries of format 1 its decision, and what became of it": "Format 1 does not cover them.",
    },
    AllocationDocument: {
        **_INTERNAL_BASE,
        **dict.fromkeys(("BusinessId", "Group", "Credits"), "Not in the journal."),
        "Id": "A decision that took nothing has no line.",
        "Document": "Prices, rates and the credits that were considered; what it took of which credit is compared.",
        "Operation": "Between a spend and a charge.",
        "of a decision without an operation what it took": "Earlier entries name no decision; the end of its hold does.",
        **dict.fromkeys((INSERTED_ROW, DELETED_ROW), "A decision that took nothing has no line."),
    },
    BenefitGrant: {**_INTERNAL_BASE, "Id": _UNREAD},
    PoolCap: {
        **_SERVED_BASE,
        "CreatedOn": "The audit trail has when it was created.",
        INSERTED_ROW: "A cap that was imported, or is older than the audit trail, has no record there.",
        "of a cap that an import may have changed since its last record": "The record of an import names no caps.",
    },
    StoredCheckpoint: _INTERNAL_BASE,
    CheckpointHeads: {**_INTERNAL_BASE, "Id": _UNREAD},
}
"""The columns that are not covered, of each entity that is covered."""
