"""What a booking would cost, and the credit that may pay for it: computed fields of bookings."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from creditdesk.ledger.journal.transaction import LedgerContext
from creditdesk.ledger.loaders.items import BasketRequest, Buyer, ItemRequest
from creditdesk.ledger.operations.baskets import Basket, load_baskets
from creditdesk.ledger.operations.draw import preview
from creditdesk.ledger.rules.burn_down import SourceAllocation
from creditdesk.ledger.rules.credit import CreditType, SourceKind
from creditdesk.ledger.rules.eligibility import ReasonCode
from creditdesk.schema.computation import ColumnValues
from creditdesk.schema.errors import DomainError
from creditdesk.schema.repository import ReadSession
from creditdesk.schema.service import RequestContext

_PAYS: Final = (ReasonCode.USED, ReasonCode.NOT_NEEDED)
_SECONDS_PER_MINUTE: Final = 60


class BookingEstimates:
    """Implements `Computation` for bookings, by the decision of a preview (rule 19)."""

    def __init__(self, ledger: LedgerContext) -> None:
        self._ledger = ledger

    async def __call__(
        self, session: ReadSession, shown: ColumnValues, context: RequestContext, *, in_list: bool
    ) -> ColumnValues:
        starts = [_minutes_until(start, context.now) for start in shown["FromTime"]]
        if in_list:
            return {"MinutesToStart": starts}
        bookings = list(zip(shown["Id"], shown["CoworkerId"], strict=True))
        estimates = await self._estimate(session, bookings, context)
        costs = [None if each is None else each.price for each in estimates]
        return {
            "MinutesToStart": starts,
            "EstimatedCost": costs,
            "EstimagedCost": costs,
            "EstimatedCostWithProducts": costs,
            "AvailableCredit": [None if each is None else _available_money(each) for each in estimates],
        }

    async def _estimate(
        self, session: ReadSession, bookings: Sequence[tuple[int, int | None]], context: RequestContext
    ) -> list[SourceAllocation | None]:
        """The preview of each booking; None if it cannot be priced, for example without a customer or times."""
        requests = [
            BasketRequest(
                Buyer(customer or 0), (ItemRequest(SourceKind.BOOKING, booking),), context, ignore_covered=True
            )
            for booking, customer in bookings
        ]
        try:
            baskets = await load_baskets(session, requests)
        except DomainError:
            return [None] * len(bookings)
        return [self._preview(basket, context) if isinstance(basket, Basket) else None for basket in baskets]

    def _preview(self, basket: Basket, context: RequestContext) -> SourceAllocation:
        return preview(basket, self._ledger, context.now).sources[0]


def _available_money(estimate: SourceAllocation) -> int:
    """The money credit that may pay for the booking, whether or not it is needed."""
    return sum(
        seen.available for seen in estimate.considered if seen.credit.kind is CreditType.MONEY and seen.reason in _PAYS
    )


def _minutes_until(start: Any, now: datetime) -> int | None:
    """Whole minutes until the booking starts; negative once it has."""
    return None if start is None else int((start - now).total_seconds() // _SECONDS_PER_MINUTE)
