"""The overdraft of printing credit, drawn last, after everything that any credit holds (rule 33).

The allocator sees each overdraft as a credit of its own, placed after all others. Its shares are
merged into those of the credit it belongs to.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from msgspec import structs

from creditdesk.ledger.rules.amounts import Amount
from creditdesk.ledger.rules.credit import Credit
from creditdesk.ledger.rules.offers import Cap, Share, UnitOffer


@dataclass(frozen=True, slots=True)
class OverdraftCredits:
    """The positions in the order of payment whose overdraft can be drawn, and the credit count."""

    places: tuple[int, ...]
    credit_count: int

    @classmethod
    def from_order(cls, ordered: Sequence[Credit]) -> OverdraftCredits:
        places = (
            place
            for place, credit in enumerate(ordered)
            if credit.overdraft and credit.available > credit.available_without_overdraft
        )
        return cls(tuple(places), len(ordered))

    def available(self, ordered: Sequence[Credit]) -> list[Amount]:
        """What each credit has without overdraft, then what each overdraft adds."""
        added = [ordered[p].available - ordered[p].available_without_overdraft for p in self.places]
        return [*(credit.available_without_overdraft for credit in ordered), *added]

    def extend_offers(self, offers: Sequence[UnitOffer]) -> list[UnitOffer]:
        """The offers, followed by those of the overdrafts of the same credits."""
        added = {place: self.credit_count + n for n, place in enumerate(self.places)}
        return [
            *offers,
            *(structs.replace(offer, credit=added[offer.credit]) for offer in offers if offer.credit in added),
        ]

    def extend_caps(self, caps: Sequence[Cap]) -> list[Cap]:
        """The caps, each over a credit and its overdraft together."""
        return [
            structs.replace(
                cap,
                credits=cap.credits
                | {self.credit_count + n for n, place in enumerate(self.places) if place in cap.credits},
            )
            for cap in caps
        ]

    def merge_shares(self, shares: Sequence[Share]) -> list[Share]:
        """The shares by source and order of payment, overdrafts merged into their credits."""
        if not self.places:
            return list(shares)
        merged: dict[tuple[int, int], Share] = {}
        for share in shares:
            over = share.credit - self.credit_count
            place = share.credit if over < 0 else self.places[over]
            known = merged.get((share.source, place), Share(place, share.source, 0, 0))
            merged[share.source, place] = structs.replace(
                known, taken=known.taken + share.taken, covered=known.covered + share.covered
            )
        return [merged[key] for key in sorted(merged)]
