"""The rows that reports read, as typed structs."""

from __future__ import annotations

from datetime import datetime

from creditdesk.entities.billing.coworker_booking_credit import CoworkerBookingCredit
from creditdesk.entities.billing.coworker_extra_service import CoworkerExtraService
from creditdesk.entities.billing.coworker_product import CoworkerProduct
from creditdesk.entities.billing.extra_service import ExtraService
from creditdesk.entities.billing.product import Product
from creditdesk.entities.ledger.account_state import AccountState
from creditdesk.entities.spaces.booking import Booking
from creditdesk.entities.spaces.coworker import Coworker
from creditdesk.entities.sys.business import Business
from creditdesk.ledger.loaders.rows import AccountRow, Flag, TypedRow, UniqueRow
from creditdesk.ledger.rules.funding import FundingKind


class LocationRow(TypedRow, frozen=True, gc=False):
    """A location's name and currency."""

    entity = Business

    name: str
    currency_code: str | None


class CustomerRow(TypedRow, frozen=True, gc=False):
    """A customer's name."""

    entity = Coworker

    full_name: str | None


class ReportRateRow(TypedRow, frozen=True, gc=False):
    """What a rate counts, and its currency."""

    entity = ExtraService

    name: str | None
    charge_period: int
    is_printing_credit: Flag
    currency_code: str | None


class ProductSaleRow(UniqueRow, frozen=True, gc=False):
    """What a customer bought."""

    entity = CoworkerProduct

    product_name: str | None


class ProductNameRow(TypedRow, frozen=True, gc=False):
    """The name of a product."""

    entity = Product

    name: str | None


class OriginRow(AccountRow, frozen=True, gc=False):
    """Where a credit comes from: the credit that it continues, its funding, and what was paid for it."""

    entity = AccountState

    granted_from: int | None
    funding: FundingKind
    price_paid: int | None


class ReportMoneyCreditRow(TypedRow, frozen=True, gc=False):
    """A money credit."""

    entity = CoworkerBookingCredit

    created_on: datetime
    business_id: int
    coworker_id: int | None
    business_currency_code: str | None
    description: str | None
    tariff_booking_credit_id: int | None
    tariff_booking_credit_name: str | None
    coworker_product_unique_id: str | None
    coworker_contract_unique_id: str | None
    remaining_credit: int
    total_credit: int
    valid_from: datetime | None
    expire_date: datetime | None


class ReportTimeCreditRow(TypedRow, frozen=True, gc=False):
    """A time or printing credit, or a booking charge."""

    entity = CoworkerExtraService

    created_on: datetime
    business_id: int
    coworker_id: int | None
    extra_service_id: int | None
    description: str | None
    is_from_tariff: Flag
    coworker_product_unique_id: str | None
    coworker_contract_unique_id: str | None
    remaining_uses: int
    total_uses: int
    price: int | None
    valid_from: datetime | None
    expire_date: datetime | None
    booking_id: int | None
    booking_unique_id: str | None
    overdraft: int | None


class RoomRow(TypedRow, frozen=True, gc=False):
    """The room of a booking."""

    entity = Booking

    resource_name: str | None
