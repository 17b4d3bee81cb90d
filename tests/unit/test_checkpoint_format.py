"""Checkpoints and proofs: golden bytes, signatures, and what only a checkpoint detects."""

import json
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_public_key,
)
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from creditdesk.audit.chain_verifier import ChainVerifier, FindingKind, verify_chain
from creditdesk.audit.checkpoint_format import (
    Checkpoint,
    Proof,
    check_checkpoint_sequence,
    checkpoint_digest,
    compare_heads,
    create_proof,
    fingerprint,
    generate_key,
    path_error,
    private_from_pem,
    private_pem,
    public_pem,
    sign_checkpoint,
    signature_error,
    signed_bytes,
)
from creditdesk.audit.merkle import MerkleTree
from creditdesk.ledger.journal.entry import AccountType, EntryType, JournalEntry
from creditdesk.ledger.journal.hash_chain import entry_digest, genesis_digest

HERE = Path(__file__).parent / "golden"
GOLDEN = json.loads((HERE / "checkpoints.json").read_text("utf-8"))
KEY = Ed25519PrivateKey.from_private_bytes(sha256(b"creditdesk golden key").digest())
PUBLIC_KEY = KEY.public_key()
BLINDING = bytes(range(32))

Journal = dict[int, list[tuple[JournalEntry, bytes]]]


def use(credit_id: int, sequence: int, amount: int = 1000) -> JournalEntry:
    return JournalEntry(
        credit_kind=AccountType.MONEY,
        credit_id=credit_id,
        sequence=sequence,
        kind=EntryType.USE,
        amount=amount,
        balance_after=10**6 - sequence * 1000,
        held_after=0,
        total_after=10**6,
        actor=f"member{credit_id}@example.com",
        rule_version=1,
        effective_microseconds=sequence,
        recorded_microseconds=sequence,
    )


def journal(*sizes: int, amount: int = 1000) -> Journal:
    chains: Journal = {}
    for credit_id, size in enumerate(sizes, start=1):
        digest = genesis_digest(AccountType.MONEY, credit_id)
        chains[credit_id] = chain = []
        for sequence in range(1, size + 1):
            line = use(credit_id, sequence, amount)
            digest = entry_digest(digest, line)
            chain.append((line, digest))
    return chains


def tree_of(chains: Journal) -> MerkleTree:
    reading = ChainVerifier()
    for chain in chains.values():
        reading.add([line for line, _ in chain], [digest for _, digest in chain])
    return MerkleTree(reading.heads, BLINDING)


def stored(chains: Journal) -> dict[tuple[AccountType, int, int], bytes]:
    return {
        (line.credit_kind, line.credit_id, line.sequence): digest for chain in chains.values() for line, digest in chain
    }


def proof_of(chains: Journal, credit_id: int, sequence: int) -> Proof:
    tree, chain = tree_of(chains), chains[credit_id]
    previous = chain[sequence - 2][1] if sequence > 1 else None
    following = [line for line, _ in chain[sequence:]]
    return create_proof(chain[sequence - 1][0], previous, following, tree, sign_checkpoint(tree, None, 1, KEY))


def public_key_of(pem: bytes) -> Ed25519PublicKey:
    key = load_pem_public_key(pem)
    assert isinstance(key, Ed25519PublicKey)
    return key


def test_golden_checkpoints_of_format_1() -> None:
    checkpoints = []
    for vector in GOLDEN["checkpoints"]:
        checkpoint = Checkpoint.from_document(vector["document"])
        assert checkpoint.document() == vector["document"]
        assert signed_bytes(checkpoint).hex() == vector["signed_bytes"]
        assert len(signed_bytes(checkpoint)) == 144
        assert checkpoint_digest(checkpoint).hex() == vector["digest"]
        assert KEY.sign(signed_bytes(checkpoint)) == checkpoint.signature
        checkpoints.append(checkpoint)
    key = public_key_of(GOLDEN["public_key"].encode())
    assert check_checkpoint_sequence(checkpoints, [key]) == []


def test_golden_proof_is_valid() -> None:
    document = json.loads((HERE / "proof.json").read_text("utf-8"))
    proof = Proof.from_document(document)
    assert proof.document() == document
    assert signature_error(proof.checkpoint, public_key_of((HERE / "public_key.pem").read_bytes())) is None
    assert path_error(proof) is None


def test_keys_round_trip_through_pem() -> None:
    key = generate_key()
    again = private_from_pem(private_pem(key))
    assert fingerprint(again.public_key()) == fingerprint(key.public_key())
    public = public_key_of(public_pem(key.public_key()))
    assert fingerprint(public) == sha256(public.public_bytes_raw()).digest()


def test_wrong_pem_is_rejected() -> None:
    encrypted = KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret"))
    for pem in (encrypted, public_pem(PUBLIC_KEY)):
        with pytest.raises(ValueError):
            private_from_pem(pem)


def test_checkpoint_counts_credits_and_entries_and_links_to_the_previous() -> None:
    first = sign_checkpoint(tree_of(journal(2)), None, 10, KEY)
    second = sign_checkpoint(tree_of(journal(3, 4)), first, 20, KEY)
    assert (second.credits, second.lines, second.created_microseconds) == (2, 7, 20)
    assert second.previous == checkpoint_digest(first)
    assert signature_error(second, PUBLIC_KEY) is None
    assert signature_error(second, generate_key().public_key()) == ("The checkpoint was signed with another key.")


@given(st.integers(0, 10**6))
def test_changed_checkpoint_fails_its_signature(bit: int) -> None:
    checkpoint = sign_checkpoint(tree_of(journal(2)), None, 10, KEY)
    changes: list[dict[str, Any]] = [{"created_microseconds": 11}, {"credits": 2}, {"lines": 3}]
    for name in ("root", "previous", "key_fingerprint", "signature"):
        tampered = bytearray(getattr(checkpoint, name))
        tampered[bit // 8 % len(tampered)] ^= 1 << bit % 8
        changes.append({name: bytes(tampered)})
    for change in changes:
        assert signature_error(replace(checkpoint, **change), PUBLIC_KEY) is not None


def test_missing_or_misplaced_checkpoint_is_found() -> None:
    first = sign_checkpoint(tree_of(journal(2)), None, 10, KEY)
    second = sign_checkpoint(tree_of(journal(3)), first, 20, KEY)
    third = sign_checkpoint(tree_of(journal(4)), second, 30, KEY)
    shrunk = sign_checkpoint(tree_of(journal(1)), second, 30, KEY)
    keys = [PUBLIC_KEY]

    def sentences(*checkpoints: Checkpoint) -> list[str]:
        return [str(finding) for finding in check_checkpoint_sequence(checkpoints, keys)]

    assert sentences(first, second, third) == []
    assert sentences(first, third) == ["checkpoint 2 does not follow the one before it"]
    assert sentences(second, third) == ["checkpoint 1 does not follow the one before it"]
    assert sentences(first, second, shrunk) == ["checkpoint 3 is earlier or smaller than the one before it"]
    assert sentences(replace(first, lines=3))[0] == "checkpoint 1 has a signature that is not valid"
    keys.clear()
    assert sentences(first) == ["checkpoint 1 was signed with an unknown key"]


def test_grown_ledger_matches_its_checkpoint() -> None:
    tree = tree_of(journal(3, 2))
    assert compare_heads(sign_checkpoint(tree, None, 1, KEY), tree, stored(journal(5, 2, 4))) == []


@given(st.integers(1, 5), st.integers(0, 4))
def test_truncation_is_found_only_by_the_checkpoint(size: int, kept: int) -> None:
    kept %= size
    tree = tree_of(journal(3, size))
    now = journal(3, kept)
    for chain in now.values():
        assert verify_chain([line for line, _ in chain], [digest for _, digest in chain]) == []
    [finding] = compare_heads(sign_checkpoint(tree, None, 1, KEY), tree, stored(now))
    assert finding.kind is FindingKind.TRUNCATED
    assert (finding.credit_id, finding.sequence) == (2, size)


def test_rewritten_history_is_found_by_the_checkpoint() -> None:
    tree = tree_of(journal(3, 3))
    now = journal(3, 3) | {2: journal(0, 4, amount=1)[2]}
    [finding] = compare_heads(sign_checkpoint(tree, None, 1, KEY), tree, stored(now))
    assert str(finding) == ("money credit 2, line 3: this line or one before it differs from the checkpoint")


def test_heads_outside_the_checkpoint_are_found() -> None:
    tree, other = tree_of(journal(3, 3)), tree_of(journal(3, 2))
    [finding] = compare_heads(sign_checkpoint(tree, None, 1, KEY), other, stored(journal(3, 2)))
    assert str(finding) == "the heads stored for the checkpoint do not match it"


@given(st.lists(st.integers(1, 6), min_size=1, max_size=6), st.data())
def test_every_entry_can_be_proven(sizes: list[int], data: st.DataObject) -> None:
    credit_id = data.draw(st.integers(1, len(sizes)))
    sequence = data.draw(st.integers(1, sizes[credit_id - 1]))
    proof = proof_of(journal(*sizes), credit_id, sequence)
    again = Proof.from_document(json.loads(json.dumps(proof.document())))
    assert again == proof
    assert signature_error(again.checkpoint, PUBLIC_KEY) is None
    assert path_error(again) is None


def test_proof_reveals_no_other_customer() -> None:
    text = json.dumps(proof_of(journal(3, 3, 3), 2, 2).document())
    assert "member2@" in text
    assert "member1@" not in text
    assert "member3@" not in text


def test_proof_of_inconsistent_data_is_not_issued() -> None:
    chains = journal(3, 2)
    tree = tree_of(chains)
    checkpoint = sign_checkpoint(tree, None, 1, KEY)
    (first, digest), (second, _), (third, _) = chains[1]
    assert path_error(create_proof(second, digest, [third], tree, checkpoint)) is None
    for line, previous, following in [
        (structs.replace(second, amount=1), digest, [third]),
        (second, bytes(32), [third]),
        (second, digest, []),
        (first, None, [third]),
    ]:
        with pytest.raises(ValueError, match="do not lead to the credit's head in the checkpoint"):
            create_proof(line, previous, following, tree, checkpoint)
    with pytest.raises(ValueError, match="does not lead to the checkpoint's root"):
        create_proof(second, digest, [third], tree, replace(checkpoint, root=bytes(32)))
    with pytest.raises(KeyError):
        create_proof(use(9, 1), None, [], tree, checkpoint)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"line": use(2, 2, amount=1)}, "The line's content does not match its digest"),
        ({"line": use(2, 0)}, "The line's number is not one that a journal counts"),
        ({"line": use(2, 2**63 - 1)}, "The line's number is not one that a journal counts"),
        ({"line": use(2, 1)}, "The first line does not start from its credit"),
        (
            {"following": ()},
            "The lines after this one do not lead to the credit's head in the checkpoint",
        ),
        (
            {"head": bytes(32)},
            "The lines after this one do not lead to the credit's head in the checkpoint",
        ),
        ({"blind": bytes(32)}, "The credit's head does not lead to the checkpoint's root"),
        ({"index": 2}, "The credit's head does not lead to the checkpoint's root"),
        ({"path": ()}, "The credit's head does not lead to the checkpoint's root"),
    ],
)
def test_tampered_proof_reports_the_failure(change: dict[str, Any], sentence: str) -> None:
    proof = replace(proof_of(journal(3, 3, 3), 2, 2), **change)
    assert str(path_error(proof)).startswith(sentence)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"format": "creditdesk-proof-2"}, "The document is not a creditdesk-proof-1."),
        ({"approved": True}, "The field 'approved' is missing or does not belong here."),
        ({"head": "00"}, "The field 'head' is not 32 bytes in lower-case hex."),
        ({"head": "AA" * 32}, "The field 'head' is not 32 bytes in lower-case hex."),
        ({"path": "00"}, "The field 'path' is not a list."),
        ({"index": -1}, "The field 'index' is not a whole number in range."),
        ({"line": None}, "The document is not an object."),
        ({"checkpoint": []}, "The document is not a creditdesk-checkpoint-1."),
    ],
)
def test_proof_document_is_parsed_strictly(change: dict[str, Any], sentence: str) -> None:
    document = proof_of(journal(3, 3), 2, 2).document()
    with pytest.raises(ValueError) as error:
        Proof.from_document(document | change)
    assert str(error.value) == sentence


def test_proof_document_with_invalid_unicode_is_rejected() -> None:
    document = proof_of(journal(3, 3), 2, 2).document()
    document["line"]["reason"] = "\ud800"
    with pytest.raises(ValueError):
        Proof.from_document(document)
