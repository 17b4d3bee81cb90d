"""The command `checkpoint`, and reading checkpoint files."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cyclopts import Parameter

from creditdesk.audit.checkpoint_check import read_checkpoint
from creditdesk.audit.checkpoint_format import Checkpoint, checkpoint_digest, private_from_pem
from creditdesk.audit.checkpoints import create_checkpoint
from creditdesk.auth.encryption import SecretCipher
from creditdesk.cli.database import DatabaseOption, database_url, open_database
from creditdesk.cli.encryption_keys import settings_with_key
from creditdesk.cli.output import CliError, echo
from creditdesk.private_files import open_private_text
from creditdesk.settings import CHECKPOINT_KEY_VARIABLE


def checkpoint(
    *,
    key: Annotated[
        Path | None,
        Parameter(
            env_var=CHECKPOINT_KEY_VARIABLE,
            help="PEM file with the Ed25519 private key that signs. By default the database's own key.",
        ),
    ] = None,
    out: Annotated[Path | None, Parameter(help="New file for the checkpoint. Keep it on another machine.")] = None,
    database: DatabaseOption = None,
) -> int:
    """Create a signed checkpoint of every credit's journal.

    `creditdesk verify --checkpoint` later finds journal entries that were changed or removed.
    """

    async def create() -> Checkpoint:
        signer = _load_signing_key(key) if key else None
        async with open_database(database) as store, store.write_session() as session:
            keys = settings_with_key(database_url(database)).auth.encryption_key
            cipher = SecretCipher(keys)
            return await create_checkpoint(session, datetime.now(UTC), signer, cipher)

    if out is not None and out.exists():
        raise CliError(f"{out} already exists; a checkpoint is never overwritten.")
    made = asyncio.run(create())
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        with open_private_text(out) as file:
            file.write(json.dumps(made.document(), indent=2) + "\n")
    echo(f"The checkpoint covers {made.lines} journal entries of {made.credits} credits.")
    echo(f"Digest: {checkpoint_digest(made).hex()}")
    return 0


def load_checkpoint(path: Path) -> Checkpoint:
    """The checkpoint in a file. Raises CliError when the file holds none."""
    try:
        return read_checkpoint(path)
    except ValueError as error:
        raise CliError(f"{path} is not a checkpoint: {error}") from None


def _load_signing_key(path: Path) -> Ed25519PrivateKey:
    try:
        return private_from_pem(path.read_bytes())
    except ValueError as error:
        raise CliError(f"{path} is not a signing key: {error}.") from None
