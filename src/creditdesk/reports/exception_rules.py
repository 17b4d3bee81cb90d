"""The rules of the exceptions report: what each finds, how severe it is, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from creditdesk.ledger.rules.amounts import Amount
from creditdesk.reports.values import Microseconds, ReportCredit


class Severity(StrEnum):
    """How urgent an exception is."""

    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"


class ExceptionCode(StrEnum):
    """What an exception is about."""

    BALANCE = "balance_not_explained"
    OVERRIDE = "override"
    EXPIRY_NOT_RECORDED = "expiry_not_recorded"
    HOLD_OVERDUE = "hold_overdue"
    RENEWAL_MISSED = "renewal_missed"
    GRANTED_TWICE = "granted_twice"
    NO_SOURCE = "use_without_source"
    NO_LENGTH = "use_without_length"
    OVERDRAWN = "printing_overdrawn"
    NO_REASON = "no_reason"
    CLOSED_PERIOD = "closed_period"
    NOT_RETURNED = "cancelled_not_returned"
    CAP_EXCEEDED = "cap_exceeded"
    CHARGED = "charged_with_credit_left"
    VERIFICATION = "verification_failed"
    NO_CLOCK = "location_without_clock"


@dataclass(frozen=True, slots=True)
class ExceptionRule:
    """What a code means to people."""

    severity: Severity
    title: str
    action: str


EXCEPTION_RULES: Final = {
    ExceptionCode.BALANCE: ExceptionRule(
        Severity.HIGH, "The record's balance is not that of its journal", "Run `creditdesk verify` and find the cause."
    ),
    ExceptionCode.OVERRIDE: ExceptionRule(
        Severity.MEDIUM, "A use that eligibility would have rejected (rule 8)", "Reverse it, or acknowledge it."
    ),
    ExceptionCode.EXPIRY_NOT_RECORDED: ExceptionRule(
        Severity.LOW, "Credit has expired and its expiry is not in the journal", "Run `creditdesk expire`."
    ),
    ExceptionCode.HOLD_OVERDUE: ExceptionRule(
        Severity.LOW, "A hold is past its time and not released in the journal", "Run `creditdesk expire`."
    ),
    ExceptionCode.RENEWAL_MISSED: ExceptionRule(
        Severity.MEDIUM, "A plan's benefit is due and was not granted", "Run `creditdesk renew`."
    ),
    ExceptionCode.GRANTED_TWICE: ExceptionRule(
        Severity.HIGH, "The same benefit was granted twice for one period", "Void the second grant."
    ),
    ExceptionCode.NO_SOURCE: ExceptionRule(
        Severity.LOW,
        "A use does not name what it paid for",
        "Reverse it and post it with its source, or acknowledge it.",
    ),
    ExceptionCode.NO_LENGTH: ExceptionRule(
        Severity.MEDIUM,
        "A use of time credit whose length is unknown moved nothing (rule 9)",
        "Post it with a booking.",
    ),
    ExceptionCode.OVERDRAWN: ExceptionRule(
        Severity.MEDIUM, "Printing credit is below zero", "Sell or grant prints, or lower the overdraft."
    ),
    ExceptionCode.NO_REASON: ExceptionRule(
        Severity.LOW, "A manual change has no reason", "Ask its author, and acknowledge it with the reason."
    ),
    ExceptionCode.CLOSED_PERIOD: ExceptionRule(
        Severity.MEDIUM,
        "A line was written into a closed period (rule 37)",
        "Reopen the period and close it again, or acknowledge it.",
    ),
    ExceptionCode.VERIFICATION: ExceptionRule(
        Severity.HIGH,
        "The scheduled verification found a broken hash chain, checkpoint or record",
        "Compare with a backup; after the repair run `creditdesk jobs run verify`.",
    ),
    ExceptionCode.NOT_RETURNED: ExceptionRule(
        Severity.MEDIUM,
        "A cancelled booking keeps credit that it used (rule 24)",
        "Reverse the use, or charge the booking again.",
    ),
    ExceptionCode.CAP_EXCEEDED: ExceptionRule(
        Severity.MEDIUM,
        "A posted use went over a member's cap on shared credit (rule 16)",
        "Reverse it, raise the cap, or acknowledge it.",
    ),
    ExceptionCode.CHARGED: ExceptionRule(
        Severity.MEDIUM,
        "A booking was charged although remaining credit could have paid for it (rule 23)",
        "Recalculate the booking (`RECALCULATE_BOOKING`), or acknowledge it.",
    ),
    ExceptionCode.NO_CLOCK: ExceptionRule(
        Severity.LOW, "A location uses UTC because it has no time zone", "Set its time zone."
    ),
}


@dataclass(frozen=True, slots=True)
class LedgerException:
    """One finding of a rule. `subject` identifies it among those of its code at the location."""

    code: ExceptionCode
    business_id: int
    subject: str
    explanation: str
    credit: ReportCredit | None = None
    customer_id: int | None = None
    amount: Amount | None = None
    since: Microseconds | None = None

    @property
    def key(self) -> str:
        """Identifies it with its amount, so an acknowledgement ends when that changes."""
        return f"{self.business_id}:{self.code}:{self.subject}:{'' if self.amount is None else self.amount}"

    @property
    def rule(self) -> ExceptionRule:
        return EXCEPTION_RULES[self.code]
