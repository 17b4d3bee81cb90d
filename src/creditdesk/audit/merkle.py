"""A Merkle tree of the heads of all credits; its root identifies the state of the whole ledger.

As in RFC 6962, leaves and nodes are hashed with different prefixes, and an odd node moves up
unchanged.
"""

import hmac
import struct
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from hashlib import sha256

from creditdesk.ledger.journal.entry import AccountType
from creditdesk.ledger.journal.hash_chain import ACCOUNT_TYPE_CODES, ChainHead

BLINDING_BYTES = 32
_HEAD_VERSION = 1

_LEAF, _NODE = b"\x00", b"\x01"
_pack_head = struct.Struct(">BBqq32s").pack


def encode_head(head: ChainHead) -> bytes:
    """The head's 50 bytes. Raises ValueError unless its digest has 32 bytes."""
    if len(head.digest) != 32:
        raise ValueError("a head's digest has 32 bytes")
    code = ACCOUNT_TYPE_CODES[head.credit_kind]
    return _pack_head(_HEAD_VERSION, code, head.credit_id, head.sequence, head.digest)


def head_blind(head: ChainHead, blinding: bytes) -> bytes:
    """The 32 bytes that prevent guessing this head from its leaf."""
    return hmac.digest(blinding, encode_head(head), "sha256")


def leaf_digest(head: ChainHead, blind: bytes) -> bytes:
    """The leaf of a head."""
    return sha256(_LEAF + encode_head(head) + blind).digest()


class MerkleTree:
    """The tree over `heads`, sorted by credit kind and id, blinded with one 32-byte secret.

    Raises ValueError when a credit occurs twice or the secret has another length. Building takes a
    few microseconds per credit; a path is then looked up.
    """

    def __init__(self, heads: Iterable[ChainHead], blinding: bytes) -> None:
        if len(blinding) != BLINDING_BYTES:
            raise ValueError(f"the blinding secret has {BLINDING_BYTES} bytes")
        self.heads = sorted(heads, key=_account_key)
        self._credits = [_account_key(head) for head in self.heads]
        if len(set(self._credits)) != len(self._credits):
            raise ValueError("a credit has more than one head")
        self._blinding = blinding
        level = [leaf_digest(head, head_blind(head, blinding)) for head in self.heads]
        self._levels = [level]
        while len(level) > 1:
            level = _parents(level)
            self._levels.append(level)

    @property
    def root(self) -> bytes:
        """The root digest; without heads, SHA-256 of nothing."""
        top = self._levels[-1]
        return top[0] if top else sha256(b"").digest()

    def index_of(self, credit_kind: AccountType, credit_id: int) -> int:
        """The index of a credit's leaf, from 0. Raises KeyError when it has none."""
        credit = (credit_kind, credit_id)
        index = bisect_left(self._credits, credit)
        if self._credits[index : index + 1] != [credit]:
            raise KeyError(credit)
        return index

    def blind(self, index: int) -> bytes:
        """The blind of one leaf; reveals nothing about the others."""
        return head_blind(self.heads[index], self._blinding)

    def path(self, index: int) -> tuple[bytes, ...]:
        """The siblings from a leaf to the root."""
        siblings = []
        for level in self._levels[:-1]:
            sibling = index ^ 1
            if sibling < len(level):
                siblings.append(level[sibling])
            index >>= 1
        return tuple(siblings)


def check_path(leaf: bytes, index: int, size: int, path: Sequence[bytes], root: bytes) -> bool:
    """Whether `leaf` has this index in a tree of `size` leaves with this root."""
    if not 0 <= index < size:
        return False
    digest, last = leaf, size - 1
    siblings = iter(path)
    while last > 0:
        # The last node of an odd level has no sibling and moves up unchanged.
        if index != last or index & 1:
            sibling = next(siblings, None)
            if sibling is None:
                return False
            pair = sibling + digest if index & 1 else digest + sibling
            digest = sha256(_NODE + pair).digest()
        index, last = index >> 1, last >> 1
    return next(siblings, None) is None and digest == root


def _parents(level: list[bytes]) -> list[bytes]:
    pairs = zip(level[::2], level[1::2], strict=False)
    parents = [sha256(_NODE + left + right).digest() for left, right in pairs]
    return parents + level[-1:] if len(level) % 2 else parents


def _account_key(head: ChainHead) -> tuple[AccountType, int]:
    return (head.credit_kind, head.credit_id)
