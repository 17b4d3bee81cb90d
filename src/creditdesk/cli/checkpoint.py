"""The command that seals the ledger under a signed checkpoint, and reads kept ones."""

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
from creditdesk.cli.database import DatabaseOption, open_database
from creditdesk.cli.output import CliError, echo
from creditdesk.settings import CHECKPOINT_KEY_VARIABLE


def checkpoint(
    *,
    key: Annotated[
        Path | None,
        Parameter(
            env_var=CHECKPOINT_KEY_VARIABLE,
            help="A PEM file with an Ed25519 private key to sign with. Left out, the database has"
            " one of its own.",
        ),
    ] = None,
    out: Annotated[
        Path | None, Parameter(help="A new file for the checkpoint, to be kept elsewhere.")
    ] = None,
    database: DatabaseOption = None,
) -> int:
    """Seal every credit's journal as it stands with one signed checkpoint.

    Whoever keeps the checkpoint can later find out what was changed or cut off before it.
    """

    async def create() -> Checkpoint:
        signer = _load_signing_key(key) if key else None
        async with open_database(database) as store, store.write_session() as unit:
            return await create_checkpoint(unit, datetime.now(UTC), signer)

    if out is not None and out.exists():
        raise CliError(f"{out} is there already; a kept checkpoint is not written over.")
    made = asyncio.run(create())
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(json.dumps(made.document(), indent=2) + "\n", encoding="utf-8")
    echo(f"{made.lines} lines of {made.credits} credits are sealed.")
    echo(f"Digest: {checkpoint_digest(made).hex()}")
    return 0


def load_checkpoint(path: Path) -> Checkpoint:
    """The checkpoint in a file; Problem when there is none."""
    try:
        return read_checkpoint(path)
    except ValueError as fault:
        raise CliError(f"{path} holds no checkpoint: {fault}") from None


def _load_signing_key(path: Path) -> Ed25519PrivateKey:
    try:
        return private_from_pem(path.read_bytes())
    except ValueError as fault:
        raise CliError(f"{path} holds no key to sign with: {fault}.") from None
