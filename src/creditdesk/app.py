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
from creditdesk.api.audit.routes import proof_paths
from creditdesk.api.context import ExtraPath, Parts, utc_now
from creditdesk.api.default_service import PlainWriter
from creditdesk.api.ledger.routes import LedgerWire, ledger_paths
from creditdesk.api.rate_limit import Throttle
from creditdesk.api.routes import Api
from creditdesk.api.token import token_endpoint
from creditdesk.api.token_openapi import TOKEN_OPERATION
from creditdesk.auth.authenticator import Authenticator
from creditdesk.auth.passwords import Passwords
from creditdesk.auth.permission import demand
from creditdesk.auth.scope import scope
from creditdesk.auth.users import UserRoleWriter, UserWriter
from creditdesk.entities.billing.coworker_booking_credit import CoworkerBookingCredit
from creditdesk.entities.billing.coworker_booking_credit_use_history import (
    CoworkerBookingCreditUseHistory,
)
from creditdesk.entities.billing.coworker_extra_service import CoworkerExtraService
from creditdesk.entities.billing.coworker_extra_service_use_history import (
    CoworkerExtraServiceUseHistory,
)
from creditdesk.entities.billing.coworker_product import CoworkerProduct
from creditdesk.entities.catalog import SERVED
from creditdesk.entities.ledger.stored_response import StoredAnswer
from creditdesk.entities.security.user_role import UserRole
from creditdesk.entities.spaces.booking import Booking
from creditdesk.entities.sys.user import User
from creditdesk.ledger.actions import ledger_commands
from creditdesk.ledger.journal.transaction import Desk
from creditdesk.ledger.operations.product_benefits import ProductWriter
from creditdesk.ledger.operations.spends import Spends
from creditdesk.ledger.services import BookingWriter, CreditWriter, UseWriter
from creditdesk.schema.repository import Store
from creditdesk.settings import Settings

PASSING: Final = (
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
    parts = bind(store, settings, clock)
    app = Application(
        routes=[
            Route("/health", reference_data.health),
            Route("/ready", partial(reference_data.ready, parts=parts)),
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


def bind(store: Store, settings: Settings, clock: Callable[[], datetime] = utc_now) -> Parts:
    """What the wire stands on, each promise bound to who keeps it."""
    passwords = Passwords(settings.auth)
    authenticator = Authenticator(store, settings.auth, passwords)
    plain = PlainWriter()
    desk = Desk(clock, settings.ledger)
    spends = Spends(store, clock, settings.ledger)
    credits, uses = CreditWriter(desk), UseWriter(desk)
    hops = settings.auth.proxy_hops
    token = ExtraPath(
        "POST",
        "/api/token",
        token_endpoint(authenticator, clock, hops),
        TOKEN_OPERATION,
        open=True,
    )
    return Parts(
        store=store,
        settings=settings.wire,
        entities=SERVED,
        auth=authenticator,
        demand=demand,
        scope=scope,
        throttle=Throttle(settings.limits),
        plain=plain,
        people=User,
        answers=StoredAnswer,
        writers={
            User: UserWriter(plain, passwords, changed=authenticator.forget),
            UserRole: UserRoleWriter(plain, changed=authenticator.forget),
            CoworkerBookingCredit: credits,
            CoworkerExtraService: credits,
            CoworkerBookingCreditUseHistory: uses,
            CoworkerExtraServiceUseHistory: uses,
            Booking: BookingWriter(desk, plain),
            CoworkerProduct: ProductWriter(desk, plain),
        },
        spends={CoworkerBookingCreditUseHistory: spends, CoworkerExtraServiceUseHistory: spends},
        commands=ledger_commands(desk),
        extras=(
            token,
            *ledger_paths(LedgerWire(store, desk, StoredAnswer, settings.wire.body_limit_bytes)),
            *proof_paths(store, demand, scope),
        ),
        passing=PASSING,
        clock=clock,
        proxy_hops=hops,
    )
