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
from creditdesk.cli.output import Problem
from creditdesk.demo.load import NotEmpty
from creditdesk.schema.errors import Refusal
from creditdesk.settings import BadSetting
from creditdesk.storage.engine import UnknownEngine
from creditdesk.storage.migrations import NewerDatabase, OlderDatabase

OK, FAILED, MISUSED, INTERRUPTED = 0, 1, 2, 130
TRACEBACK_VARIABLE = "CREDITDESK_TRACEBACK"

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
        _complain(f"{fault}".strip() or "The command was not understood.")
        _complain("See: creditdesk --help")
        return MISUSED
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        return FAILED
    except Exception as fault:
        if os.environ.get(TRACEBACK_VARIABLE):
            raise
        _complain(_sentence(fault))
        return FAILED
    return code if isinstance(code, int) else OK


def _sentence(fault: Exception) -> str:
    match fault:
        case Refusal():
            return str(fault)
        case Problem() | NotEmpty() | UnknownEngine() | NewerDatabase() | OlderDatabase():
            return str(fault)
        case BadSetting():
            return f"A setting cannot be taken: {fault}."
        case asyncpg.PostgresError() | asyncpg.InterfaceError():
            return f"PostgreSQL says: {fault}"
        case sqlite3.Error():
            return f"SQLite says: {fault}"
        case OSError():
            name = f" ({fault.filename})" if fault.filename else ""
            return f"The system says: {fault.strerror or fault}{name}"
        case _:
            return (
                f"creditdesk met a fault of its own, {type(fault).__name__}: {fault}."
                f" With {TRACEBACK_VARIABLE}=1 it shows where."
            )


def _complain(sentence: str) -> None:
    print(" ".join(sentence.split()), file=sys.stderr)
