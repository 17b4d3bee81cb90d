"""The Merkle tree: golden roots and paths, the shape of RFC 6962, rejection of false paths."""

import json
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from creditdesk.audit.merkle import (
    MerkleTree,
    check_path,
    encode_head,
    head_blind,
    leaf_digest,
)
from creditdesk.ledger.journal.entry import AccountType
from creditdesk.ledger.journal.hash_chain import ChainHead

GOLDEN = json.loads((Path(__file__).parent / "golden" / "merkle.json").read_text("utf-8"))
BLINDING = bytes(range(32))

sizes = st.integers(1, 40)
wholes = st.integers(0, 10**6)


def heads_of(size: int) -> list[ChainHead]:
    return [
        ChainHead(
            AccountType.TIME if at % 3 else AccountType.MONEY,
            at,
            at + 1,
            sha256(b"%d" % at).digest(),
        )
        for at in range(size)
    ]


def rfc6962_root(leaves: list[bytes]) -> bytes:
    """The definition in RFC 6962, section 2.1, over leaves that are hashed already."""
    if len(leaves) == 1:
        return leaves[0]
    split = 1 << (len(leaves) - 1).bit_length() - 1
    return sha256(b"\x01" + rfc6962_root(leaves[:split]) + rfc6962_root(leaves[split:])).digest()


def test_golden_leaves_paths_and_roots_of_format_1() -> None:
    heads = [
        ChainHead(
            AccountType(vector["credit_kind"]),
            vector["credit_id"],
            vector["sequence"],
            bytes.fromhex(vector["digest"]),
        )
        for vector in GOLDEN["heads"]
    ]
    blinding = bytes.fromhex(GOLDEN["blinding"])
    tree = MerkleTree(reversed(heads), blinding)
    assert tree.heads == heads
    for index, (head, vector) in enumerate(zip(heads, GOLDEN["heads"], strict=True)):
        assert tree.index_of(head.credit_kind, head.credit_id) == index
        assert tree.blind(index).hex() == vector["blind"]
        assert leaf_digest(head, tree.blind(index)).hex() == vector["leaf"]
        assert [sibling.hex() for sibling in tree.path(index)] == vector["path"]
    for size, root in GOLDEN["roots"].items():
        assert MerkleTree(heads[: int(size)], blinding).root.hex() == root


def test_root_of_empty_tree() -> None:
    assert MerkleTree([], BLINDING).root == sha256(b"").digest()


@given(sizes)
def test_tree_shape_of_rfc_6962(size: int) -> None:
    tree = MerkleTree(heads_of(size), BLINDING)
    leaves = [leaf_digest(head, head_blind(head, BLINDING)) for head in tree.heads]
    assert tree.root == rfc6962_root(leaves)


@given(sizes)
def test_head_is_proven_only_at_its_position(size: int) -> None:
    tree = MerkleTree(heads_of(size), BLINDING)
    for index, head in enumerate(tree.heads):
        leaf, path = leaf_digest(head, tree.blind(index)), tree.path(index)
        for place in range(-1, size + 1):
            assert check_path(leaf, place, size, path, tree.root) == (place == index)


@given(sizes, wholes, wholes, st.integers(0, 255))
def test_wrong_leaf_path_or_root_fails(size: int, at: int, step: int, bit: int) -> None:
    tree = MerkleTree(heads_of(size), BLINDING)
    at %= size
    leaf, path, root = leaf_digest(tree.heads[at], tree.blind(at)), tree.path(at), tree.root

    def flipped(digest: bytes) -> bytes:
        return (int.from_bytes(digest, "big") ^ 1 << bit).to_bytes(32, "big")

    assert not check_path(flipped(leaf), at, size, path, root)
    assert not check_path(leaf, at, size, path, flipped(root))
    assert not check_path(leaf, at, size, (*path, leaf), root)
    if path:
        step %= len(path)
        false = (*path[:step], flipped(path[step]), *path[step + 1 :])
        assert not check_path(leaf, at, size, false, root)
        assert not check_path(leaf, at, size, path[:-1], root)


@pytest.mark.parametrize(
    "change",
    [
        {"credit_kind": AccountType.TIME},
        {"credit_id": 8},
        {"sequence": 8},
        {"digest": bytes([1]) * 32},
    ],
)
def test_leaf_covers_every_field_of_a_head(change: dict[str, Any]) -> None:
    head = ChainHead(AccountType.MONEY, 7, 7, bytes(32))
    blind = bytes(32)
    assert leaf_digest(replace(head, **change), blind) != leaf_digest(head, blind)


def test_blinding_changes_the_leaf() -> None:
    head = ChainHead(AccountType.MONEY, 7, 7, bytes(32))
    one, other = (head_blind(head, secret) for secret in (BLINDING, bytes(32)))
    assert leaf_digest(head, one) != leaf_digest(head, other)


def test_impossible_trees_are_rejected() -> None:
    head = ChainHead(AccountType.MONEY, 7, 7, bytes(32))
    with pytest.raises(ValueError, match="more than one head"):
        MerkleTree([head, replace(head, sequence=8)], BLINDING)
    with pytest.raises(ValueError, match="32 bytes"):
        MerkleTree([head], b"short")
    with pytest.raises(ValueError, match="32 bytes"):
        encode_head(replace(head, digest=b"short"))
    with pytest.raises(KeyError):
        MerkleTree([head], BLINDING).index_of(AccountType.TIME, 7)
