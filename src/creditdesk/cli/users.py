"""Commands about who may sign in: the first administrator, users, their roles and tokens."""

from __future__ import annotations

import asyncio
import secrets
import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Annotated

from cyclopts import App, Parameter

from creditdesk.auth.records import new_row
from creditdesk.auth.tokens import signing_secret
from creditdesk.auth.users_admin import (
    create_user,
    ensure_roles,
    issue_token,
    set_password,
    set_roles,
    user_with_email,
)
from creditdesk.cli.database import Database, database_url, opened, settings_for
from creditdesk.cli.output import Problem, say
from creditdesk.entities.security.role import Role
from creditdesk.schema.repository import Reading, Unit

LEDGER_ROLES = ("Ledger-Read", "Ledger-Spend", "Ledger-Correct")

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


async def prepare_roles(unit: Unit, now: datetime) -> None:
    """Makes the roles that are missing: five for each served entity, and the ledger's own."""
    known = await ensure_roles(unit, now)
    missing = [name for name in LEDGER_ROLES if name.lower() not in known]
    await unit.insert(Role, [new_row(Role, now, Name=name) for name in missing])


def init(
    *,
    admin: Annotated[str, Parameter(help="E-mail address of the first administrator.")],
    password_stdin: PasswordStdin = False,
    database: Database = None,
) -> int:
    """Prepare a database: tables, roles, and an administrator who may do everything.

    Safe to repeat: what is already there stays as it is. Without --password-stdin a password is
    made up and printed once.
    """

    async def run() -> None:
        now = datetime.now(UTC)
        password, made_up = _password(from_stdin=password_stdin)
        async with opened(database, migrated=True) as store, store.writing() as unit:
            await prepare_roles(unit, now)
            if await user_with_email(unit, admin) is not None:
                say(f"The database is ready; {admin} was already there and stays as before.")
                return
            await create_user(unit, admin, password, admin, is_admin=True, now=now)
        say(f"The database is ready, and {admin} is its administrator.")
        if made_up:
            say(f"Password: {password}")

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
    database: Database = None,
) -> int:
    """Add a user who may sign in."""

    async def run() -> None:
        password, made_up = _password(from_stdin=password_stdin)
        async with opened(database) as store, store.writing() as unit:
            user_id = await create_user(
                unit,
                email,
                password,
                name or email,
                is_admin=admin,
                now=datetime.now(UTC),
                businesses=business or (),
            )
        say(f"{email} is user {user_id}.")
        if made_up:
            say(f"Password: {password}")

    asyncio.run(run())
    return 0


@users.command
def roles(
    email: Email,
    *role: Annotated[str, Parameter(help="Names such as Booking-List; none takes all away.")],
    business: Annotated[int, Parameter(help="Id of the location that keeps the roles.")],
    database: Database = None,
) -> int:
    """Give a user exactly these roles, in place of those it had."""

    async def run() -> None:
        now = datetime.now(UTC)
        async with opened(database) as store, store.writing() as unit:
            await prepare_roles(unit, now)
            await set_roles(unit, await _user(unit, email), business, role, now=now)
        say(f"{email} has {_listed(role)}.")

    asyncio.run(run())
    return 0


@users.command
def password(
    email: Email, *, password_stdin: PasswordStdin = False, database: Database = None
) -> int:
    """Give a user a new password; its tokens end."""

    async def run() -> None:
        new, made_up = _password(from_stdin=password_stdin)
        async with opened(database) as store, store.writing() as unit:
            await set_password(unit, await _user(unit, email), new, now=datetime.now(UTC))
        say(f"{email} has a new password.")
        if made_up:
            say(f"Password: {new}")

    asyncio.run(run())
    return 0


@users.command
def token(email: Email, *, database: Database = None) -> int:
    """Print an access token for a user, to be sent as `Authorization: Bearer …`."""

    async def run() -> None:
        now = datetime.now(UTC)
        settings = settings_for(database_url(database)).auth
        async with opened(database) as store:
            secret = await signing_secret(store, settings, now)
            async with store.writing() as unit:
                user_id = await _user(unit, email)
                grant = await issue_token(unit, user_id, secret, settings, now=now)
        say(grant.access_token)

    asyncio.run(run())
    return 0


async def _user(reading: Reading, email: str) -> int:
    user_id = await user_with_email(reading, email)
    if user_id is None:
        raise Problem(f"There is no user {email}.")
    return user_id


def _password(*, from_stdin: bool) -> tuple[str, bool]:
    """The password, and whether it was made up here and must be told."""
    if not from_stdin:
        return secrets.token_urlsafe(12), True
    given = sys.stdin.readline().rstrip("\r\n")
    if not given:
        raise Problem("Standard input holds no password.")
    return given, False


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names) or "no roles"
