"""The command that seals the ledger under a signed checkpoint, and reads kept ones."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cyclopts import Parameter

from creditdesk.audit.checkpoint_check import read_checkpoint
from creditdesk.audit.checkpoint_format import Checkpoint, checkpoint_digest, private_from_pem
from creditdesk.audit.checkpoints import seal_now
from creditdesk.cli.database import Database, opened
from creditdesk.cli.output import Problem, say

KEY_VARIABLE: Final = "CREDITDESK_CHECKPOINT_KEY"


def checkpoint(
    *,
    key: Annotated[
        Path | None,
        Parameter(
            env_var=KEY_VARIABLE,
            help="A PEM file with an Ed25519 private key to sign with. Left out, the database has"
            " one of its own.",
        ),
    ] = None,
    out: Annotated[
        Path | None, Parameter(help="A new file for the checkpoint, to be kept elsewhere.")
    ] = None,
    database: Database = None,
) -> int:
    """Seal every credit's journal as it stands with one signed checkpoint.

    Whoever keeps the checkpoint can later find out what was changed or cut off before it.
    """

    async def run() -> Checkpoint:
        signer = _signer(key) if key else None
        async with opened(database) as store, store.writing() as unit:
            return await seal_now(unit, datetime.now(UTC), signer)

    if out is not None and out.exists():
        raise Problem(f"{out} is there already; a kept checkpoint is not written over.")
    made = asyncio.run(run())
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(json.dumps(made.document(), indent=2) + "\n", encoding="utf-8")
    say(f"{made.lines} lines of {made.credits} credits are sealed.")
    say(f"Digest: {checkpoint_digest(made).hex()}")
    return 0


def kept_checkpoint(path: Path) -> Checkpoint:
    """The checkpoint in a file; Problem when there is none."""
    try:
        return read_checkpoint(path)
    except ValueError as fault:
        raise Problem(f"{path} holds no checkpoint: {fault}") from None


def _signer(path: Path) -> Ed25519PrivateKey:
    try:
        return private_from_pem(path.read_bytes())
    except ValueError as fault:
        raise Problem(f"{path} holds no key to sign with: {fault}.") from None
