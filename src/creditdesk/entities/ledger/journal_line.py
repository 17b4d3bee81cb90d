"""Declares `JournalLine`, served at `/api/ledger/entries`."""

from __future__ import annotations

from creditdesk.entities.roles import CORRECT_ROLE, READ_ROLE, SPEND_ROLE
from creditdesk.schema.entity import CoveringIndex, Entity
from creditdesk.schema.fields import Boolean, DateTime, Integer, Money, Reference, Text


class JournalLine(
    Entity,
    area="ledger",
    plural="entries",
    verbs=("list", "get"),
    scope="BusinessId",
    owner="CoworkerId",
    counted=True,
    append_only=True,
    roles={
        "list": READ_ROLE,
        "get": READ_ROLE,
        "create": SPEND_ROLE,
        "update": CORRECT_ROLE,
        "delete": CORRECT_ROLE,
    },
    unique=(("CreditKind", "CreditId", "Sequence"),),
    covering_indexes=(
        CoveringIndex("balance", ("CreditKind", "CreditId", "RecordedOn", "Sequence"), ("BalanceAfter", "HeldAfter")),
        CoveringIndex("customer", ("CoworkerId", "Id"), ("RecordedOn",)),
        CoveringIndex(
            "in_question",
            ("Override", "CreditKind", "CreditId", "BusinessId"),
            condition="override = TRUE OR (kind = 'use' AND source_kind IS NULL AND reason <> 'used before the journal began')",
        ),
        CoveringIndex(
            "unreasoned",
            ("CreditKind", "CreditId", "BusinessId"),
            condition="kind IN ('adjustment', 'void') AND trim(reason) IN ('', 'voided')",
        ),
        CoveringIndex(
            "backdated",
            ("BusinessId", "RecordedOn", "EffectiveOn"),
            condition="effective_on < recorded_on AND kind NOT IN ('expiry', 'release')",
        ),
        CoveringIndex(
            "reassigned",
            ("CreatedOn", "CreditKind", "CreditId", "Kind", "Cause"),
            condition="kind IN ('change', 'void')",
        ),
        CoveringIndex(
            "cancelled", ("BusinessId", "SourceId"), condition="cause = 'cancelled' AND source_kind = 'booking'"
        ),
    ),
):
    """An entry of a credit's journal; never changed and never deleted (rule 1).

    Amounts are in ten-thousandths for money, in whole uses for time and printing credit. The two credit ids are not
    references, because an entry outlives its credit. `Cause` is a code of `ledger.journal.causes` (rule 36).
    `MemberId` is the customer who used a team's credit, null where the credit's owner did.
    `AllocationId` is the stored decision that a use or hold executes, null where there was none, such
    as for a posted use. `Document` states the terms of a grant or change, or the end of a hold, as JSON.
    `FormatVersion` is the byte format that the digest covers (docs/explanation/proof.md).

    The index `balance` finds the balance at a time with one lookup (rule 4), `customer` the latest lines of a
    customer. The exceptions report reads only the credits in `in_question` and `unreasoned`, the entries in
    `backdated`, and the bookings in `cancelled`. No expiry or release is in these: it takes effect at an instant that
    was known before, and moves no balance. `reassigned` has the entries that may move a credit to another row of a
    report.
    """

    Business = Reference("Business", required=True)
    Coworker = Reference("Coworker")
    CoworkerBookingCredit = Reference("CoworkerBookingCredit", is_local=False)
    CoworkerExtraService = Reference("CoworkerExtraService", is_local=False)
    CreditKind = Text(exact=True, nullable=False)
    CreditId = Integer(nullable=False)
    Sequence = Integer(nullable=False)
    Kind = Text(exact=True, nullable=False)
    Cause = Text(exact=True, nullable=False)
    Amount = Money(nullable=False)
    BalanceAfter = Money(nullable=False)
    HeldAfter = Money(nullable=False)
    TotalAfter = Money(nullable=False)
    SourceKind = Text(exact=True)
    SourceId = Integer()
    Actor = Text(exact=True, nullable=False, operator_only=True)
    Reason = Text(nullable=False)
    IdempotencyKey = Text(exact=True)
    Reverses = Integer()
    RuleVersion = Integer(nullable=False)
    EffectiveOn = DateTime(nullable=False)
    RecordedOn = DateTime(nullable=False, indexed=True)
    HistoryId = Integer()
    Override = Boolean(nullable=False)
    MemberId = Integer(partial_index=True)
    AllocationId = Integer(partial_index=True)
    Document = Text(exact=True)
    FormatVersion = Integer(nullable=False, default=1)
    Digest = Text(exact=True, nullable=False)
