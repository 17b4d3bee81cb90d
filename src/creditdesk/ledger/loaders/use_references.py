"""What posted uses refer to, loaded for a whole batch at once."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from creditdesk.ledger.loaders.bookings import BookingRow
from creditdesk.ledger.loaders.dataloader import gather_loads
from creditdesk.ledger.loaders.item_loader import Items, load_items
from creditdesk.ledger.loaders.locations import (
    DEFAULT_CLOCK,
    LocationClock,
    load_location_clocks,
)
from creditdesk.ledger.loaders.rates import RateRow, load_rates
from creditdesk.ledger.rules.credit import SourceKey
from creditdesk.schema.repository import Finder


@dataclass(frozen=True, slots=True)
class UseReferences:
    """The items that uses name, the rates of their credits, and the clocks of locations."""

    items: Items = field(default_factory=Items)
    rates: Mapping[int, RateRow] = field(default_factory=dict)
    clocks: Mapping[int, LocationClock] = field(default_factory=dict)

    def booking(self, key: SourceKey) -> BookingRow | None:
        """The booking with this key; None for other kinds of items."""
        row = self.items.rows.get(key)
        return row if isinstance(row, BookingRow) else None

    def starts(self, key: SourceKey) -> datetime | None:
        """When the item begins; None for items without a time of their own (rule 12)."""
        return self.items.starts(key)

    def clock_of(self, key: SourceKey) -> LocationClock:
        """The clock of the item's location."""
        return self.clocks.get(self.items.business_id(key) or 0, DEFAULT_CLOCK)


async def load_use_references(
    finder: Finder, keys: Collection[SourceKey], rate_ids: Iterable[int | None]
) -> UseReferences:
    """The items with these keys and the rates with these ids; no statement where both are empty."""
    if not keys:
        return UseReferences(rates=await load_rates(finder, rate_ids))
    (items, clocks), rates = await gather_loads(
        finder,
        lambda finder: _load_items_with_clocks(finder, keys),
        lambda finder: load_rates(finder, rate_ids),
    )
    return UseReferences(items, rates, clocks)


async def _load_items_with_clocks(
    finder: Finder, keys: Collection[SourceKey]
) -> tuple[Items, dict[int, LocationClock]]:
    items = await load_items(finder, keys)
    bookings = [row for row in items.rows.values() if isinstance(row, BookingRow)]
    locations = [booking.resource_business_id for booking in bookings]
    return items, await load_location_clocks(finder, locations)
