"""What a report is asked for: its parameters, parsed once for the HTTP API and the command line."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any, Final

from creditdesk.ledger.journal.entry import AccountType
from creditdesk.ledger.journal.mapping import AccountKey
from creditdesk.ledger.journal.transaction import LedgerContext
from creditdesk.ledger.rules.credit import CreditType
from creditdesk.ledger.rules.funding import FundingKind
from creditdesk.reports.periods import Moment, parse_moment
from creditdesk.reports.values import EXPIRY_BANDS, Flow
from creditdesk.schema.conversions import ParseError
from creditdesk.schema.fields import Boolean, Collection, DateTime, Integer
from creditdesk.schema.params import Param, Params
from creditdesk.schema.service import Principal
from creditdesk.schema.validation import NOT_FOUND_MESSAGE

_ID: Final = Integer(minimum=1)
_CREDIT_TYPES: Final = (CreditType.MONEY.value, CreditType.TIME.value, CreditType.PRINTING.value)

PERIOD_FROM: Final = Param(
    "From", description="First local date, or an instant; the beginning of the ledger when left out."
)
PERIOD_TO: Final = Param("To", description="Last local date, inclusive, or an instant; now when left out.")
AS_OF: Final = Param("At", description="The end of a local date, or an instant; now when left out.")
TERMS_AT: Final = Param(
    "TermsAt",
    description="Owner, funding and price of credits as they stood at the end of this local date or at this instant; "
    "at the end of the report when left out.",
)
AS_KNOWN_AT: Final = Param(
    "AsKnownAt",
    DateTime(),
    description="Order entries by when they take effect, from those recorded by this instant (rule 4).",
)
LOCATION_IDS: Final = Param("LocationIds", Collection("Business"), description="All of the caller's when left out.")
CUSTOMER_ID: Final = Param("CoworkerId", _ID)
TEAM_ID: Final = Param("TeamId", _ID, description="The shared credit of the team, which its paying member owns.")
CREDIT_KIND: Final = Param("Kind", choices=_CREDIT_TYPES)
OF_CREDIT: Final = Param("CreditId", _ID, description="Goes together with Kind.")
CURRENCY: Final = Param("Unit", description="A currency, or `minute`, `day`, `print`…")
FUNDING: Final = Param("Funding", choices=tuple(each.value for each in FundingKind))
GROUPS: Final = ("credit", "customer", "plan", "funding", "kind")
GROUP_BY: Final = Param("By", choices=GROUPS, description="The rows; one a credit by default.")
PLAN: Final = Param("Plan", description="The plan or product that granted the credit; `-` for credit without one.")
COHORT: Final = Param(
    "Cohort", description="A row of the breakage estimate by its month and product, such as `2026-03 Day pass`."
)
EXPIRES: Final = Param("Expires", choices=EXPIRY_BANDS, description="Credit of one column of the ageing report.")
FLOW: Final = Param("Flow", description="Movements of these kinds alone, separated by commas: " + ", ".join(Flow) + ".")
ACTOR: Final = Param("Actor")
MANUAL_ONLY: Final = Param("ManualOnly", Boolean(), description="Only what a person entered by hand.")

REPORT_PARAMS: Final = (
    PERIOD_FROM, PERIOD_TO, AS_OF, AS_KNOWN_AT, TERMS_AT, LOCATION_IDS, CUSTOMER_ID, TEAM_ID, CREDIT_KIND, OF_CREDIT, CURRENCY, FUNDING,
    PLAN, EXPIRES, COHORT, GROUP_BY, FLOW, ACTOR, MANUAL_ONLY,
)  # fmt: skip
"""Every parameter; a report ignores those that do not concern it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportRequest:
    """A report's name and parameters, for one principal.

    `now` is the time of the request; `ledger` has the settings of the ledger that it is about.
    """

    name: str
    principal: Principal
    now: datetime
    starts: Moment | None = None
    ends: Moment | None = None
    as_known_at: datetime | None = None
    terms_at: Moment | None = None
    locations: tuple[int, ...] = ()
    customer: int | None = None
    team: int | None = None
    credit_type: CreditType | None = None
    credit_id: int | None = None
    unit: str | None = None
    funding: FundingKind | None = None
    plan: str | None = None
    expires: str | None = None
    cohort: str | None = None
    by: str = "credit"
    flows: tuple[Flow, ...] = ()
    actor: str | None = None
    manual_only: bool = False
    ledger: LedgerContext

    @property
    def account(self) -> AccountKey | None:
        """The one credit that the report is about, if it is about one."""
        if self.credit_id is None or self.credit_type is None:
            return None
        kind = AccountType.MONEY if self.credit_type is CreditType.MONEY else AccountType.TIME
        return (kind, self.credit_id)

    @property
    def is_of_locations(self) -> bool:
        """Whether it is about whole locations, not about one customer, team or credit."""
        return self.customer is None and self.team is None and self.account is None

    @property
    def is_of_groups(self) -> bool:
        """Whether the stored totals of groups of credits answer it."""
        chosen = (self.as_known_at, self.terms_at, self.plan, self.expires)
        return self.is_of_locations and all(each is None for each in chosen)

    @property
    def is_of_past(self) -> bool:
        """Whether the report shows an earlier state than the stored one."""
        return any(each is not None for each in (self.ends, self.as_known_at, self.terms_at))

    @property
    def is_of_current_balances(self) -> bool:
        """Whether the stored balances answer it: about whole locations, now, whatever the expiry."""
        return self.is_of_locations and not self.is_of_past and self.expires is None

    def since_beginning(self) -> ReportRequest:
        """The same request over everything up to its end."""
        return replace(self, starts=None)


def parse_report_request(
    name: str, raw: Mapping[str, Any], principal: Principal, now: datetime, ledger: LedgerContext | None = None
) -> ReportRequest:
    """Parses the raw values of a query string or of command-line options. Raises ValidationError.

    Without `ledger` the default settings apply.
    """
    params = Params(REPORT_PARAMS, raw)
    starts, ends, at, terms_at = (_moment(params, param) for param in (PERIOD_FROM, PERIOD_TO, AS_OF, TERMS_AT))
    if at is not None and (starts is not None or ends is not None):
        params.add_error(AS_OF, "cannot go together with From or To")
    if starts is not None and ends is not None and _is_before(ends, starts):
        params.add_error(PERIOD_TO, "must not be before From")
    if params[OF_CREDIT] is not None and params[CREDIT_KIND] is None:
        params.add_error(OF_CREDIT, "goes together with Kind")
    if params[TEAM_ID] is not None and params[CUSTOMER_ID] is not None:
        params.add_error(TEAM_ID, "cannot go together with CoworkerId")
    flows = _flows(params)
    customer = params[CUSTOMER_ID]
    if principal.customers is not None:
        customer = min(principal.customers) if customer is None else customer
        if customer not in principal.customers:
            params.add_error(CUSTOMER_ID, NOT_FOUND_MESSAGE)
    params.raise_errors()
    return ReportRequest(
        name=name,
        principal=principal,
        now=now,
        starts=starts,
        ends=at if at is not None else ends,
        as_known_at=params[AS_KNOWN_AT],
        terms_at=terms_at,
        locations=params[LOCATION_IDS],
        customer=customer,
        team=params[TEAM_ID],
        credit_type=CreditType(params[CREDIT_KIND]) if params[CREDIT_KIND] else None,
        credit_id=params[OF_CREDIT],
        unit=params[CURRENCY],
        funding=FundingKind(params[FUNDING]) if params[FUNDING] else None,
        plan=params[PLAN],
        expires=params[EXPIRES],
        cohort=params[COHORT],
        by=params[GROUP_BY] or "credit",
        flows=flows,
        actor=params[ACTOR],
        manual_only=bool(params[MANUAL_ONLY]),
        ledger=ledger or LedgerContext(lambda: now),
    )


def _moment(params: Params, param: Param) -> Moment | None:
    text = params[param]
    if text is None:
        return None
    try:
        return parse_moment(text)
    except ParseError as error:
        params.add_error(param, str(error))
        return None


def _flows(params: Params) -> tuple[Flow, ...]:
    names = [name.strip().lower() for name in (params[FLOW] or "").split(",") if name.strip()]
    if set(names) - set(Flow):
        params.add_error(FLOW, "must be of " + ", ".join(Flow))
        return ()
    return tuple(map(Flow, names))


def _is_before(moment: Moment, other: Moment) -> bool:
    """Whether one moment is before another: instants exactly, dates by the day."""
    if isinstance(moment, datetime) and isinstance(other, datetime):
        return moment < other
    return _day(moment) < _day(other)


def _day(moment: Moment) -> date:
    return moment.date() if isinstance(moment, datetime) else moment
