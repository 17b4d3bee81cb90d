"""The whole demo, written into an empty store customer by customer, so memory stays flat."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from typing import Final, Protocol

from creditdesk.demo.customers import customer, past, team
from creditdesk.demo.factory import Gathered, Maker
from creditdesk.demo.location import furnish
from creditdesk.demo.worker import made_ahead
from creditdesk.entities.billing.coworker_booking_credit import CoworkerBookingCredit
from creditdesk.entities.billing.coworker_booking_credit_use_history import (
    CoworkerBookingCreditUseHistory,
)
from creditdesk.entities.billing.coworker_contract import CoworkerContract
from creditdesk.entities.billing.coworker_extra_service import CoworkerExtraService
from creditdesk.entities.billing.coworker_extra_service_use_history import (
    CoworkerExtraServiceUseHistory,
)
from creditdesk.entities.billing.coworker_invoice import CoworkerInvoice
from creditdesk.entities.billing.coworker_invoice_line import CoworkerInvoiceLine
from creditdesk.entities.billing.coworker_product import CoworkerProduct
from creditdesk.entities.catalog import CATALOG
from creditdesk.entities.content.event_attendee import EventAttendee
from creditdesk.entities.ledger.account_state import CreditState
from creditdesk.entities.ledger.journal_line import JournalLine
from creditdesk.entities.spaces.booking import Booking
from creditdesk.entities.spaces.coworker import Coworker
from creditdesk.entities.spaces.team import Team
from creditdesk.schema.entity import Entity, Record
from creditdesk.schema.fields import Collection, Reference
from creditdesk.schema.repository import Store

USES_OF_A_CUSTOMER: Final = 40
ROWS_OF_A_PIECE: Final = 20_000
TEAM_SIZE: Final = 5
USES_WORTH_A_PROCESS: Final = 30_000
"""A process takes about a second to begin."""
HISTORIES: Final = (CoworkerBookingCreditUseHistory, CoworkerExtraServiceUseHistory)
_MANY: Final = (
    Coworker,
    CoworkerContract,
    CoworkerProduct,
    Team,
    Booking,
    EventAttendee,
    CoworkerInvoice,
    CoworkerInvoiceLine,
    CoworkerBookingCredit,
    CoworkerExtraService,
    CreditState,
    JournalLine,
    *HISTORIES,
)
"""What customers have; of the rest there is little, however many uses there are."""


class NotEmpty(Exception):
    """The demo is only written into a database that holds no records yet."""


class Progress(Protocol):
    """Told how many of the uses are written."""

    def advance(self, rows: int) -> None: ...


async def tell(store: Store, uses: int, seed: int, progress: Progress) -> None:
    """Writes a demo with so many uses. Raises NotEmpty when there is anything to mix it with.

    Either the whole demo is there at the end, or nothing of it.
    """
    await _demand_empty(store)
    async with store.loading(_MANY) as unit, aclosing(_made(uses, seed)) as pieces:
        async for piece in pieces:
            for entity in sorted(piece, key=_ORDER.index):
                await unit.insert(entity, piece[entity])
            progress.advance(sum(len(piece.get(history, ())) for history in HISTORIES))


async def _made(uses: int, seed: int) -> AsyncGenerator[Gathered]:
    """The demo's records, so many at a time, in an order that depends on the seed alone."""
    if uses >= USES_WORTH_A_PROCESS:
        async with aclosing(made_ahead(pieces_of, uses, seed)) as pieces:
            async for piece in pieces:
                yield piece
        return
    for piece in pieces_of(uses, seed):
        yield piece


def pieces_of(uses: int, seed: int) -> Iterator[Gathered]:
    """The demo's records, so many at a time."""
    maker = Maker(seed)
    places = furnish(maker)
    count = max(12, uses // USES_OF_A_CUSTOMER)
    members: dict[int, list[Record]] = {}
    teams = 0
    for number in range(count):
        here = places[number % len(places)]
        who = customer(maker, here, number)
        past(maker, here, who, uses // count + (number < uses % count), number)
        together = members.setdefault(here.business["Id"], [])
        together.append(who)
        if len(together) == TEAM_SIZE:
            team(maker, here, together, teams)
            teams += 1
            together.clear()
        if maker.rows_gathered >= ROWS_OF_A_PIECE:
            yield maker.take()
    yield maker.take()


async def _demand_empty(store: Store) -> None:
    async with store.reading() as reading:
        for entity in _ORDER:
            signing_in = entity.__name__ in _OF_SIGNING_IN
            if entity.served and not signing_in and await reading.count(entity):
                raise NotEmpty(
                    "This database already holds records. The demo needs an empty one:"
                    " name another with --database."
                )


def _in_order() -> list[type[Entity]]:
    """Every entity after those it refers to; the demo follows no reference round a circle."""
    named = {entity.__name__: entity for entity in CATALOG}
    placed: list[type[Entity]] = []
    open_: set[str] = set()

    def place(name: str) -> None:
        if name in open_:
            return
        open_.add(name)
        for kind in named[name].fields.values():
            if isinstance(kind, Reference) and kind.kept:
                place(kind.to)
            elif isinstance(kind, Collection) and kind.kept and not kind.mirrors:
                place(kind.of)
        placed.append(named[name])

    for name in named:
        place(name)
    return placed


_OF_SIGNING_IN: Final = frozenset({"User", "Role", "UserRole"})
_ORDER: Final = [entity for entity in _in_order() if entity.area]
