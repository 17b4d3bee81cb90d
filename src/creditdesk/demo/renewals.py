"""The credit of the current period of a contract, as the renewal job grants it (rule 27)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

from creditdesk.demo.factory import RecordFactory
from creditdesk.demo.history import open_credit_journal
from creditdesk.demo.location import DemoLocation
from creditdesk.entities.ledger.benefit_grant import BenefitGrant
from creditdesk.ledger.journal.causes import Cause
from creditdesk.ledger.journal.mapping import MONEY_MAPPING, TIME_MAPPING, CreditTypeMapping
from creditdesk.ledger.rules.calendar import local_date
from creditdesk.ledger.rules.renewal import RenewalPeriod, ServiceRenewalTime, renewal_key, renewal_period
from creditdesk.schema.entity import Record


def create_renewed_credits(factory: RecordFactory, location: DemoLocation, contract: Record) -> None:
    """Grants the benefits of the contract's plan for the period of the last day of the demo."""
    zone = ZoneInfo(location.time_zone)
    started = local_date(contract["StartDate"], zone)
    last_day = factory.ends.date() - timedelta(days=1)
    period = renewal_period(ServiceRenewalTime.TARIFF_MONTH, last_day, started, contract["BillingDay"])
    for benefit in location.benefits:
        if benefit["TariffId"] == contract["TariffId"]:
            values = {
                "Description": benefit["Name"],
                "TotalCredit": benefit["Credit"],
                "CaneBeUsedForBookings": True,
                "CaneBeUsedForEvents": True,
                "TariffBookingCreditId": benefit["Id"],
            }
            _grant(factory, MONEY_MAPPING, contract, benefit, period, zone, values)
    services = {service["Id"]: service for service in (location.rate, location.printing)}
    for benefit in location.time_benefits:
        if benefit["TariffId"] == contract["TariffId"]:
            values = {
                "ExtraServiceId": benefit["ExtraServiceId"],
                "TotalUses": benefit["UsesIncluded"],
                "ChargePeriod": services[benefit["ExtraServiceId"]]["ChargePeriod"],
                "Free": True,
                "Price": 0,
                "IsFromTariff": True,
            }
            _grant(factory, TIME_MAPPING, contract, benefit, period, zone, values)


def _grant(
    factory: RecordFactory,
    mapping: CreditTypeMapping,
    contract: Record,
    benefit: Record,
    period: RenewalPeriod,
    zone: ZoneInfo,
    values: dict[str, Any],
) -> None:
    starts = period.valid_from(zone)
    credit = factory.create(
        mapping.credit_entity,
        starts,
        CoworkerId=contract["CoworkerId"],
        BusinessId=contract["IssuedById"],
        CoworkerContractUniqueId=contract["UniqueId"],
        ValidFrom=starts,
        ExpireDate=period.expires(zone),
        **values,
    )
    name = f"{mapping.account_type.value}/{benefit['Id']}"
    key = renewal_key(str(contract["Id"]), name, period)
    open_credit_journal(factory, mapping, credit, (), Cause.RENEWED, f"renewal {key}")
    factory.create(
        BenefitGrant,
        starts,
        Key=key,
        ContractId=contract["Id"],
        Benefit=name,
        PeriodStart=starts,
        CreditKind=mapping.account_type.value,
        CreditId=credit["Id"],
    )
