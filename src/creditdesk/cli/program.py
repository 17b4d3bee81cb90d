"""The program `creditdesk`: its commands, error messages and exit codes.

Exit codes: 0 success; 1 a problem was found, or an error occurred; 2 the command is not valid.
"""

from __future__ import annotations

import os
import sqlite3
import sys
from collections.abc import Sequence

import asyncpg
from cyclopts import App, CycloptsError

import creditdesk
from creditdesk.auth.encryption import EncryptionKeyError
from creditdesk.cli import (
    accounting,
    adoption,
    audit,
    backup,
    checkpoint,
    closing,
    config,
    data,
    encryption_keys,
    jobs,
    locations,
    member_links,
    reports,
    saved_reports,
    schedule_commands,
    serve,
    users,
)
from creditdesk.cli.output import CliError
from creditdesk.demo.load import DatabaseNotEmpty
from creditdesk.schema.errors import DomainError
from creditdesk.settings import TRACEBACK_VARIABLE
from creditdesk.settings_sources import SettingsError
from creditdesk.storage.backup import BackupError
from creditdesk.storage.engine import UnknownEngine
from creditdesk.storage.migrations import NewerDatabase, OlderDatabase

OK, FAILED, USAGE_ERROR, INTERRUPTED = 0, 1, 2, 130

app = App(
    name="creditdesk",
    help="The credit ledger for coworking spaces. Begin with `creditdesk demo`, then `creditdesk serve`.",
    version=getattr(creditdesk, "__version__", "unknown"),
    result_action="return_value",
    suppress_keyboard_interrupt=False,
)
app.command(serve.serve)
app.command(users.init)
app.command(data.migrate)
app.command(users.users)
app.command(member_links.member_link)
app.command(locations.locations)
app.command(data.demo)
app.command(data.import_, name="import")
app.command(data.export)
app.command(data.verify)
app.command(audit.audit)
app.command(adoption.adopt)
app.command(jobs.renew)
app.command(jobs.expire)
app.command(schedule_commands.jobs)
app.command(reports.report)
app.command(saved_reports.saved_reports)
app.command(accounting.accounting)
app.command(closing.close)
app.command(data.openapi)
app.command(checkpoint.checkpoint)
app.command(backup.backup)
app.command(backup.drill)
app.command(encryption_keys.rotate_key)
app.command(config.config)


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs one command and exits with its code."""
    sys.exit(run(sys.argv[1:] if arguments is None else list(arguments)))


def run(arguments: Sequence[str]) -> int:
    """Runs a command and returns its exit code; an error is one sentence on standard error."""
    try:
        code = app(list(arguments), exit_on_error=False, print_error=False)
    except CycloptsError as error:
        _print_error(f"{error}".strip() or "The command is not valid.")
        _print_error("See: creditdesk --help")
        return USAGE_ERROR
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        return FAILED
    except Exception as error:
        if os.environ.get(TRACEBACK_VARIABLE):
            raise
        _print_error(_error_message(error))
        return FAILED
    return code if isinstance(code, int) else OK


def _error_message(error: Exception) -> str:
    match error:
        case (
            CliError()
            | DomainError()
            | BackupError()
            | EncryptionKeyError()
            | SettingsError()
            | DatabaseNotEmpty()
            | UnknownEngine()
            | NewerDatabase()
            | OlderDatabase()
        ):
            return str(error)
        case asyncpg.PostgresError() | asyncpg.InterfaceError():
            return f"PostgreSQL reports: {error}"
        case sqlite3.Error():
            return f"SQLite reports: {error}"
        case OSError():
            name = f" ({error.filename})" if error.filename else ""
            return f"The operating system reports: {error.strerror or error}{name}"
        case _:
            return f"An unexpected error occurred, {type(error).__name__}: {error}. {TRACEBACK_VARIABLE}=1 shows where."


def _print_error(message: str) -> None:
    print(" ".join(message.split()), file=sys.stderr)
