"""Invoice lines and the invoices they are on."""

from __future__ import annotations

from creditdesk.entities.billing.coworker_invoice import CoworkerInvoice
from creditdesk.entities.billing.coworker_invoice_line import CoworkerInvoiceLine
from creditdesk.ledger.loaders.rows import TypedRow
from creditdesk.ledger.rules.amounts import Amount


class InvoiceLineRow(TypedRow, frozen=True, gc=False):
    """A line's price, and the sale or contract it is for."""

    entity = CoworkerInvoiceLine

    coworker_invoice_id: int
    coworker_invoice_currency_code: str | None
    coworker_product_unique_id: str | None
    coworker_contract_unique_id: str | None
    sub_total: Amount
    tax_amount: Amount


class InvoiceRow(TypedRow, frozen=True, gc=False):
    """Whose an invoice is."""

    entity = CoworkerInvoice

    coworker_id: int | None
    business_id: int
