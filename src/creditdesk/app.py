"""The composition root: binds services to a store and builds the ASGI application.

Apart from the command line, it is the only module that imports every package.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Final

import asyncpg
from starlette.types import ASGIApp

from creditdesk.api.administration import Administration, ShownSetting
from creditdesk.api.api_tokens import api_token_routes
from creditdesk.api.audit.routes import audit_routes
from creditdesk.api.context import ApiContext, Replica, Route, utc_now
from creditdesk.api.coworker_fields import coworker_fields
from creditdesk.api.default_service import DefaultService
from creditdesk.api.docs import page_routes
from creditdesk.api.ledger.benefits import benefit_routes
from creditdesk.api.ledger.booking_estimates import BookingEstimates
from creditdesk.api.ledger.bulk import bulk_routes
from creditdesk.api.ledger.routes import ledger_routes
from creditdesk.api.ledger.spends import CreateUse
from creditdesk.api.link_mail import LinkMailRoutes
from creditdesk.api.members import member_routes
from creditdesk.api.passwords import password_routes
from creditdesk.api.rate_limit import RateLimiter
from creditdesk.api.reports.closings import closing_routes
from creditdesk.api.reports.routes import report_routes
from creditdesk.api.routes import Api
from creditdesk.api.saved_views import saved_view_routes
from creditdesk.api.sessions import session_routes
from creditdesk.api.token import token_route
from creditdesk.auth.audited_service import AuditedService
from creditdesk.auth.authenticator import Authenticator
from creditdesk.auth.customers import CustomerService
from creditdesk.auth.encryption import SecretCipher
from creditdesk.auth.passwords import Passwords
from creditdesk.auth.permission import require_named_role
from creditdesk.auth.users import UserRoleService, UserService
from creditdesk.console.application import Console
from creditdesk.console.translations import languages, translated_message
from creditdesk.entities.billing.coworker_booking_credit import CoworkerBookingCredit
from creditdesk.entities.billing.coworker_booking_credit_use_history import (
    CoworkerBookingCreditUseHistory,
)
from creditdesk.entities.billing.coworker_contract import CoworkerContract
from creditdesk.entities.billing.coworker_extra_service import CoworkerExtraService
from creditdesk.entities.billing.coworker_extra_service_use_history import (
    CoworkerExtraServiceUseHistory,
)
from creditdesk.entities.billing.coworker_product import CoworkerProduct
from creditdesk.entities.billing.extra_service import ExtraService
from creditdesk.entities.catalog import PUBLIC_ENTITIES
from creditdesk.entities.ledger.allocation_document import AllocationDocument
from creditdesk.entities.ledger.location_profile import LocationProfile
from creditdesk.entities.ledger.pool_cap import PoolCap
from creditdesk.entities.roles import SPEND_ROLE
from creditdesk.entities.security.user_role import UserRole
from creditdesk.entities.spaces.booking import Booking
from creditdesk.entities.spaces.coworker import Coworker
from creditdesk.entities.sys.business import Business
from creditdesk.entities.sys.user import User
from creditdesk.import_routes import import_routes
from creditdesk.job_control import JOB_CONTROL
from creditdesk.ledger.actions import ledger_actions
from creditdesk.ledger.contract_service import ContractService
from creditdesk.ledger.journal.transaction import LedgerContext
from creditdesk.ledger.loaders.foreign_balances import hide_foreign_balances
from creditdesk.ledger.operations.product_benefits import ProductService
from creditdesk.ledger.operations.spend_queue import SpendQueue
from creditdesk.ledger.rate_service import RateService
from creditdesk.ledger.services import BookingService, CreditService, UseService
from creditdesk.scheduler.link_mail import MAIL_JOB
from creditdesk.scheduler.month_closer import LedgerMonthCloser
from creditdesk.schema.computation import Redaction
from creditdesk.schema.entity import Entity
from creditdesk.schema.repository import Store, WriteSession
from creditdesk.schema.service import EntityService, Principal
from creditdesk.settings import ApiSettings, Settings
from creditdesk.telemetry.observer import RequestListener, RequestObserver
from creditdesk.telemetry.store import TimedStore

TRANSIENT_ERRORS: Final = (
    asyncpg.PostgresConnectionError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.CannotConnectNowError,
    # Too many connections, no memory, no room for a temporary file.
    asyncpg.InsufficientResourcesError,
    asyncpg.InterfaceError,
    asyncpg.ReadOnlySQLTransactionError,
    ConnectionError,
)
"""Errors of drivers while the database is away, restarts, or has no free connection."""


def build_app(
    store: Store,
    settings: Settings,
    clock: Callable[[], datetime] = utc_now,
    replica: Replica | None = None,
    request_listener: RequestListener | None = None,
    shown_settings: Sequence[ShownSetting] = (),
) -> ASGIApp:
    """The application over a migrated store: the API, and the console. `clock` is read once per request.

    `request_listener` is called with each finished request. `shown_settings` are the settings as administrators
    see them.
    """
    context = replace(build_context(store, settings, clock, shown_settings), replica=replica)
    api = Api(context, page_routes(context))
    pages = (
        Console(api, settings.console.frame_ancestors, sends_links=bool(settings.mail.host))
        if settings.console.enabled
        else api
    )
    return RequestObserver(pages, request_listener)


def _charge_authorization(settings: ApiSettings) -> Callable[[Principal], None]:
    """The check of a write that charges a booking: requires the role of a spend, if the settings say so."""
    if not settings.require_ledger_roles:
        return lambda _principal: None
    return partial(require_named_role, role=SPEND_ROLE)


def _audited_services(
    default_service: EntityService, passwords: Passwords, cipher: SecretCipher
) -> dict[type[Entity], EntityService]:
    """The services whose writes are recorded in the audit trail."""
    return {
        Business: AuditedService(default_service),
        LocationProfile: AuditedService(default_service),
        PoolCap: AuditedService(default_service),
        User: AuditedService(UserService(default_service, passwords, cipher=cipher)),
        UserRole: AuditedService(UserRoleService(default_service)),
    }


async def _request_mail(session: WriteSession, now: datetime) -> None:
    """Makes the job that sends links due."""
    await JOB_CONTROL.request(session, MAIL_JOB, now)


def _own_routes(authenticator: Authenticator) -> tuple[Route, ...]:
    """The paths of the caller itself: its tokens, sessions, password and saved views."""
    return (
        token_route(authenticator),
        *session_routes(authenticator),
        *saved_view_routes(),
        *password_routes(authenticator),
    )


def _administration_routes(authenticator: Authenticator, shown_settings: Sequence[ShownSetting]) -> tuple[Route, ...]:
    return (
        *api_token_routes(authenticator),
        *Administration(shown_settings, JOB_CONTROL).routes(),
        *import_routes(),
    )


def build_context(
    store: Store,
    settings: Settings,
    clock: Callable[[], datetime] = utc_now,
    shown_settings: Sequence[ShownSetting] = (),
) -> ApiContext:
    """The services behind the API."""
    passwords = Passwords(settings.auth)
    # The spend queue measures its transactions itself, because each serves many requests.
    batched_store, store = store, TimedStore(store)
    authenticator = Authenticator(store, settings.auth, passwords)
    default_service = DefaultService()
    cipher = SecretCipher(settings.auth.encryption_key)
    folder = Path(settings.report_folder) if settings.report_folder else None
    ledger = LedgerContext(clock, settings.ledger)
    queue = SpendQueue(batched_store, ledger)
    credits_, uses = CreditService(ledger), UseService(ledger)
    histories = (CoworkerBookingCreditUseHistory, CoworkerExtraServiceUseHistory)
    return ApiContext(
        store=store,
        settings=settings.api,
        entities=PUBLIC_ENTITIES,
        authenticator=authenticator,
        rate_limiter=RateLimiter(settings.limits, store),
        default_service=default_service,
        user_entity=User,
        services={
            **_audited_services(default_service, passwords, cipher),
            CoworkerBookingCredit: credits_,
            CoworkerExtraService: credits_,
            ExtraService: RateService(default_service),
            CoworkerBookingCreditUseHistory: uses,
            CoworkerExtraServiceUseHistory: uses,
            Coworker: CustomerService(default_service),
            Booking: BookingService(ledger, default_service, _charge_authorization(settings.api)),
            CoworkerContract: ContractService(default_service),
            CoworkerProduct: ProductService(ledger, default_service),
        },
        redactions={AllocationDocument: Redaction("Document", hide_foreign_balances)},
        computations={Booking: BookingEstimates(ledger), Coworker: coworker_fields},
        create_endpoints={history: CreateUse(history, queue) for history in histories},
        actions=ledger_actions(ledger),
        extra_routes=(
            *_own_routes(authenticator),
            *_administration_routes(authenticator, shown_settings),
            *ledger_routes(ledger, queue),
            *bulk_routes(ledger),
            *benefit_routes(),
            *member_routes(authenticator),
            *LinkMailRoutes(authenticator, settings.auth, _request_mail if settings.mail.host else None).routes(),
            *audit_routes(),
            *report_routes(ledger),
            *closing_routes(LedgerMonthCloser(store, ledger, cipher, folder)),
        ),
        transient_errors=TRANSIENT_ERRORS,
        clock=clock,
        proxy_hops=settings.auth.proxy_hops,
        reports_on_replica=settings.reports_on_replica,
        wordings={code: partial(translated_message, language=code) for code in languages()},
    )
