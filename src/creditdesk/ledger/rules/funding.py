"""What a grant was given for: bought, part of a plan, or free (rule 35)."""

from __future__ import annotations

from fractions import Fraction
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from creditdesk.ledger.rules.amounts import DECIMALS, Amount, round_amount
from creditdesk.ledger.rules.open_words import OpenWord


class FundingKind(OpenWord):
    """Where a grant comes from. `UNKNOWN` stays until an operator states more; it is never guessed."""

    PAID = "paid"
    PLAN = "plan"
    GOODWILL = "goodwill"
    MIGRATED = "migrated"
    UNKNOWN = "unknown"

    @property
    def counts_as_paid(self) -> bool:
        """Whether such credit is used after free credit (rule 18, number 6). So is an unknown kind."""
        return self not in (FundingKind.PLAN, FundingKind.GOODWILL, FundingKind.MIGRATED)


class Funding(Struct, frozen=True, gc=False):
    """The funding of a grant: its kind and, if known, the price paid and the document.

    `price_paid` is for the whole grant, in ten-thousandths of the location's currency. `document`
    names what it came from, such as `sale/12`, `contract/7`, or an operator's own number.
    """

    kind: FundingKind = FundingKind.UNKNOWN
    price_paid: Amount | None = None
    document: str | None = None

    def part(self, amount: Amount, total: Amount) -> Funding:
        """The funding of `amount` that continues a grant of `total`, with its part of the price."""
        if self.price_paid is None or not total:
            return self
        price = round_amount(Fraction(self.price_paid * amount, total), DECIMALS)
        return replace(self, price_paid=price)


UNKNOWN_FUNDING: Final = Funding()
