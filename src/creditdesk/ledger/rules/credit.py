"""The values that the rules decide over: credits, sources, customers, rates and limits.

All values are frozen. Instants are aware and in UTC; amounts are in ten-thousandths of the currency
or in whole uses.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import NamedTuple
from zoneinfo import ZoneInfo

from msgspec import Struct, field

from creditdesk.ledger.rules.amounts import Amount, currency_digits, floor_amount, round_to_currency
from creditdesk.ledger.rules.units import DEFAULT_INTERVAL_MINUTES, ChargePeriod, units

DEFAULT_PRIORITY = 50

Ids = frozenset[int]
NO_IDS: Ids = frozenset()


class CreditType(StrEnum):
    """What a credit holds. A booking charge has the form of a credit but no balance (rule 5)."""

    MONEY = "money"
    TIME = "time"
    PRINTING = "printing"
    BOOKING_CHARGE = "booking_charge"


def extra_service_type(
    *, booking_id: int | None, booking_unique_id: str | None, is_printing_credit: bool
) -> CreditType:
    """Whether a `CoworkerExtraService` is time credit, printing credit or a charge (rule 5)."""
    if booking_id or booking_unique_id:
        return CreditType.BOOKING_CHARGE
    return CreditType.PRINTING if is_printing_credit else CreditType.TIME


class CreditKey(NamedTuple):
    """A credit's identity: money credits and extra services have separate ids."""

    kind: CreditType
    id: int

    def __str__(self) -> str:
        return f"{self.kind}/{self.id}"


class Pool(NamedTuple):
    """A team's shared credit of one kind; each currency of money is a pool of its own (rule 16)."""

    team_id: int
    kind: CreditType
    currency: str


class CreditLimits(Struct, frozen=True, gc=False):
    """What a money credit may pay (rules 13, 14). An empty list means no limit."""

    for_bookings: bool = False
    for_events: bool = False
    universal: bool = False
    resource_types: Ids = NO_IDS
    event_categories: Ids = NO_IDS
    products: Ids = NO_IDS
    passes: Ids = NO_IDS
    tariffs: Ids = NO_IDS
    applies_to_charges: bool = False

    @property
    def has_listed_limits(self) -> bool:
        """Whether any list limits the credit (rule 18, number 5)."""
        return self.applies_to_charges or any(
            (
                self.resource_types,
                self.event_categories,
                self.products,
                self.passes,
                self.tariffs,
            )
        )


class Rate(Struct, frozen=True, gc=False):
    """The `ExtraService` behind time or printing credit; `price` is for one charge period."""

    id: int
    charge_period: ChargePeriod
    price: Amount = 0
    credit_price: Amount | None = None
    resource_types: Ids = NO_IDS


class Credit(Struct, frozen=True, gc=False):
    """A credit as one customer can use it. `team_id` is set when a team shares it.

    `member_cap_left` is what this member may still draw from the credit's whole pool in the current
    period. `overdraft` counts for printing credit only (rule 33).
    """

    kind: CreditType
    id: int
    customer_id: int
    business_id: int
    currency: str
    remaining: Amount
    created: datetime
    total: Amount = 0
    held: Amount = 0
    overdraft: Amount = 0
    valid_from: datetime | None = None
    expires: datetime | None = None
    limits: CreditLimits = field(default_factory=CreditLimits)
    rate: Rate | None = None
    use_credit_price: bool = False
    team_id: int | None = None
    member_cap_left: Amount | None = None
    priority: int = DEFAULT_PRIORITY
    paid: bool = False
    is_granted: bool = True

    @property
    def key(self) -> CreditKey:
        return CreditKey(self.kind, self.id)

    @property
    def pool(self) -> Pool | None:
        """The shared pool of a credit that a team shares; None for the customer's own (rule 16)."""
        if self.team_id is None:
            return None
        return Pool(self.team_id, self.kind, self.currency if self.kind is CreditType.MONEY else "")

    @property
    def unreserved(self) -> Amount:
        """What remains and is not held (rule 26), with a printing credit's overdraft."""
        overdraft = self.overdraft if self.kind is CreditType.PRINTING else 0
        return self.remaining - self.held + overdraft

    def payable(self, amount: Amount) -> Amount:
        """What `amount` of this credit can pay, never below zero: money in its digits (rule 3)."""
        if self.kind is not CreditType.MONEY:
            return max(0, amount)
        return floor_amount(amount, currency_digits(self.currency))

    @property
    def available_without_overdraft(self) -> Amount:
        """The part of `available` that no overdraft adds."""
        return min(self.available, self.payable(self.remaining - self.held))

    @property
    def available(self) -> Amount:
        """What this customer can take now (rules 3, 16, 26, 33)."""
        if self.member_cap_left is None:
            return self.payable(self.unreserved)
        return self.payable(min(self.unreserved, self.member_cap_left))


class SourceKind(StrEnum):
    """What is being paid."""

    BOOKING = "booking"
    EVENT_ATTENDANCE = "event_attendance"
    INVOICE_LINE = "invoice_line"
    PRODUCT = "product"
    TIME_PASS = "time_pass"  # noqa: S105 - a pass to the space
    PLAN = "plan"
    CHARGE = "charge"
    PRINT_JOB = "print_job"


class SourceKey(NamedTuple):
    """A source's identity, such as `booking/17`."""

    kind: SourceKind
    id: int

    def __str__(self) -> str:
        return f"{self.kind}/{self.id}"


class BookingQuote(Struct, frozen=True, gc=False):
    """What a booking was priced on, and the prices of all of it that were found (rule 22).

    `requested_rate` is the rate that the booking names, `rate` the one it was priced at.
    """

    starts: datetime
    ends: datetime
    resource_id: int | None
    requested_rate: int | None
    override_price: Amount | None
    currency: str
    price: Amount
    credit_price: Amount | None
    rate: Rate | None
    per_night: bool = False

    @property
    def basis(self) -> tuple[datetime, datetime, int | None, int | None, Amount | None]:
        """What was priced: a booking with the same basis keeps its price."""
        return (self.starts, self.ends, self.resource_id, self.requested_rate, self.override_price)


class Source(Struct, frozen=True, gc=False):
    """One thing to pay. `price` and `credit_price` are for all of it, not for a unit.

    A blank or zero `credit_price` means that the rate has none. An invoice line that names a product, pass or plan is
    limited like that item, any other invoice line like a charge. `rate` is the rate that a booking is priced at,
    `quote` its price before what earlier spends cover. Raises ValueError for a booking that does not end after it
    starts, and for a negative price.
    """

    kind: SourceKind
    id: int
    customer_id: int
    business_id: int
    currency: str
    price: Amount
    credit_price: Amount | None = None
    starts: datetime | None = None
    ends: datetime | None = None
    resource_type: int | None = None
    event_categories: Ids = NO_IDS
    product_id: int | None = None
    pass_id: int | None = None
    tariff_id: int | None = None
    tentative: bool = False
    refuses_credit: bool = False
    per_night: bool = False
    print_units: int = 0
    zone: ZoneInfo = field(default_factory=lambda: ZoneInfo("UTC"))
    interval_minutes: int = DEFAULT_INTERVAL_MINUTES
    rate: Rate | None = None
    quote: BookingQuote | None = None

    def __post_init__(self) -> None:
        if self.price < 0:
            raise ValueError(f"{self.key} has a price below zero")
        if self.kind is SourceKind.BOOKING and not (self.starts and self.ends and self.starts < self.ends):
            raise ValueError(f"{self.key} does not end after it starts")

    @property
    def currency_digits(self) -> int:
        """The decimals of the source's currency."""
        return currency_digits(self.currency)

    @property
    def key(self) -> SourceKey:
        return SourceKey(self.kind, self.id)

    def price_less(self, paid: Amount) -> Amount:
        """What is left of the price when `paid` is paid, in the currency's digits (rule 3)."""
        return round_to_currency(max(0, self.price - paid), self.currency)

    def units(self, period: ChargePeriod) -> int:
        """The units of the whole booking (rule 20)."""
        if self.starts is None or self.ends is None:
            raise ValueError(f"{self.key} has no length")
        return units(
            period,
            self.starts,
            self.ends,
            self.zone,
            interval_minutes=self.interval_minutes,
            per_night=self.per_night,
        )


@dataclass(frozen=True, slots=True)
class TeamSharing:
    """What a team shares with a customer who belongs to it (rule 16)."""

    id: int
    shares_money: bool = False
    shares_extra_services: bool = False
    transfers_to_paying_member: bool = False

    def shares(self, kind: CreditType) -> bool:
        """Whether members may use the team's credit of this kind."""
        if self.transfers_to_paying_member:
            return True
        return self.shares_money if kind is CreditType.MONEY else self.shares_extra_services


@dataclass(frozen=True, slots=True)
class Customer:
    """The customer who pays, with their plans and teams."""

    id: int
    plans: Ids = NO_IDS
    teams: tuple[TeamSharing, ...] = ()

    def team(self, team_id: int) -> TeamSharing | None:
        return next((team for team in self.teams if team.id == team_id), None)


def format_utc(instant: datetime | None) -> str | None:
    """Formats an instant for documents and keys, as `2026-03-01T00:00:00Z`."""
    return None if instant is None else instant.astimezone(UTC).isoformat().replace("+00:00", "Z")
