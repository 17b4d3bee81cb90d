"""Step 17: where each credit came from (rule 35)."""

from __future__ import annotations

from typing import Final

from creditdesk.schema.fields import Money, Text
from creditdesk.storage.dialects import Dialect, Execute
from creditdesk.storage.migrations.step import Migration, StepKind, existing_columns

_TABLE: Final = "account_state"
_FROM_PLAN: Final = """
UPDATE account_state SET funding = 'plan' WHERE
  (credit_kind = 'time' AND credit_id IN (SELECT id FROM coworker_extra_service WHERE is_from_tariff = {true}))
  OR (credit_kind = 'money' AND credit_id IN (
    SELECT id FROM coworker_booking_credit WHERE tariff_booking_credit_id IS NOT NULL))
"""
_FROM_PAID_SALE: Final = """
UPDATE account_state SET funding = 'paid', source_document = (
  SELECT 'sale/' || min(s.id) FROM {credit} AS c JOIN coworker_product AS s ON s.unique_id = c.coworker_product_unique_id
  WHERE c.id = account_state.credit_id AND s.coworker_invoice_paid = {true})
WHERE credit_kind = '{kind}' AND funding = 'unknown' AND credit_id IN (
  SELECT c.id FROM {credit} AS c JOIN coworker_product AS s ON s.unique_id = c.coworker_product_unique_id
  WHERE s.coworker_invoice_paid = {true})
"""


async def _add_funding(execute: Execute, dialect: Dialect) -> None:
    """Credits of a plan's benefit are `plan`, those of a sale with a paid invoice `paid`, others `unknown`."""
    columns = (await existing_columns(execute, dialect)).get(_TABLE)
    if columns is None:
        return
    text = dialect.column_types[Text]
    for name, definition in (
        *(("funding", text), ("funding_fold", text), ("price_paid", dialect.column_types[Money])),
        *(("source_document", text), ("source_document_fold", text)),
    ):
        if name not in columns:
            await execute(f"ALTER TABLE {_TABLE} ADD COLUMN {name} {definition}", ())
    true = "1" if dialect.name == "sqlite" else "true"
    await execute(f"UPDATE {_TABLE} SET funding = 'unknown'", ())
    await execute(_FROM_PLAN.format(true=true), ())
    for kind, credit in (("money", "coworker_booking_credit"), ("time", "coworker_extra_service")):
        await execute(_FROM_PAID_SALE.format(true=true, kind=kind, credit=credit), ())
    await execute(f"UPDATE {_TABLE} SET funding_fold = funding, source_document_fold = source_document", ())
    if "paid" in columns:
        await execute(f"ALTER TABLE {_TABLE} DROP COLUMN paid", ())


MIGRATIONS = (
    Migration(
        17,
        "funding of credits",
        "States where each credit came from, as far as it is known: a plan, a paid sale, or unknown.",
        _add_funding,
        StepKind.CONTRACT,
    ),
)
