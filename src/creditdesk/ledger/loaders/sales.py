"""Products that were sold to customers, and the kinds of passes."""

from __future__ import annotations

from collections.abc import Sequence

from creditdesk.entities.billing.coworker_product import CoworkerProduct
from creditdesk.entities.billing.time_pass import TimePass
from creditdesk.ledger.loaders.rows import Flag, TypedRow, UniqueRow, lock_rows
from creditdesk.ledger.rules.amounts import Amount
from creditdesk.schema.repository import WriteSession


class SaleRow(UniqueRow, frozen=True, gc=False):
    """A product sold to a customer."""

    entity = CoworkerProduct

    coworker_id: int | None
    business_id: int
    product_id: int
    price: Amount | None
    quantity: int
    activated: Flag


class PricedSale(SaleRow, frozen=True, gc=False):
    """A sale with the price of its product."""

    product_price: Amount | None
    product_currency_code: str | None


class PassRow(TypedRow, frozen=True, gc=False):
    """A kind of pass."""

    entity = TimePass

    business_id: int
    price: Amount | None
    currency_code: str | None


async def lock_sales(session: WriteSession, sale_ids: Sequence[int]) -> dict[int, SaleRow]:
    """Locks sales in id order and returns them by Id, in that order."""
    return await lock_rows(session, SaleRow, sale_ids)
