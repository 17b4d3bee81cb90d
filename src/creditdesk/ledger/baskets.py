"""A basket: what one customer has to pay, and every credit that may be looked at for it.

Reads records into the pure core's values. This module must not decide who pays.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from creditdesk.entities.billing.coworker_contract import CoworkerContract
from creditdesk.entities.billing.extra_service import ExtraService
from creditdesk.entities.ledger.allocation_document import AllocationDocument
from creditdesk.entities.ledger.credit_state import CreditState
from creditdesk.entities.ledger.journal_line import JournalLine
from creditdesk.entities.spaces.coworker import Coworker
from creditdesk.entities.spaces.team import Team as TeamEntity
from creditdesk.ledger.amounts import Amount, round_amount
from creditdesk.ledger.caps import read_caps
from creditdesk.ledger.credit import (
    Credit,
    CreditKind,
    Limits,
    Owner,
    Rate,
    Source,
    SourceKey,
    SourceKind,
    Team,
    kind_of_extra_service,
)
from creditdesk.ledger.journal import Book, is_charge
from creditdesk.ledger.line import LineKind
from creditdesk.ledger.pools import MemberCap, under_caps
from creditdesk.ledger.records import (
    MONEY,
    TIME,
    Account,
    Side,
    account_of,
    may_see,
    overdraft_of,
    state_id,
    unknown,
    where,
)
from creditdesk.ledger.sources import Asked, Whose, read_source
from creditdesk.ledger.units import ChargePeriod
from creditdesk.schema.entity import Record
from creditdesk.schema.store import Reading, Unit
from creditdesk.schema.writing import Call


@dataclass(frozen=True, slots=True)
class Basket:
    """Sources of one customer, and the credits it reaches, as they were read."""

    owner: Owner
    sources: tuple[Source, ...]
    credits: tuple[Credit, ...]
    caps: tuple[MemberCap, ...] = ()

    @property
    def accounts(self) -> tuple[Account, ...]:
        return tuple(account_of(credit.key) for credit in self.credits)

    def as_locked(self, book: Book, let_go: Collection[int] = ()) -> tuple[Credit, ...]:
        """The credits with the balances they have under lock; those that are gone left out.

        What the holds in `let_go` held counts against no cap.
        """
        now = []
        for credit in self.credits:
            locked = book.credits.get(account_of(credit.key))
            if locked is not None:
                now.append(
                    replace(
                        credit,
                        remaining=locked.remaining,
                        held=locked.held,
                        overdraft=locked.overdraft,
                    )
                )
        return under_caps(now, self.caps, book.now, let_go)


async def read_basket(
    unit: Unit, whose: Whose, asked: Sequence[Asked], call: Call, *, as_unpaid: bool = False
) -> Basket:
    """The basket as the caller may see it. Raises Invalid for what is not there for the caller.

    What a source was already paid by earlier spends is no longer part of its price, unless it is
    to be decided `as_unpaid`.
    """
    owner, payers = await read_owner(unit, whose.customer_id, call)
    sources = []
    for each in asked:
        source = await read_source(unit, each, whose, call)
        # A kind of pass is sold to many: what one paid covers nothing for the next.
        if each.amount is None and not as_unpaid and each.kind is not SourceKind.TIME_PASS:
            covered = await covered_so_far(unit, source.key)
            source = replace(source, price=max(0, source.price - covered))
        sources.append(source)
    credits_ = await read_credits(unit, owner, payers, call)
    unpaid = [source.key for source in sources] if as_unpaid else []
    caps = await read_caps(unit, owner, payers, credits_, call, unpaid)
    return Basket(owner, tuple(sources), under_caps(credits_, caps, call.now), caps)


async def read_owner(
    reading: Reading, customer_id: int, call: Call
) -> tuple[Owner, dict[int, int]]:
    """The customer with its plans and teams, and by paying member the team it pays for (rule 16)."""
    customer = await reading.get(Coworker, customer_id)
    places = customer["Businesses"] if customer else ()
    everywhere = call.caller.locations is None
    if customer is None or not (everywhere or any(may_see(call.caller, p) for p in places)):
        raise unknown("Coworker", customer_id)
    contracts = await reading.find(
        CoworkerContract, where(CoworkerContract, CoworkerId=customer_id)
    )
    plans = frozenset(c["TariffId"] for c in contracts if c["Active"] and not c["Cancelled"])
    records = await reading.many(TeamEntity, customer["Teams"])
    teams, payers = [], dict[int, int]()
    for team_id, team in sorted(records.items()):
        teams.append(
            Team(
                team_id,
                bool(team["ShareBookingCredit"]),
                bool(team["ShareExtraServices"]),
                bool(team["TransferCreditsToPayingMember"]),
            )
        )
        payer = team["PayingMemberId"]
        if payer and payer != customer_id:
            payers.setdefault(payer, team_id)
    return Owner(customer_id, plans, tuple(teams)), payers


async def read_credits(
    reading: Reading, owner: Owner, payers: dict[int, int], call: Call
) -> tuple[Credit, ...]:
    """Every credit of the customer and of those who pay for its teams, in no order."""
    people = tuple(sorted({owner.customer_id, *payers}))
    whole: dict[Side, list[Record]] = {}
    for side in (MONEY, TIME):
        found = await reading.find(side.credit, where(side.credit, CoworkerId=people))
        ids = [
            r["Id"]
            for r in found
            if may_see(call.caller, r["BusinessId"]) and not is_charge(side, r)
        ]
        whole[side] = list((await reading.many(side.credit, ids)).values()) if ids else []
    rates = await reading.many(ExtraService, [r["ExtraServiceId"] for r in whole[TIME]])
    ids = [state_id((side.kind, r["Id"])) for side, records in whole.items() for r in records]
    states = await reading.many(CreditState, ids) if ids else {}
    return tuple(
        _credit(side, record, rates, states.get(state_id((side.kind, record["Id"]))), payers)
        for side, records in whole.items()
        for record in records
    )


def _credit(
    side: Side,
    record: Record,
    rates: dict[int, Record],
    state: Record | None,
    payers: dict[int, int],
) -> Credit:
    rate = rates.get(record["ExtraServiceId"]) if side is TIME else None
    credit = Credit(
        CreditKind.MONEY,
        record["Id"],
        record["CoworkerId"],
        record["BusinessId"],
        (rate["CurrencyCode"] if rate else record.get("BusinessCurrencyCode")) or "",
        record[side.remaining],
        record["CreatedOn"],
        total=record[side.total],
        valid_from=record["ValidFrom"],
        expires=record["ExpireDate"],
        team_id=payers.get(record["CoworkerId"]),
    )
    if state is not None:
        held = state["Held"] // side.scale
        credit = replace(credit, held=held, priority=state["Priority"], paid=state["Paid"])
    if side is MONEY:
        return replace(credit, limits=_limits(record), use_credit_price=record["UseCreditPrice"])
    kind = kind_of_extra_service(
        booking_id=record["BookingId"],
        booking_unique_id=record["BookingUniqueId"],
        is_printing_credit=bool(rate and rate["IsPrintingCredit"]),
    )
    overdraft = overdraft_of(side, record)
    return replace(credit, kind=kind, rate=_rate(rate) if rate else None, overdraft=overdraft)


def _limits(record: Record) -> Limits:
    return Limits(
        record["CaneBeUsedForBookings"],
        record["CaneBeUsedForEvents"],
        record["IsUniversalCredit"],
        frozenset(record["ElegibleResourceTypes"]),
        frozenset(record["EventCategories"]),
        frozenset(record["ElegibleProducts"]),
        frozenset(record["ElegiblePasses"]),
        frozenset(record["ElegibleTariffs"]),
        record["AppliesToCharges"],
    )


def _rate(record: Record) -> Rate:
    return Rate(
        record["Id"],
        ChargePeriod(record["ChargePeriod"]),
        record["Price"],
        record["CreditPrice"],
        frozenset(record["ResourceTypes"]),
        bool(record["IsPrintingCredit"]),
    )


async def covered_so_far(reading: Reading, source: SourceKey) -> Amount:
    """What earlier spends still cover of a source's price: reversed uses cover nothing (rule 25).

    Each use covers what the newest decision made by then says of that credit and that amount.
    """
    named = {"SourceKind": source.kind.value, "SourceId": source.id}
    documents = await reading.find(AllocationDocument, where(AllocationDocument, **named))
    if not documents:
        return 0
    parts = [
        (document["CreatedOn"], _paying(part["credit"]), scaled(part["taken"]), part["covered"])
        for document in documents
        for part in document["Document"]["parts"]
    ]
    lines = await reading.find(JournalLine, where(JournalLine, **named))
    back: dict[tuple[str, int | None], Amount] = {}
    for line in lines:
        if line["Kind"] == LineKind.REVERSAL:
            use = (_credit_of(line), line["Reverses"])
            back[use] = back.get(use, 0) + line["Amount"]
    covered = 0
    for line in reversed(lines):
        if line["Kind"] != LineKind.USE or not line["Amount"]:
            continue
        credit, amount = _credit_of(line), line["Amount"]
        place = next(
            (
                place
                for place, (decided, paying, taken, _) in reversed(list(enumerate(parts)))
                if (paying, taken) == (credit, amount) and decided <= line["RecordedOn"]
            ),
            None,
        )
        if place is not None:
            left = amount - back.get((credit, line["Sequence"]), 0)
            covered += round_amount(Fraction(scaled(parts.pop(place)[3]) * left, amount), 4)
    return covered


def _paying(credit: str) -> str:
    """A document's name of a credit as the journal says it: printing is time there."""
    return credit.replace(CreditKind.PRINTING.value, CreditKind.TIME.value)


def _credit_of(line: Record) -> str:
    return f"{line['CreditKind']}/{line['CreditId']}"


def scaled(shown: str | int) -> Amount:
    """A document's amount in ten-thousandths: money as text, uses as a whole number."""
    whole, _, part = str(shown).partition(".")
    return int(whole) * 10_000 + int(part.ljust(4, "0")[:4] or 0)
