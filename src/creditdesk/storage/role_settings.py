"""The settings of connections to PostgreSQL, set so that a pooler does not lose them."""

from __future__ import annotations

from typing import Final

from creditdesk.storage.connector import HostConnector

CONNECTION_SETTINGS: Final = {"application_name": "creditdesk"}
"""Sent with each connection. A pooler would lose or reject others, so those are settings of the role."""

ROLE_SETTINGS: Final = {
    "jit": "off",
    # Planning a dozen joins takes longer than executing them.
    "plan_cache_mode": "force_generic_plan",
}

_SETTINGS_LOCK: Final = 7230522


async def set_role_settings(url: str) -> None:
    """Sets the settings that the URL's user has in new connections to its database."""
    connection = await HostConnector(url)(url, server_settings=CONNECTION_SETTINGS)
    try:
        async with connection.transaction():
            # PostgreSQL refuses two changes of the same settings at once instead of letting one wait.
            await connection.execute(f"SELECT pg_advisory_xact_lock({_SETTINGS_LOCK})")
            database = await connection.fetchval("SELECT quote_ident(current_database())")
            for name, value in ROLE_SETTINGS.items():
                await connection.execute(f"ALTER ROLE CURRENT_USER IN DATABASE {database} SET {name} = {value}")
    finally:
        await connection.close()
