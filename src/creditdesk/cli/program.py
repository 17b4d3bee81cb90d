"""The program: its commands, and how every way of failing becomes a sentence and an exit code.

0 is success, 1 a problem that was found or met, 2 a command that was not understood.
"""

from __future__ import annotations

import os
import sqlite3
import sys
from collections.abc import Sequence

import asyncpg
from cyclopts import App, CycloptsError

import creditdesk
from creditdesk.cli import checkpoint, data, jobs, serve, users
from creditdesk.cli.output import CliError
from creditdesk.demo.load import DatabaseNotEmpty
from creditdesk.schema.errors import DomainError
from creditdesk.settings import TRACEBACK_VARIABLE, SettingsError
from creditdesk.storage.engine import UnknownEngine
from creditdesk.storage.migrations import NewerDatabase, OlderDatabase

OK, FAILED, USAGE_ERROR, INTERRUPTED = 0, 1, 2, 130

app = App(
    name="creditdesk",
    help="The credit ledger for coworking spaces: who has which credit, and what paid for what."
    " Begin with `creditdesk demo`, then `creditdesk serve`.",
    version=getattr(creditdesk, "__version__", "unknown"),
    result_action="return_value",
    suppress_keyboard_interrupt=False,
)
app.command(serve.serve)
app.command(users.init)
app.command(data.migrate)
app.command(users.users)
app.command(data.demo)
app.command(data.import_, name="import")
app.command(data.export)
app.command(data.verify)
app.command(jobs.renew)
app.command(jobs.expire)
app.command(data.openapi)
app.command(checkpoint.checkpoint)


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs one command and leaves with its exit code."""
    sys.exit(run(sys.argv[1:] if arguments is None else list(arguments)))


def run(arguments: Sequence[str]) -> int:
    """The exit code of a command; errors are one sentence on standard error."""
    try:
        code = app(list(arguments), exit_on_error=False, print_error=False)
    except CycloptsError as fault:
        _print_error(f"{fault}".strip() or "The command was not understood.")
        _print_error("See: creditdesk --help")
        return USAGE_ERROR
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        return FAILED
    except Exception as fault:
        if os.environ.get(TRACEBACK_VARIABLE):
            raise
        _print_error(_error_message(fault))
        return FAILED
    return code if isinstance(code, int) else OK


def _error_message(error: Exception) -> str:
    match error:
        case DomainError():
            return str(error)
        case (
            CliError()
            | SettingsError()
            | DatabaseNotEmpty()
            | UnknownEngine()
            | NewerDatabase()
            | OlderDatabase()
        ):
            return str(error)
        case asyncpg.PostgresError() | asyncpg.InterfaceError():
            return f"PostgreSQL says: {error}"
        case sqlite3.Error():
            return f"SQLite says: {error}"
        case OSError():
            name = f" ({error.filename})" if error.filename else ""
            return f"The system says: {error.strerror or error}{name}"
        case _:
            return (
                f"creditdesk met a fault of its own, {type(error).__name__}: {error}."
                f" With {TRACEBACK_VARIABLE}=1 it shows where."
            )


def _print_error(message: str) -> None:
    print(" ".join(message.split()), file=sys.stderr)
