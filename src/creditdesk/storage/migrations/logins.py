"""Step 15: e-mails of sign-ins in Unicode's form NFKC."""

from __future__ import annotations

from creditdesk.schema.conversions import fold_case, fold_compatible
from creditdesk.storage.dialects import Dialect, Execute
from creditdesk.storage.fragments import Fragment, Parameter
from creditdesk.storage.migrations.step import Migration, StepKind, existing_columns

_PARAMETERS = (Parameter("login", 0), Parameter("login_fold", 1), Parameter("id", 2))


async def _normalize_logins(execute: Execute, dialect: Dialect) -> None:
    """Where two users would get one login, the earlier has it; the other needs another e-mail."""
    if "credential" not in await existing_columns(execute, dialect):
        return
    rows = await execute("SELECT id, login FROM credential ORDER BY id", ())
    taken = {login for _, login in rows}
    login, fold, identity = _PARAMETERS
    update = Fragment(f"UPDATE credential SET login = {login}, login_fold = {fold} WHERE id = {identity}", _PARAMETERS)
    for credential_id, stored in rows:
        normalized = fold_compatible(stored or "")
        if normalized == stored or normalized in taken:
            continue
        taken.add(normalized)
        bound = update.numbered(dialect).bind((normalized, fold_case(normalized), credential_id))
        await execute(bound.text, bound.values)


MIGRATIONS = (
    Migration(
        15,
        "e-mails in the form NFKC",
        "Sign-ins compare e-mails in Unicode's form NFKC; stored ones become so.",
        _normalize_logins,
        StepKind.CONTRACT,
    ),
)
