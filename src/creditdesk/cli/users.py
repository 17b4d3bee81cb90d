"""Commands about users: the first administrator, roles, passwords and tokens."""

from __future__ import annotations

import asyncio
import secrets
import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Annotated

from cyclopts import App, Parameter

from creditdesk.auth.audit_trail import AuditAction
from creditdesk.auth.credentials import find_user_id
from creditdesk.auth.sessions import EndReason, end_sessions_of, sessions_of
from creditdesk.auth.tokens import signing_secret
from creditdesk.auth.users_admin import create_user, ensure_roles, issue_token, set_password, set_roles
from creditdesk.cli.audit import record_command
from creditdesk.cli.database import DatabaseOption, database_url, open_database
from creditdesk.cli.encryption_keys import settings_with_key
from creditdesk.cli.output import CliError, echo
from creditdesk.entities.sys.user import User
from creditdesk.schema.conversions import format_datetime
from creditdesk.schema.entity import Record
from creditdesk.schema.repository import ReadSession

Email = Annotated[str, Parameter(help="E-mail address of the user, with which they sign in.")]
PasswordStdin = Annotated[
    bool,
    Parameter(
        name="--password-stdin",
        negative="",
        help="Read the password from the first line of standard input.",
    ),
]

users = App(name="user", help="Add users, set their roles and passwords, issue tokens.")


def init(
    *,
    admin: Annotated[str, Parameter(help="E-mail address of the first administrator.")],
    password_stdin: PasswordStdin = False,
    database: DatabaseOption = None,
) -> int:
    """Prepare a database: tables, roles, and an administrator with every permission.

    Safe to repeat: an existing administrator is not changed. Without --password-stdin a password is
    generated and printed once.
    """

    async def run() -> None:
        now = datetime.now(UTC)
        password, generated = _read_or_generate_password(from_stdin=password_stdin)
        async with (
            open_database(database, migrated=True) as store,
            store.write_session() as session,
        ):
            await ensure_roles(session, now)
            if await find_user_id(session, admin) is not None:
                echo(f"The database is ready; {admin} already exists and was not changed.")
                return
            user_id = await create_user(session, admin, password, admin, is_admin=True, now=now)
            details = {"Email": [None, admin], "IsAdmin": [None, True]}
            await record_command(session, AuditAction.CREATED, now, (User.__name__, user_id), details)
        echo(f"The database is ready, and {admin} is its administrator.")
        if generated:
            echo(f"Password: {password}")

    asyncio.run(run())
    return 0


@users.command
def add(
    email: Email,
    *,
    name: Annotated[str | None, Parameter(help="Full name; by default the e-mail address.")] = None,
    admin: Annotated[bool, Parameter(negative="", help="Grant every permission.")] = False,
    business: Annotated[
        list[int] | None,
        Parameter(negative="", help="Id of a location that the user sees; repeatable. By default all."),
    ] = None,
    password_stdin: PasswordStdin = False,
    database: DatabaseOption = None,
) -> int:
    """Add a user who may sign in."""

    async def run() -> None:
        password, generated = _read_or_generate_password(from_stdin=password_stdin)
        async with open_database(database) as store, store.write_session() as session:
            user_id = await create_user(
                session,
                email,
                password,
                name or email,
                is_admin=admin,
                now=datetime.now(UTC),
                businesses=business or (),
            )
            details = {"Email": [None, email], "IsAdmin": [None, admin], "Businesses": [None, business or []]}
            await record_command(session, AuditAction.CREATED, None, (User.__name__, user_id), details)
        echo(f"{email} is user {user_id}.")
        if generated:
            echo(f"Password: {password}")

    asyncio.run(run())
    return 0


@users.command
def roles(
    email: Email,
    *role: Annotated[str, Parameter(help="Names such as Booking-List; none removes all.")],
    business: Annotated[int, Parameter(help="Id of the location that the roles belong to.")],
    database: DatabaseOption = None,
) -> int:
    """Replace the roles of a user with these."""

    async def run() -> None:
        now = datetime.now(UTC)
        async with open_database(database) as store, store.write_session() as session:
            user_id = await _require_user_id(session, email)
            await set_roles(session, user_id, business, role, now=now)
            details = {"BusinessId": business, "Roles": role}
            await record_command(session, AuditAction.ROLES_CHANGED, now, (User.__name__, user_id), details)
        echo(f"{email} has {_join_names(role)}.")

    asyncio.run(run())
    return 0


@users.command
def password(email: Email, *, password_stdin: PasswordStdin = False, database: DatabaseOption = None) -> int:
    """Set a new password for a user and revoke their tokens."""

    async def run() -> None:
        new, generated = _read_or_generate_password(from_stdin=password_stdin)
        async with open_database(database) as store, store.write_session() as session:
            user_id = await _require_user_id(session, email)
            await set_password(session, user_id, new, now=datetime.now(UTC))
            await record_command(session, AuditAction.PASSWORD_CHANGED, None, (User.__name__, user_id))
        echo(f"{email} has a new password.")
        if generated:
            echo(f"Password: {new}")

    asyncio.run(run())
    return 0


@users.command
def sessions(email: Email, *, database: DatabaseOption = None) -> int:
    """List the sessions of a user that are open, or that ended or expired recently."""

    async def run() -> None:
        async with open_database(database) as store, store.read_session() as session:
            found = await sessions_of(session, await _require_user_id(session, email))
        now = datetime.now(UTC)
        for each in found:
            echo(_describe_session(each, now))
        if not found:
            echo(f"{email} has no session.")

    asyncio.run(run())
    return 0


@users.command
def sign_out(email: Email, *, database: DatabaseOption = None) -> int:
    """End every session of a user: all their tokens are void at once, on every running server."""

    async def run() -> None:
        async with open_database(database) as store, store.write_session() as session:
            user_id = await _require_user_id(session, email)
            ended = await end_sessions_of(session, user_id, EndReason.BY_COMMAND, datetime.now(UTC))
            details = {"Sessions": [each["Id"] for each in ended]}
            await record_command(session, AuditAction.SIGN_OUT, None, (User.__name__, user_id), details)
        echo(f"{len(ended)} {'session' if len(ended) == 1 else 'sessions'} of {email} ended.")

    asyncio.run(run())
    return 0


@users.command
def token(email: Email, *, database: DatabaseOption = None) -> int:
    """Print an access token of a user, for the header `Authorization: Bearer …`."""

    async def run() -> None:
        now = datetime.now(UTC)
        async with open_database(database) as store:
            settings = settings_with_key(database_url(database)).auth
            secret = await signing_secret(store, settings, now)
            async with store.write_session() as session:
                user_id = await _require_user_id(session, email)
                grant = await issue_token(session, user_id, secret, settings, now=now)
                await record_command(session, AuditAction.TOKEN_ISSUED, now, (User.__name__, user_id))
        echo(grant.access_token)

    asyncio.run(run())
    return 0


async def _require_user_id(session: ReadSession, email: str) -> int:
    user_id = await find_user_id(session, email)
    if user_id is None:
        raise CliError(f"There is no user {email}.")
    return user_id


def _describe_session(session: Record, now: datetime) -> str:
    """`7  open until 2026-03-17T09:00:00Z  desk (password) from 192.0.2.7 since 2026-03-02T09:00:00Z`."""
    if session["EndedOn"] is not None:
        state = f"ended {format_datetime(session['EndedOn'])}: {session['EndReason']}"
    elif session["ExpireDate"] <= now:
        state = f"expired {format_datetime(session['ExpireDate'])}"
    else:
        state = f"open until {format_datetime(session['ExpireDate'])}"
    origin = f" from {session['Address']}" if session["Address"] else ""
    opened = format_datetime(session["CreatedOn"])
    return f"{session['Id']}  {state}  {session['ClientId']} ({session['Method']}){origin} since {opened}"


def _read_or_generate_password(*, from_stdin: bool) -> tuple[str, bool]:
    """The password, and whether it was generated, in which case it must be printed."""
    if not from_stdin:
        return secrets.token_urlsafe(12), True
    given = sys.stdin.readline().rstrip("\r\n")
    if not given:
        raise CliError("Standard input contains no password.")
    return given, False


def _join_names(names: Iterable[str]) -> str:
    return ", ".join(names) or "no roles"
