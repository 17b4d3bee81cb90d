"""Commands about who may sign in: the first administrator, users, their roles and tokens."""

from __future__ import annotations

import asyncio
import secrets
import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Annotated

from cyclopts import App, Parameter

from creditdesk.auth.tokens import signing_secret
from creditdesk.auth.users_admin import (
    create_user,
    ensure_roles,
    find_user_id,
    issue_token,
    set_password,
    set_roles,
)
from creditdesk.cli.database import DatabaseOption, database_url, open_database, settings_for
from creditdesk.cli.output import CliError, echo
from creditdesk.schema.repository import ReadSession

Email = Annotated[str, Parameter(help="The user's e-mail address, with which they sign in.")]
PasswordStdin = Annotated[
    bool,
    Parameter(
        name="--password-stdin",
        negative="",
        help="Read the password from the first line of standard input.",
    ),
]

users = App(name="user", help="Add users, give them roles and passwords, issue tokens.")


def init(
    *,
    admin: Annotated[str, Parameter(help="E-mail address of the first administrator.")],
    password_stdin: PasswordStdin = False,
    database: DatabaseOption = None,
) -> int:
    """Prepare a database: tables, roles, and an administrator who may do everything.

    Safe to repeat: what is already there stays as it is. Without --password-stdin a password is
    made up and printed once.
    """

    async def run() -> None:
        now = datetime.now(UTC)
        password, made_up = _read_or_generate_password(from_stdin=password_stdin)
        async with open_database(database, migrated=True) as store, store.write_session() as unit:
            await ensure_roles(unit, now)
            if await find_user_id(unit, admin) is not None:
                echo(f"The database is ready; {admin} was already there and stays as before.")
                return
            await create_user(unit, admin, password, admin, is_admin=True, now=now)
        echo(f"The database is ready, and {admin} is its administrator.")
        if made_up:
            echo(f"Password: {password}")

    asyncio.run(run())
    return 0


@users.command
def add(
    email: Email,
    *,
    name: Annotated[str | None, Parameter(help="Full name; the e-mail when left out.")] = None,
    admin: Annotated[bool, Parameter(negative="", help="May do everything.")] = False,
    business: Annotated[
        list[int] | None,
        Parameter(negative="", help="Id of a location the user sees; repeat it. None: all."),
    ] = None,
    password_stdin: PasswordStdin = False,
    database: DatabaseOption = None,
) -> int:
    """Add a user who may sign in."""

    async def run() -> None:
        password, made_up = _read_or_generate_password(from_stdin=password_stdin)
        async with open_database(database) as store, store.write_session() as unit:
            user_id = await create_user(
                unit,
                email,
                password,
                name or email,
                is_admin=admin,
                now=datetime.now(UTC),
                businesses=business or (),
            )
        echo(f"{email} is user {user_id}.")
        if made_up:
            echo(f"Password: {password}")

    asyncio.run(run())
    return 0


@users.command
def roles(
    email: Email,
    *role: Annotated[str, Parameter(help="Names such as Booking-List; none takes all away.")],
    business: Annotated[int, Parameter(help="Id of the location that keeps the roles.")],
    database: DatabaseOption = None,
) -> int:
    """Give a user exactly these roles, in place of those it had."""

    async def run() -> None:
        now = datetime.now(UTC)
        async with open_database(database) as store, store.write_session() as unit:
            await set_roles(unit, await _require_user_id(unit, email), business, role, now=now)
        echo(f"{email} has {_join_names(role)}.")

    asyncio.run(run())
    return 0


@users.command
def password(
    email: Email, *, password_stdin: PasswordStdin = False, database: DatabaseOption = None
) -> int:
    """Give a user a new password; its tokens end."""

    async def run() -> None:
        new, made_up = _read_or_generate_password(from_stdin=password_stdin)
        async with open_database(database) as store, store.write_session() as unit:
            await set_password(
                unit, await _require_user_id(unit, email), new, now=datetime.now(UTC)
            )
        echo(f"{email} has a new password.")
        if made_up:
            echo(f"Password: {new}")

    asyncio.run(run())
    return 0


@users.command
def token(email: Email, *, database: DatabaseOption = None) -> int:
    """Print an access token for a user, to be sent as `Authorization: Bearer …`."""

    async def run() -> None:
        now = datetime.now(UTC)
        settings = settings_for(database_url(database)).auth
        async with open_database(database) as store:
            secret = await signing_secret(store, settings, now)
            async with store.write_session() as unit:
                user_id = await _require_user_id(unit, email)
                grant = await issue_token(unit, user_id, secret, settings, now=now)
        echo(grant.access_token)

    asyncio.run(run())
    return 0


async def _require_user_id(session: ReadSession, email: str) -> int:
    user_id = await find_user_id(session, email)
    if user_id is None:
        raise CliError(f"There is no user {email}.")
    return user_id


def _read_or_generate_password(*, from_stdin: bool) -> tuple[str, bool]:
    """The password, and whether it was made up here and must be told."""
    if not from_stdin:
        return secrets.token_urlsafe(12), True
    given = sys.stdin.readline().rstrip("\r\n")
    if not given:
        raise CliError("Standard input holds no password.")
    return given, False


def _join_names(names: Iterable[str]) -> str:
    return ", ".join(names) or "no roles"
