"""The values that the exceptions report reads in addition to the view of the ledger."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from creditdesk.ledger.journal.mapping import AccountKey
from creditdesk.ledger.rules.amounts import Amount
from creditdesk.reports.exception_rules import ExceptionCode, LedgerException
from creditdesk.reports.values import Microseconds, ReportCredit


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """Who accepted an exception, when, and why."""

    by: str
    on: datetime
    note: str


@dataclass(frozen=True, slots=True)
class ExceptionFinding:
    """An exception that other records than the journal show: about a credit, or a location and perhaps a customer.

    Without a `customer_id` it concerns the credit's owner, without a `business_id` the credit's location.
    `of_ledger`: it is shown even if the credit's record was deleted.
    """

    code: ExceptionCode
    subject: str
    explanation: str
    account: AccountKey | None = None
    business_id: int = 0
    customer_id: int | None = None
    amount: Amount | None = None
    since: Microseconds | None = None
    of_ledger: bool = False

    def about(self, credit: ReportCredit | None) -> LedgerException:
        """The exception about the credit of the account."""
        business_id, customer_id = self.business_id, self.customer_id
        if credit is not None:
            business_id, customer_id = business_id or credit.business_id, customer_id or credit.customer_id
        return LedgerException(
            self.code, business_id, self.subject, self.explanation, credit, customer_id, self.amount, self.since
        )


@dataclass(frozen=True, slots=True)
class ExceptionFacts:
    """Exceptions that other records than the journal show, acknowledgements by key, and the last verification."""

    found: tuple[LedgerException, ...] = ()
    acknowledged: Mapping[str, Acknowledgement] = field(default_factory=dict)
    verified: str = ""
