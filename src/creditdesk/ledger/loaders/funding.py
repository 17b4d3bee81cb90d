"""The funding of grants, as far as records state it (rule 35)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from creditdesk.entities.billing.coworker_product import CoworkerProduct
from creditdesk.ledger.journal.mapping import CreditTypeMapping
from creditdesk.ledger.journal.opening import GrantOrigin
from creditdesk.ledger.journal.terms import grant_document, term_columns
from creditdesk.ledger.loaders.rows import Flag, UniqueRow, find_by_id, find_filtered
from creditdesk.ledger.loaders.sales import PricedSale, SaleRow
from creditdesk.ledger.rules.funding import UNKNOWN_FUNDING, Funding, FundingKind
from creditdesk.schema.query import where
from creditdesk.schema.repository import Finder


class _PaidSaleRow(UniqueRow, frozen=True, gc=False):
    entity = CoworkerProduct

    coworker_invoice_paid: Flag


async def load_sale_funding(finder: Finder, sale: SaleRow, credits_granted: int) -> Funding:
    """The funding of the credits that come with a sale: bought, or goodwill if the sale is free.

    The price paid is known only if the sale grants a single credit.
    """
    priced = (await find_by_id(finder, PricedSale, [sale.id])).get(sale.id)
    unit_price = priced.product_price if priced and sale.price is None else sale.price
    document = f"sale/{sale.id}"
    if unit_price is None:
        return Funding(FundingKind.UNKNOWN, None, document)
    kind = FundingKind.PAID if unit_price > 0 else FundingKind.GOODWILL
    return Funding(kind, unit_price * sale.quantity if credits_granted == 1 else None, document)


async def load_grant_origins(
    finder: Finder, mapping: CreditTypeMapping, credit_ids: Sequence[int]
) -> dict[int, GrantOrigin]:
    """The origin of imported credits, by id: from a plan, from a sale whose invoice is paid, or unknown."""
    entity = mapping.credit_entity
    columns = ("Id", *term_columns(entity))
    records = await finder.find(entity, where(entity, Id=tuple(credit_ids)), columns=columns) if credit_ids else []
    named = {record["CoworkerProductUniqueId"] for record in records} - {None}
    sales: dict[str, _PaidSaleRow] = {}
    if named:
        found = await find_filtered(finder, _PaidSaleRow, where(CoworkerProduct, UniqueId=tuple(named)))
        sales = {sale.unique_id: sale for sale in found}
    origins = {}
    for record in records:
        funding = _recorded_funding(record, sales)
        origins[record["Id"]] = GrantOrigin(funding=funding, document=grant_document(entity, record, funding))
    return origins


def _recorded_funding(record: Mapping[str, Any], sales: Mapping[str, _PaidSaleRow]) -> Funding:
    if record.get("IsFromTariff") or record.get("TariffBookingCreditId"):
        return Funding(FundingKind.PLAN)
    sale = sales.get(record["CoworkerProductUniqueId"] or "")
    if sale is None or not sale.coworker_invoice_paid:
        return UNKNOWN_FUNDING
    return Funding(FundingKind.PAID, None, f"sale/{sale.id}")
