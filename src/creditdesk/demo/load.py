"""The whole demo, written into an empty store customer by customer, so memory stays flat."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from typing import Final, Protocol

from creditdesk.demo.customers import create_customer, create_history, create_team
from creditdesk.demo.factory import RecordFactory, RecordsByEntity
from creditdesk.demo.location import create_locations
from creditdesk.demo.worker import generate_in_process
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
from creditdesk.entities.ledger.account_state import AccountState
from creditdesk.entities.ledger.journal_line import JournalLine
from creditdesk.entities.spaces.booking import Booking
from creditdesk.entities.spaces.coworker import Coworker
from creditdesk.entities.spaces.team import Team
from creditdesk.schema.entity import Entity, Record
from creditdesk.schema.fields import Collection, Reference
from creditdesk.schema.repository import Store

USES_PER_CUSTOMER: Final = 40
ROWS_PER_BATCH: Final = 20_000
TEAM_SIZE: Final = 5
MIN_USES_FOR_PROCESS: Final = 30_000
"""A process takes about a second to begin."""
USE_HISTORIES: Final = (CoworkerBookingCreditUseHistory, CoworkerExtraServiceUseHistory)
_BULK_ENTITIES: Final = (
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
    AccountState,
    JournalLine,
    *USE_HISTORIES,
)
"""What customers have; of the rest there is little, however many uses there are."""


class DatabaseNotEmpty(Exception):
    """The demo is only written into a database that holds no records yet."""


class ProgressListener(Protocol):
    """Told how many of the uses are written."""

    def advance(self, rows: int) -> None: ...


async def load_demo(store: Store, uses: int, seed: int, progress: ProgressListener) -> None:
    """Writes a demo with so many uses. Raises NotEmpty when there is anything to mix it with.

    Either the whole demo is there at the end, or nothing of it.
    """
    await _require_empty(store)
    async with (
        store.bulk_load(_BULK_ENTITIES) as unit,
        aclosing(_generate_batches(uses, seed)) as pieces,
    ):
        async for piece in pieces:
            for entity in sorted(piece, key=_LOAD_ORDER.index):
                await unit.insert(entity, piece[entity])
            progress.advance(sum(len(piece.get(history, ())) for history in USE_HISTORIES))


async def _generate_batches(uses: int, seed: int) -> AsyncGenerator[RecordsByEntity]:
    """The demo's records, so many at a time, in an order that depends on the seed alone."""
    if uses >= MIN_USES_FOR_PROCESS:
        async with aclosing(generate_in_process(record_batches, uses, seed)) as pieces:
            async for piece in pieces:
                yield piece
        return
    for piece in record_batches(uses, seed):
        yield piece


def record_batches(uses: int, seed: int) -> Iterator[RecordsByEntity]:
    """The demo's records, so many at a time."""
    factory = RecordFactory(seed)
    places = create_locations(factory)
    count = max(12, uses // USES_PER_CUSTOMER)
    members: dict[int, list[Record]] = {}
    teams = 0
    for number in range(count):
        here = places[number % len(places)]
        who = create_customer(factory, here, number)
        create_history(factory, here, who, uses // count + (number < uses % count), number)
        together = members.setdefault(here.business["Id"], [])
        together.append(who)
        if len(together) == TEAM_SIZE:
            create_team(factory, here, together, teams)
            teams += 1
            together.clear()
        if factory.pending_rows >= ROWS_PER_BATCH:
            yield factory.take_pending()
    yield factory.take_pending()


async def _require_empty(store: Store) -> None:
    async with store.read_session() as reading:
        for entity in _LOAD_ORDER:
            signing_in = entity.__name__ in _AUTH_ENTITIES
            if entity.public and not signing_in and await reading.count(entity):
                raise DatabaseNotEmpty(
                    "This database already holds records. The demo needs an empty one:"
                    " name another with --database."
                )


def _dependency_order() -> list[type[Entity]]:
    """Every entity after those it refers to; the demo follows no reference round a circle."""
    named = {entity.__name__: entity for entity in CATALOG}
    placed: list[type[Entity]] = []
    open_: set[str] = set()

    def place(name: str) -> None:
        if name in open_:
            return
        open_.add(name)
        for kind in named[name].fields.values():
            if isinstance(kind, Reference) and kind.is_local:
                place(kind.to)
            elif isinstance(kind, Collection) and kind.is_local and not kind.inverse_of:
                place(kind.of)
        placed.append(named[name])

    for name in named:
        place(name)
    return placed


_AUTH_ENTITIES: Final = frozenset({"User", "Role", "UserRole"})
_LOAD_ORDER: Final = [entity for entity in _dependency_order() if entity.area]
