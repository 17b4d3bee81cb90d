"""The composition root: binds the rooms to each other and gives one ASGI application.

With the command line the only module that sees every room.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Final

import asyncpg
from starlette.applications import Starlette
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from creditdesk.api import docs, reference_data
from creditdesk.api.audit.routes import audit_routes
from creditdesk.api.context import ApiContext, ExtraRoute, utc_now
from creditdesk.api.default_service import DefaultService
from creditdesk.api.ledger.routes import LedgerApi, ledger_routes
from creditdesk.api.rate_limit import RateLimiter
from creditdesk.api.routes import Api
from creditdesk.api.token import token_handler
from creditdesk.api.token_openapi import TOKEN_OPERATION
from creditdesk.auth.authenticator import Authenticator
from creditdesk.auth.passwords import Passwords
from creditdesk.auth.permission import require_role
from creditdesk.auth.scope import scope_filters
from creditdesk.auth.users import UserRoleService, UserService
from creditdesk.entities.billing.coworker_booking_credit import CoworkerBookingCredit
from creditdesk.entities.billing.coworker_booking_credit_use_history import (
    CoworkerBookingCreditUseHistory,
)
from creditdesk.entities.billing.coworker_extra_service import CoworkerExtraService
from creditdesk.entities.billing.coworker_extra_service_use_history import (
    CoworkerExtraServiceUseHistory,
)
from creditdesk.entities.billing.coworker_product import CoworkerProduct
from creditdesk.entities.catalog import PUBLIC_ENTITIES
from creditdesk.entities.ledger.stored_response import StoredResponse
from creditdesk.entities.security.user_role import UserRole
from creditdesk.entities.spaces.booking import Booking
from creditdesk.entities.sys.user import User
from creditdesk.ledger.actions import ledger_commands
from creditdesk.ledger.journal.transaction import LedgerContext
from creditdesk.ledger.operations.product_benefits import ProductService
from creditdesk.ledger.operations.spends import SpendQueue
from creditdesk.ledger.services import BookingService, CreditService, UseService
from creditdesk.schema.repository import Store
from creditdesk.settings import Settings

TRANSIENT_ERRORS: Final = (
    asyncpg.PostgresConnectionError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.CannotConnectNowError,
    asyncpg.TooManyConnectionsError,
    asyncpg.InterfaceError,
    ConnectionError,
)
"""What a driver raises when the database went away, comes back or has no connection to give."""


def build_app(
    store: Store, settings: Settings, clock: Callable[[], datetime] = utc_now
) -> Application:
    """The application over a store that is already migrated. `clock` tells the instant of a call."""
    parts = build_context(store, settings, clock)
    app = Application(
        routes=[
            Route("/health", reference_data.health),
            Route("/ready", partial(reference_data.ready, api=parts)),
            *docs.routes(parts),
        ]
    )
    app.router.redirect_slashes = False
    # Everything else is the wire's own: it matches paths without case and answers 404 in JSON.
    app.router.default = app.api = Api(parts)
    return app


class Application(Starlette):
    """The pages, and beside them the wire, which is reached past the layers that pages need."""

    api: ASGIApp

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"][:5].lower() == "/api/":
            await self.api(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)


def build_context(
    store: Store, settings: Settings, clock: Callable[[], datetime] = utc_now
) -> ApiContext:
    """What the wire stands on, each promise bound to who keeps it."""
    passwords = Passwords(settings.auth)
    authenticator = Authenticator(store, settings.auth, passwords)
    plain = DefaultService()
    desk = LedgerContext(clock, settings.ledger)
    spends = SpendQueue(store, clock, settings.ledger)
    credits, uses = CreditService(desk), UseService(desk)
    hops = settings.auth.proxy_hops
    token = ExtraRoute(
        "POST",
        "/api/token",
        token_handler(authenticator, clock, hops),
        TOKEN_OPERATION,
        is_public=True,
    )
    return ApiContext(
        store=store,
        settings=settings.api,
        entities=PUBLIC_ENTITIES,
        authenticator=authenticator,
        require_role=require_role,
        scope=scope_filters,
        rate_limiter=RateLimiter(settings.limits),
        default_service=plain,
        user_entity=User,
        response_entity=StoredResponse,
        services={
            User: UserService(plain, passwords, on_change=authenticator.clear_cache),
            UserRole: UserRoleService(plain, on_change=authenticator.clear_cache),
            CoworkerBookingCredit: credits,
            CoworkerExtraService: credits,
            CoworkerBookingCreditUseHistory: uses,
            CoworkerExtraServiceUseHistory: uses,
            Booking: BookingService(desk, plain),
            CoworkerProduct: ProductService(desk, plain),
        },
        use_posters={
            CoworkerBookingCreditUseHistory: spends,
            CoworkerExtraServiceUseHistory: spends,
        },
        actions=ledger_commands(desk),
        extra_routes=(
            token,
            *ledger_routes(LedgerApi(store, desk, StoredResponse, settings.api.body_limit_bytes)),
            *audit_routes(store, require_role, scope_filters),
        ),
        transient_errors=TRANSIENT_ERRORS,
        clock=clock,
        proxy_hops=hops,
    )
