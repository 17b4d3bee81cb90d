"""Amounts of findings as people write them: `40.00 GBP`, `90 uses`."""

from __future__ import annotations

from creditdesk.ledger.journal.mapping import MONEY_MAPPING, CreditTypeMapping
from creditdesk.ledger.rules.amounts import Amount, currency_digits, format_money
from creditdesk.schema.counted_texts import counted_text


def amount_text(mapping: CreditTypeMapping, amount: Amount | None, currency: str | None = None) -> str:
    """An amount in the digits of its currency, or more if it has more; uses with their noun."""
    if amount is None:
        return "empty"
    if mapping is not MONEY_MAPPING:
        return counted_text(amount, "{} use", "{} uses")
    text = format_money(amount)
    digits = currency_digits(currency or "")
    while text[-1] == "0" and len(text) - text.index(".") - 1 > digits:
        text = text[:-1]
    text = text.removesuffix(".")
    return f"{text} {currency}" if currency else text
