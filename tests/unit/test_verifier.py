"""The stand-alone verifier, run from the command line: output, exit codes and independence."""

import ast
import copy
import importlib.util
import json
import subprocess
import sys
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from creditdesk.audit.checkpoint_format import (
    Proof,
    create_proof,
    generate_key,
    private_pem,
    public_pem,
    sign_checkpoint,
)
from creditdesk.audit.merkle import MerkleTree
from creditdesk.ledger.journal.causes import Cause
from creditdesk.ledger.journal.entry import AccountType, EntryType, JournalEntry
from creditdesk.ledger.journal.hash_chain import ChainHead, encode_entry, entry_digest

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "tools" / "creditdesk_verify.py"
GOLDEN = Path(__file__).parent / "golden"
PROOF = json.loads((GOLDEN / "proof.json").read_text("utf-8"))
PROOF_OF_FORMAT_2 = json.loads((GOLDEN / "proof-2.json").read_text("utf-8"))
PROOFS = {1: PROOF, 2: PROOF_OF_FORMAT_2}
KEY = Ed25519PrivateKey.from_private_bytes(sha256(b"creditdesk golden key").digest())
ORDER = 2**252 + 27742317777372353535851937790883648493


def loaded() -> ModuleType:
    spec = importlib.util.spec_from_file_location("creditdesk_verify", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


VERIFIER = loaded()


def run(proof: Path, key: Path, *options: str) -> tuple[int, str]:
    command = [sys.executable, *options, str(SCRIPT), str(proof), "--public-key", str(key)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def failure(document: object) -> str:
    """The verifier's result for a document, parsed by its own JSON parser."""
    proof = VERIFIER.parse_proof(json.dumps(document).encode())
    with pytest.raises(VERIFIER.ProofError) as caught:
        VERIFIER.check(proof, KEY.public_key().public_bytes_raw())
    return str(caught.value)


def changed(path: str, value: object) -> dict[str, Any]:
    document: dict[str, Any] = copy.deepcopy(PROOF)
    *parents, name = path.split(".")
    place = document
    for parent in parents:
        place = place[parent]
    place[name] = value
    return document


@pytest.mark.parametrize("options", [(), ("-I", "-S")], ids=["as installed", "bare Python"])
def test_valid_proof(options: tuple[str, ...]) -> None:
    # With -S no installed package is importable, so the file verifies the signature itself.
    assert run(GOLDEN / "proof.json", GOLDEN / "public_key.pem", *options) == (
        0,
        "Valid: line 2 of money credit 17, a use of 25.0000 by 'anna@example.com', "
        "recorded 2026-03-02 11:00:00 UTC, checkpoint 2026-03-02 11:40:00 UTC.\n",
    )


def test_valid_proof_of_format_2() -> None:
    code, output = run(GOLDEN / "proof-2.json", GOLDEN / "public_key.pem", "-I", "-S")
    assert (code, output.startswith("Valid: line 2 of money credit 17, a use of 25.0000")) == (0, True), output


@pytest.mark.parametrize("options", [(), ("-I", "-S")], ids=["as installed", "bare Python"])
def test_tampered_proof_is_invalid(tmp_path: Path, options: tuple[str, ...]) -> None:
    tampered = tmp_path / "proof.json"
    tampered.write_text(json.dumps(changed("line.amount", 250001)))
    assert run(tampered, GOLDEN / "public_key.pem", *options) == (
        1,
        "Invalid: The line's content does not match its digest: the line was changed.\n",
    )
    tampered.write_text(json.dumps(changed("checkpoint.lines", 21)))
    assert run(tampered, GOLDEN / "public_key.pem", *options) == (
        1,
        "Invalid: The checkpoint's signature is not valid: the checkpoint was changed.\n",
    )


def test_unverifiable_input_is_an_error(tmp_path: Path) -> None:
    proof, key = GOLDEN / "proof.json", GOLDEN / "public_key.pem"
    code, message = run(tmp_path / "none.json", key)
    assert code == 2
    assert "cannot be read" in message
    for pem in (private_pem(KEY), b"", key.read_bytes().replace(b"M", b"N", 1)):
        wrong = tmp_path / "key.pem"
        wrong.write_bytes(pem)
        assert VERIFIER.main([str(proof), "--public-key", str(wrong)]) == 2
    with pytest.raises(SystemExit) as usage:
        VERIFIER.main([str(proof)])
    assert usage.value.code == 2


def test_proof_with_another_key_is_invalid(tmp_path: Path) -> None:
    other = tmp_path / "key.pem"
    other.write_bytes(public_pem(generate_key().public_key()))
    assert VERIFIER.main([str(GOLDEN / "proof.json"), "--public-key", str(other)]) == 1


@pytest.mark.parametrize(
    "text",
    [b"", b"[]", b"{", b"\xff", b"[" * 100_000, b'{"format": "a", "format": "a"}', b"1" * 9999],
)
def test_file_without_proof_is_invalid(tmp_path: Path, text: bytes) -> None:
    file = tmp_path / "proof.json"
    file.write_bytes(text)
    assert VERIFIER.main([str(file), "--public-key", str(GOLDEN / "public_key.pem")]) == 1


def leaves(value: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Any]]:
    if isinstance(value, dict | list):
        for name, part in value.items() if isinstance(value, dict) else enumerate(value):
            yield from leaves(part, (*place, name))
    else:
        yield place, value


def others(value: object) -> list[object]:
    """Values that differ from `value` as little as possible, or only in type."""
    if isinstance(value, int):
        return [value + 1, value - 1, -value - 1, value + 2**64, float(value), str(value), None]
    if isinstance(value, str):
        flipped = value[:-1] + ("0" if value[-1:] != "0" else "1")
        return [flipped, value + " ", value[1:] or "x", None if value else "x", 1, ["x"], {}]
    return [0, "", "x", False]


@pytest.mark.parametrize(
    ("version", "place"),
    [(version, place) for version, proof in PROOFS.items() for place, _ in leaves(proof)],
    ids=lambda p: ".".join(map(str, p)) if isinstance(p, tuple) else str(p),
)
def test_every_document_value_is_covered(version: int, place: tuple[Any, ...]) -> None:
    for other in others(dict(leaves(PROOFS[version]))[place]):
        document = copy.deepcopy(PROOFS[version])
        parent = document
        for name in place[:-1]:
            parent = parent[name]
        parent[place[-1]] = other
        assert failure(document)


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("path", ["", "line.", "checkpoint."])
def test_missing_or_extra_fields_are_rejected(path: str, version: int) -> None:
    assert "missing or does not belong" in failure(changed(f"{path}approved", True))
    proof = PROOFS[version]
    part = proof[path[:-1]] if path else proof
    for name in part:
        document = copy.deepcopy(proof)
        del (document[path[:-1]] if path else document)[name]
        assert "missing or does not belong" in failure(document)


def test_duplicate_field_is_rejected() -> None:
    text = (GOLDEN / "proof.json").read_text("utf-8")
    doubled = text.replace('"amount": 250000', '"amount": 1, "amount": 250000')
    with pytest.raises(VERIFIER.ProofError, match="The document says the same field twice"):
        VERIFIER.parse_proof(doubled.encode())


def test_first_entry_must_follow_its_genesis() -> None:
    line = structs.replace(JournalEntry.from_document(PROOF["line"]), sequence=1)
    false_start = bytes(32)
    digest = entry_digest(false_start, line)
    tree = MerkleTree([ChainHead(line.credit_kind, line.credit_id, 1, digest)], bytes(32))
    proof = Proof(
        line=line,
        previous=false_start,
        digest=digest,
        following=(),
        head=digest,
        blind=tree.blind(0),
        index=0,
        path=(),
        checkpoint=sign_checkpoint(tree, None, 1, KEY),
    )
    assert failure(proof.document()) == "The first line does not start from its credit."


@pytest.mark.parametrize("name", ["path", "following"])
def test_changed_lists_are_rejected(name: str) -> None:
    items = PROOF[name]
    for false in ([], items[1:], items[:-1], [*items, items[0]], items[::-1], items[0], None):
        assert failure(changed(name, false))


@given(
    st.text(max_size=9),
    st.text(max_size=9),
    st.none() | st.text(max_size=9),
    st.none() | st.integers(-(2**63), 2**63 - 1),
    st.sampled_from(AccountType),
    st.sampled_from(EntryType),
    st.sampled_from(Cause),
)
@settings(max_examples=60)
def test_verifier_and_ledger_encode_alike(
    actor: str,
    reason: str,
    key: str | None,
    source_id: int | None,
    credit_kind: AccountType,
    kind: EntryType,
    cause: Cause,
) -> None:
    line = JournalEntry(
        credit_kind=credit_kind,
        credit_id=5,
        sequence=4,
        kind=kind,
        amount=-3,
        balance_after=1,
        held_after=2,
        total_after=3,
        source_kind=key,
        source_id=source_id,
        actor=actor,
        reason=reason,
        idempotency_key=key,
        reverses=source_id,
        rule_version=1,
        effective_microseconds=1,
        recorded_microseconds=-1,
        history_id=source_id,
        override=key is None,
        cause=cause,
        line_id=9,
        unique_id=reason,
        location_id=2,
        owner_id=source_id,
        member_id=source_id,
        allocation_id=source_id,
        document=key,
        format_version=1 if cause is Cause.UNKNOWN and kind is not EntryType.CHANGE else 2,
    )
    assert VERIFIER.line_bytes(line.to_document()) == encode_entry(line)
    tree = MerkleTree([ChainHead(credit_kind, 5, 4, entry_digest(bytes(32), line))], bytes(32))
    proof = create_proof(line, bytes(32), [], tree, sign_checkpoint(tree, None, 1, KEY))
    document = VERIFIER.parse_proof(json.dumps(proof.document()).encode())
    shown = VERIFIER.check(document, KEY.public_key().public_bytes_raw())
    assert shown == line.to_document()
    assert VERIFIER.summary(shown, document["checkpoint"]).isascii()


# RFC 8032, section 7.1, tests 1 to 3: secret key, message.
RFC_8032 = [
    ("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60", ""),
    ("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb", "72"),
    ("c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7", "af82"),
]


@pytest.mark.parametrize(("secret", "message"), RFC_8032)
def test_ed25519_vectors_of_rfc_8032(secret: str, message: str) -> None:
    key = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(secret))
    message_bytes = bytes.fromhex(message)
    public = key.public_key().public_bytes_raw()
    assert VERIFIER.ed25519_holds(public, key.sign(message_bytes), message_bytes)


def agreed(public: bytes, signature: bytes, message: bytes) -> bool:
    """The result of both implementations, which must agree."""
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
        expected = True
    except InvalidSignature:
        expected = False
    assert VERIFIER.ed25519_holds(public, signature, message) == expected
    return expected


@given(st.binary(min_size=32, max_size=32), st.binary(max_size=99), st.integers(0, 511))
@settings(max_examples=25, deadline=None)
def test_ed25519_agrees_with_cryptography(secret: bytes, message: bytes, bit: int) -> None:
    key = Ed25519PrivateKey.from_private_bytes(secret)
    public, signature = key.public_key().public_bytes_raw(), key.sign(message)
    tampered = bytearray(signature)
    tampered[bit // 8] ^= 1 << bit % 8
    other = bytearray(public)
    other[bit // 16] ^= 1 << bit % 8
    scalar = int.from_bytes(signature[32:], "little") + ORDER
    assert agreed(public, signature, message)
    assert not agreed(public, bytes(tampered), message)
    assert not agreed(bytes(other), signature, message)
    assert not agreed(public, signature, message + b"!")
    assert not agreed(public, signature[:32] + scalar.to_bytes(32, "little"), message)
    assert not agreed(public, signature[:-1], message)


def test_verifier_imports_only_the_standard_library() -> None:
    imported = {
        (node.module if isinstance(node, ast.ImportFrom) else alias.name) or ""
        for node in ast.walk(ast.parse(SCRIPT.read_text("utf-8")))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }
    outside = {name.split(".")[0] for name in imported} - sys.stdlib_module_names
    assert outside == {"cryptography"}
