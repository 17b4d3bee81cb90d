"""Removes what sign-ins leave behind once it counts for nothing any more."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Final

from creditdesk.auth.login_throttle import WINDOW
from creditdesk.entities.security.rate_limit_window import RateLimitWindow
from creditdesk.entities.security.refresh_token import RefreshToken
from creditdesk.entities.security.sign_in_attempt import SignInAttempt
from creditdesk.entities.security.user_session import UserSession
from creditdesk.schema.query import Comparison, Filter
from creditdesk.schema.repository import Store, delete_matching

PURGE_BATCH_SIZE: Final = 1000
"""Rows removed in one transaction."""


async def remove_expired_sign_ins(store: Store, now: datetime, session_days: int) -> AsyncIterator[int]:
    """Removes sessions that expired `session_days` ago, expired refresh tokens, failures and counters of calls.

    Yields the number of each batch. The audit trail keeps every sign-in.
    """
    for entity, column, until in (
        (UserSession, "ExpireDate", now - timedelta(days=session_days)),
        (RefreshToken, "ExpireDate", now),
        (SignInAttempt, "CreatedOn", now - WINDOW),
        (RateLimitWindow, "EndsOn", now),
    ):
        past = Filter(entity.meta().columns[column], Comparison.AT_MOST, until)
        number = PURGE_BATCH_SIZE
        while number == PURGE_BATCH_SIZE:
            async with store.write_session() as session:
                number = await delete_matching(session, entity, (past,), PURGE_BATCH_SIZE)
            if number:
                yield number
