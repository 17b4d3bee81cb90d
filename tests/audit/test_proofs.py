"""Proofs over the HTTP API, checked by the stand-alone verifier."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from creditdesk.audit.checkpoint_check import verify_checkpoint
from creditdesk.audit.checkpoint_format import Checkpoint, check_checkpoint_sequence, generate_key
from creditdesk.audit.checkpoints import create_checkpoint, latest_checkpoint, prove_entry
from creditdesk.schema.errors import Conflict, NotFound
from creditdesk.schema.repository import Store
from tests.audit.conftest import CreateCheckpoint
from tests.support.ledger_builder import NOON, LedgerBuilder
from tests.support.progress import CollectingReporter

VERIFIER = Path(__file__).parents[2] / "tools" / "creditdesk_verify.py"
ClientFor = Callable[[str], httpx.AsyncClient]


def run_verifier(folder: Path, proof: str, key: str) -> tuple[int, str]:
    (folder / "proof.json").write_text(proof, "utf-8")
    (folder / "key.pem").write_text(key, "utf-8")
    command = [sys.executable, "-I", str(VERIFIER), "proof.json", "--public-key", "key.pem"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)
    return done.returncode, done.stdout + done.stderr


async def spend_from_new_credit(ledger: LedgerBuilder, amount: str = "1.50") -> dict[str, Any]:
    """The journal entry of the second of three uses of a new credit."""
    credit = await ledger.add_money_credit("40.00")
    await ledger.post_use(credit, "2.00")
    use = await ledger.post_use(credit, amount, Description="coffee")
    await ledger.post_use(credit, "3.00")
    (line,) = [x for x in await ledger.journal_lines("money", credit) if x["HistoryId"] == int(use["Id"])]
    return line


async def test_no_proof_before_first_checkpoint(ledger: LedgerBuilder, client_for: ClientFor) -> None:
    line = await spend_from_new_credit(ledger)
    answer = await client_for("reader").get(f"/api/ledger/proofs/{line['Id']}")
    assert answer.status_code == 409
    assert "No checkpoint covers this line yet" in answer.json()["Message"]
    assert (await client_for("reader").get("/api/ledger/checkpoints/key")).status_code == 404
    assert (await client_for("reader").get("/api/ledger/checkpoints")).json() == {
        "Records": [], "CurrentPage": 1, "PageSize": 25, "TotalItems": 0, "HasNextPage": False,
    }  # fmt: skip


async def test_proof_verifies_offline(
    ledger: LedgerBuilder, client_for: ClientFor, make_checkpoint: CreateCheckpoint, tmp_path: Path
) -> None:
    line = await spend_from_new_credit(ledger)
    for _ in range(3):
        await spend_from_new_credit(ledger)
    await make_checkpoint()
    reader = client_for("reader")
    key = (await reader.get("/api/ledger/checkpoints/key")).text
    proof = (await reader.get(f"/api/ledger/proofs/{line['Id']}")).text
    code, output = run_verifier(tmp_path, proof, key)
    assert (code, "a use of 1.5000 by 'admin@example.com'" in output) == (0, True), output
    changed = json.loads(proof)
    changed["line"]["amount"] += 1
    code, output = run_verifier(tmp_path, json.dumps(changed), key)
    assert (code, output) == (
        1, "Invalid: The line's content does not match its digest: the line was changed.\n"
    )  # fmt: skip


async def test_time_credit_and_first_entries_are_provable(
    ledger: LedgerBuilder, client_for: ClientFor, make_checkpoint: CreateCheckpoint, tmp_path: Path
) -> None:
    credit = await ledger.add_time_credit(600)
    use = await ledger.post_time_use(credit, BookingId=await ledger.add_booking())
    await make_checkpoint()
    reader = client_for("reader")
    key = (await reader.get("/api/ledger/checkpoints/key")).text
    for line in await ledger.journal_lines("time", credit):
        proof = (await reader.get(f"/api/ledger/proofs/{line['Id']}")).text
        assert run_verifier(tmp_path, proof, key)[0] == 0
    by_history = await reader.get("/api/ledger/proofs", params={"history": use["Id"], "kind": "time"})
    assert by_history.json()["line"]["history_id"] == int(use["Id"])
    assert run_verifier(tmp_path, by_history.text, key)[0] == 0


async def test_proof_is_stable(ledger: LedgerBuilder, client_for: ClientFor, make_checkpoint: CreateCheckpoint) -> None:
    line = await spend_from_new_credit(ledger)
    first = await make_checkpoint()
    before = (await client_for("reader").get(f"/api/ledger/proofs/{line['Id']}")).content
    ledger.now += timedelta(hours=1)
    await spend_from_new_credit(ledger)
    await make_checkpoint()
    assert (await client_for("reader").get(f"/api/ledger/proofs/{line['Id']}")).content == before
    assert json.loads(before)["checkpoint"] == first.document()
    assert len(json.loads(before)["following"]) == 1


async def test_entry_recorded_ahead_of_clock_is_provable(
    ledger: LedgerBuilder, store: Store, make_checkpoint: CreateCheckpoint
) -> None:
    ledger.now += timedelta(days=1)
    line = await spend_from_new_credit(ledger)
    ledger.now -= timedelta(days=1)
    await make_checkpoint()
    async with store.read_session() as session:
        assert (await prove_entry(session, line["Id"])).line.sequence == line["Sequence"]


async def test_proof_reveals_no_other_credits(
    ledger: LedgerBuilder, client_for: ClientFor, make_checkpoint: CreateCheckpoint
) -> None:
    hidden = await spend_from_new_credit(ledger, "7.7700")
    line = await spend_from_new_credit(ledger)
    await make_checkpoint()
    proof = (await client_for("reader").get(f"/api/ledger/proofs/{line['Id']}")).text
    others = await ledger.journal_lines("money", hidden["CreditId"])
    assert [x["Sequence"] for x in others if x["Digest"] in proof] == []
    assert "Blinding" not in proof


@pytest.mark.parametrize(("who", "status"), [("reader", 200), ("outsider", 404), ("clerk", 403), ("nobody", 401)])
async def test_proof_requires_role_and_location(
    ledger: LedgerBuilder,
    client_for: ClientFor,
    make_checkpoint: CreateCheckpoint,
    who: str,
    status: int,
) -> None:
    line = await spend_from_new_credit(ledger)
    await make_checkpoint()
    params = {"history": line["HistoryId"], "kind": "money"}
    assert (await client_for(who).get(f"/api/ledger/proofs/{line['Id']}")).status_code == status
    assert (await client_for(who).get("/api/ledger/proofs", params=params)).status_code == status


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/api/ledger/proofs/99999999", 404),
        ("/api/ledger/proofs/0", 404),
        ("/api/ledger/proofs/x", 404),
        ("/api/ledger/proofs/" + "9" * 30, 404),
        ("/api/ledger/proofs", 400),
        ("/api/ledger/proofs?history=1&kind=gold", 400),
        ("/api/ledger/proofs?history=x&kind=money", 400),
        ("/api/ledger/proofs?history=99999999&kind=money", 404),
        ("/api/ledger/checkpoints?page=x", 400),
        ("/api/ledger/checkpoints?page=0", 400),
        ("/api/ledger/checkpoints/key?fingerprint=00", 404),
    ],
)
async def test_missing_or_invalid_requests(client_for: ClientFor, path: str, status: int) -> None:
    assert (await client_for("reader").get(path)).status_code == status


async def test_checkpoints_are_listed_newest_first(
    client_for: ClientFor, store: Store, make_checkpoint: CreateCheckpoint
) -> None:
    made = [await make_checkpoint() for _ in range(3)]
    reader = client_for("reader")
    first = (await reader.get("/api/ledger/checkpoints?size=2")).json()
    assert first["Records"] == [made[2].document(), made[1].document()]
    assert (first["CurrentPage"], first["PageSize"], first["HasNextPage"]) == (1, 2, True)
    everything = (await reader.get("/api/ledger/checkpoints?size=1000")).json()
    assert everything["TotalItems"] == len(everything["Records"])
    async with store.read_session() as session:
        kept = await latest_checkpoint(session)
    assert kept is not None
    oldest_first = [Checkpoint.from_document(d) for d in reversed(everything["Records"])]
    assert check_checkpoint_sequence(oldest_first, [kept.public_key]) == []


async def test_external_key_signs_and_is_published(
    ledger: LedgerBuilder,
    store: Store,
    client_for: ClientFor,
    make_checkpoint: CreateCheckpoint,
    tmp_path: Path,
) -> None:
    own, line, key = await make_checkpoint(), await spend_from_new_credit(ledger), generate_key()
    async with store.write_session() as session:
        made = await create_checkpoint(session, NOON, key)
    reader = client_for("reader")
    proof = (await reader.get(f"/api/ledger/proofs/{line['Id']}")).text
    pem = (await reader.get("/api/ledger/checkpoints/key")).text
    assert json.loads(proof)["checkpoint"] == made.document()
    assert run_verifier(tmp_path, proof, pem)[0] == 0
    older = f"/api/ledger/checkpoints/key?fingerprint={own.key_fingerprint.hex()}"
    assert (await reader.get(older)).text != pem
    # Checkpoint times never decrease.
    assert made.created_microseconds >= own.created_microseconds


async def test_deleted_credit_stays_in_checkpoints(
    client: httpx.AsyncClient,
    ledger: LedgerBuilder,
    store: Store,
    make_checkpoint: CreateCheckpoint,
) -> None:
    body = {"Name": "Gift", "CoworkerId": ledger.customer, "BusinessId": ledger.business,
            "TotalCredit": 5, "CaneBeUsedForBookings": True}  # fmt: skip
    made = await client.post("/api/billing/coworkerbookingcredits", json=body)
    before = await make_checkpoint()
    await client.delete(f"/api/billing/coworkerbookingcredits/{made.json()['Value']['Id']}")
    after = await make_checkpoint()
    assert (after.credits, after.lines) == (before.credits, before.lines + 1)
    report = CollectingReporter()
    await verify_checkpoint(store, before, report)
    assert report.problems == []


async def test_concurrent_checkpoints_conflict(ledger: LedgerBuilder, store: Store) -> None:
    from asyncio import gather

    async def make() -> Checkpoint:
        async with store.write_session() as session:
            return await create_checkpoint(session, ledger.now)

    made = await gather(*(make() for _ in range(3)), return_exceptions=True)
    assert {type(each) for each in made} <= {Checkpoint, Conflict}
    previous = [each.previous for each in made if isinstance(each, Checkpoint)]
    assert len(set(previous)) == len(previous) >= 1


async def test_unknown_entry_is_not_found(store: Store) -> None:
    async with store.read_session() as session:
        with pytest.raises(NotFound):
            await prove_entry(session, 10**12)


async def test_paths_are_served_and_documented(client: httpx.AsyncClient, make_checkpoint: CreateCheckpoint) -> None:
    made = await make_checkpoint()
    listed = (await client.get("/api/ledger/checkpoints?size=1")).json()
    assert listed["Records"] == [made.document()]
    paths = (await client.get("/openapi.json")).json()["paths"]
    assert {path for path in paths if "proofs" in path or "checkpoints" in path} == {
        "/api/ledger/proofs",
        "/api/ledger/proofs/{id}",
        "/api/ledger/checkpoints",
        "/api/ledger/checkpoints/key",
    }
