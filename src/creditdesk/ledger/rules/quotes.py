"""Quotes of bookings in the documents of decisions (rule 22)."""

from collections.abc import Mapping
from datetime import datetime

from msgspec import Struct, convert

from creditdesk.ledger.rules.amounts import Amount, format_money, parse_money
from creditdesk.ledger.rules.credit import BookingQuote, Rate, format_utc
from creditdesk.ledger.rules.units import ChargePeriod


class _RateDocument(Struct, frozen=True, forbid_unknown_fields=True):
    id: int
    charge_period: str
    price: str
    credit_price: str | None


class _QuoteDocument(Struct, frozen=True, forbid_unknown_fields=True):
    starts: datetime
    ends: datetime
    resource: int | None
    requested_rate: int | None
    override_price: str | None
    currency: str
    price: str
    credit_price: str | None
    rate: _RateDocument | None
    per_night: bool


def quote_document(quote: BookingQuote) -> dict[str, object]:
    """A quote as plain JSON: money as text with four decimals."""
    rate = quote.rate
    return {
        "starts": format_utc(quote.starts),
        "ends": format_utc(quote.ends),
        "resource": quote.resource_id,
        "requested_rate": quote.requested_rate,
        "override_price": _format(quote.override_price),
        "currency": quote.currency,
        "price": format_money(quote.price),
        "credit_price": _format(quote.credit_price),
        "rate": rate
        and {
            "id": rate.id,
            "charge_period": rate.charge_period.name.lower(),
            "price": format_money(rate.price),
            "credit_price": _format(rate.credit_price),
        },
        "per_night": quote.per_night,
    }


def parse_quote(document: Mapping[str, object]) -> BookingQuote:
    """The quote that `quote_document` wrote. Raises msgspec's ValidationError for anything else."""
    found = convert(document, _QuoteDocument)
    return BookingQuote(
        found.starts,
        found.ends,
        found.resource,
        found.requested_rate,
        _parse(found.override_price),
        found.currency,
        parse_money(found.price),
        _parse(found.credit_price),
        None if found.rate is None else _parse_rate(found.rate),
        found.per_night,
    )


def _parse_rate(rate: _RateDocument) -> Rate:
    period = ChargePeriod[rate.charge_period.upper()]
    return Rate(rate.id, period, parse_money(rate.price), _parse(rate.credit_price))


def _format(amount: Amount | None) -> str | None:
    return None if amount is None else format_money(amount)


def _parse(amount: str | None) -> Amount | None:
    return None if amount is None else parse_money(amount)
