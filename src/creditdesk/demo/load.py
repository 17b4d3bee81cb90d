"""Writes the demo into an empty store in batches, so memory stays flat."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from datetime import date
from typing import Final

from creditdesk.demo.customers import create_customer, create_history, create_team
from creditdesk.demo.factory import DEFAULT_UNTIL, RecordFactory, RecordsByEntity
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
from creditdesk.entities.catalog import BUSINESS_ENTITIES
from creditdesk.entities.content.event_attendee import EventAttendee
from creditdesk.entities.ledger.account_state import AccountState
from creditdesk.entities.ledger.journal_line import JournalLine
from creditdesk.entities.spaces.booking import Booking
from creditdesk.entities.spaces.coworker import Coworker
from creditdesk.entities.spaces.team import Team
from creditdesk.schema.batches import has_records, prefetch
from creditdesk.schema.entity import Entity, Record
from creditdesk.schema.progress import ProgressReporter
from creditdesk.schema.repository import Store

USES_PER_CUSTOMER: Final = 40
ROWS_PER_BATCH: Final = 20_000
TEAM_SIZE: Final = 5
MIN_USES_FOR_PROCESS: Final = 30_000
"""The number of uses from which a second process is worth its start, which takes about a second."""
USE_HISTORIES: Final = (CoworkerBookingCreditUseHistory, CoworkerExtraServiceUseHistory)
CUSTOMER_ENTITIES: Final[tuple[type[Entity], ...]] = (
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
"""What customers have, in an order in which every record follows those it refers to."""


class DatabaseNotEmpty(Exception):
    """The database already has records, with which the demo would mix."""


async def load_demo(
    store: Store, uses: int, seed: int, progress: ProgressReporter, until: date = DEFAULT_UNTIL
) -> None:
    """Writes a demo with this many uses in one transaction, so that it is complete or absent.

    Its 18 months end as `until` begins.

    Raises DatabaseNotEmpty when the store holds any records but users and roles.
    """
    async with store.read_session() as reading:
        if await has_records(reading, BUSINESS_ENTITIES):
            raise DatabaseNotEmpty(
                "This database already holds records. The demo needs an empty one: name another with --database."
            )
    async with (
        store.bulk_load(CUSTOMER_ENTITIES) as session,
        aclosing(_generate_batches(uses, seed, until)) as batches,
    ):
        async for batch in batches:
            for entity in sorted(batch, key=_load_position):
                await session.insert(entity, batch[entity])
            progress.advance(sum(len(batch.get(history, ())) for history in USE_HISTORIES))


async def _generate_batches(uses: int, seed: int, until: date) -> AsyncGenerator[RecordsByEntity]:
    """The demo's records in batches, the same from either process."""
    if uses >= MIN_USES_FOR_PROCESS:
        generated = generate_in_process(record_batches, uses, seed, until)
        async with aclosing(prefetch(generated)) as batches:
            async for batch in batches:
                yield batch
        return
    for batch in record_batches(uses, seed, until):
        yield batch


def record_batches(uses: int, seed: int, until: date = DEFAULT_UNTIL) -> Iterator[RecordsByEntity]:
    """The demo's records in batches; a function of the arguments alone."""
    factory = RecordFactory(seed, until)
    locations = create_locations(factory)
    count = max(12, uses // USES_PER_CUSTOMER)
    members: dict[int, list[Record]] = {}
    teams = 0
    for number in range(count):
        location = locations[number % len(locations)]
        customer = create_customer(factory, location, number)
        own_uses = uses // count + (number < uses % count)
        create_history(factory, location, customer, own_uses, number)
        without_team = members.setdefault(location.business["Id"], [])
        without_team.append(customer)
        if len(without_team) == TEAM_SIZE:
            create_team(factory, location, without_team, teams)
            teams += 1
            without_team.clear()
        if factory.pending_rows >= ROWS_PER_BATCH:
            yield factory.take_pending()
    yield factory.take_pending()


def _load_position(entity: type[Entity]) -> int:
    """What locations offer comes first, in the order in which it was created."""
    return CUSTOMER_ENTITIES.index(entity) if entity in CUSTOMER_ENTITIES else -1
