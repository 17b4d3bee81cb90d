"""What a member may use: the credits of its own, and those that its teams share with it (rule 16)."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from creditdesk.entities.billing.coworker_booking_credit import CoworkerBookingCredit
from creditdesk.entities.billing.coworker_extra_service import CoworkerExtraService
from creditdesk.entities.spaces.coworker import Coworker
from creditdesk.ledger.loaders.payers import Payers, load_payers
from creditdesk.ledger.loaders.rows import Flag, TypedRow, find_rows
from creditdesk.ledger.rules.amounts import Amount
from creditdesk.ledger.rules.credit import CreditType, extra_service_type
from creditdesk.ledger.rules.renewal import has_expired
from creditdesk.schema.repository import ReadSession


class MoneyBenefit(TypedRow, frozen=True, gc=False):
    """A money credit, in ten-thousandths of its currency."""

    entity = CoworkerBookingCredit

    coworker_id: int
    description: str | None
    tariff_booking_credit_id: int | None
    tariff_booking_credit_name: str | None
    coworker_contract_unique_id: str | None
    total_credit: Amount
    remaining_credit: Amount
    cane_be_used_for_bookings: Flag
    cane_be_used_for_events: Flag
    is_universal_credit: Flag
    expire_date: datetime | None
    business_currency_code: str | None

    @property
    def kind(self) -> CreditType:
        return CreditType.MONEY


class UseBenefit(TypedRow, frozen=True, gc=False):
    """A time or printing credit, in whole uses."""

    entity = CoworkerExtraService

    coworker_id: int
    extra_service_id: int | None
    extra_service_name: str | None
    extra_service_is_printing_credit: Flag
    booking_id: int | None
    booking_unique_id: str | None
    total_uses: int
    remaining_uses: int
    charge_period: int
    is_from_tariff: Flag
    expire_date: datetime | None

    @property
    def kind(self) -> CreditType:
        return extra_service_type(
            booking_id=self.booking_id,
            booking_unique_id=self.booking_unique_id,
            is_printing_credit=bool(self.extra_service_is_printing_credit),
        )


@dataclass(frozen=True, slots=True)
class BenefitGroup:
    """Credits that have not expired, by Id."""

    money: tuple[MoneyBenefit, ...]
    uses: tuple[UseBenefit, ...]


@dataclass(frozen=True, slots=True)
class MemberBenefits:
    """A member's own credits, and those of its teams."""

    personal: BenefitGroup
    team: BenefitGroup


class _MemberRow(TypedRow, frozen=True, gc=False):
    entity = Coworker


async def load_member_benefits(session: ReadSession, user_id: int, now: datetime) -> MemberBenefits | None:
    """The benefits of a user's customer, the first if there are several; None for a user without a customer.

    Leaves out booking charges, which have no balance (rule 5).
    """
    members = await find_rows(session, _MemberRow, UserId=user_id)
    if not members:
        return None
    member_id = members[0].id
    payers = (await load_payers(session, [member_id], now))[member_id]
    money = await find_rows(session, MoneyBenefit, CoworkerId=payers.payer_ids)
    uses = await find_rows(session, UseBenefit, CoworkerId=payers.payer_ids)
    usable_money = [credit for credit in money if not has_expired(credit.expire_date, now)]
    usable_uses = [
        credit
        for credit in uses
        if credit.kind is not CreditType.BOOKING_CHARGE and not has_expired(credit.expire_date, now)
    ]
    return MemberBenefits(
        _group(usable_money, usable_uses, {member_id}, None),
        _group(usable_money, usable_uses, payers.team_by_payer.keys(), payers),
    )


def _group(
    money: Collection[MoneyBenefit], uses: Collection[UseBenefit], owners: Collection[int], payers: Payers | None
) -> BenefitGroup:
    """The credits of these owners; of a team's payer only what that team shares."""

    def is_reached(credit: MoneyBenefit | UseBenefit) -> bool:
        if credit.coworker_id not in owners:
            return False
        if payers is None:
            return True
        team = payers.owner.team(payers.team_by_payer[credit.coworker_id])
        return team is not None and team.shares(credit.kind)

    return BenefitGroup(tuple(filter(is_reached, money)), tuple(filter(is_reached, uses)))
