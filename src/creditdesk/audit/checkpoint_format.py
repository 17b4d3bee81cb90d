"""Signed checkpoints of the whole ledger, and proofs that a checkpoint covers an entry.

The formats are frozen and described in docs/explanation/proof.md.
"""

import re
import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from hashlib import sha256
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from creditdesk.audit.chain_verifier import ChainFinding, FindingKind
from creditdesk.audit.merkle import MerkleTree, check_path, leaf_digest
from creditdesk.ledger.journal.entry import (
    AccountType,
    JournalEntry,
    read_int64,
    require_exact_fields,
)
from creditdesk.ledger.journal.hash_chain import (
    ChainHead,
    content_digest,
    encode_entry,
    entry_digest,
    genesis_digest,
)
from creditdesk.schema.hash_link import link_digest

CHECKPOINT_FORMAT = "creditdesk-checkpoint-1"
PROOF_FORMAT = "creditdesk-proof-1"
NO_CHECKPOINT = bytes(32)

_CHECKPOINT = b"\x05"
_SIGNED_PREFIX = b"creditdesk checkpoint 1\n"
_pack_checkpoint = struct.Struct(">qQQ32s32s32s").pack


def generate_key() -> Ed25519PrivateKey:
    """A new key to sign checkpoints with."""
    return Ed25519PrivateKey.generate()


def private_pem(key: Ed25519PrivateKey) -> bytes:
    """The private key as PKCS #8 PEM."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def public_pem(key: Ed25519PublicKey) -> bytes:
    """The public key as PEM, for auditors and members."""
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def private_from_pem(pem: bytes) -> Ed25519PrivateKey:
    """Reads a private key. Raises ValueError for another kind of key or an encrypted one."""
    try:
        key = load_pem_private_key(pem, None)
    except TypeError as error:
        raise ValueError(str(error)) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise ValueError("the key is not an Ed25519 private key")
    return key


def fingerprint(key: Ed25519PublicKey) -> bytes:
    """SHA-256 of the key's 32 raw bytes."""
    return sha256(key.public_bytes_raw()).digest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """The signed state of the whole ledger at one instant. Digests have 32 bytes."""

    created_microseconds: int
    credits: int
    lines: int
    root: bytes
    previous: bytes
    key_fingerprint: bytes
    signature: bytes

    def document(self) -> dict[str, Any]:
        """The checkpoint as a JSON object."""
        return {"format": CHECKPOINT_FORMAT, **_json_fields(self)}

    @classmethod
    def from_document(cls, document: object) -> "Checkpoint":
        """Reads a checkpoint's JSON object. Raises ValueError with the reason."""
        values = _document_values(document, CHECKPOINT_FORMAT, [field.name for field in fields(cls)])
        return cls(
            created_microseconds=read_int64(values, "created_microseconds"),
            credits=read_int64(values, "credits", minimum=0),
            lines=read_int64(values, "lines", minimum=0),
            root=_bytes(values, "root"),
            previous=_bytes(values, "previous"),
            key_fingerprint=_bytes(values, "key_fingerprint"),
            signature=_bytes(values, "signature", 64),
        )


def signed_bytes(checkpoint: Checkpoint) -> bytes:
    """The signed bytes: every field but the signature."""
    return _SIGNED_PREFIX + _pack_checkpoint(
        checkpoint.created_microseconds,
        checkpoint.credits,
        checkpoint.lines,
        checkpoint.root,
        checkpoint.previous,
        checkpoint.key_fingerprint,
    )


def checkpoint_digest(checkpoint: Checkpoint) -> bytes:
    """The `previous` of the next checkpoint; covers the signature as well."""
    return sha256(_CHECKPOINT + signed_bytes(checkpoint) + checkpoint.signature).digest()


def sign_checkpoint(
    tree: MerkleTree, previous: Checkpoint | None, now_microseconds: int, key: Ed25519PrivateKey
) -> Checkpoint:
    """Signs a checkpoint of all heads in `tree` that follows `previous`."""
    values: dict[str, Any] = {
        "created_microseconds": now_microseconds,
        "credits": len(tree.heads),
        "lines": sum(head.sequence for head in tree.heads),
        "root": tree.root,
        "previous": NO_CHECKPOINT if previous is None else checkpoint_digest(previous),
        "key_fingerprint": fingerprint(key.public_key()),
    }
    unsigned = Checkpoint(**values, signature=b"")
    return Checkpoint(**values, signature=key.sign(signed_bytes(unsigned)))


def signature_error(checkpoint: Checkpoint, key: Ed25519PublicKey) -> str | None:
    """Why the signature of the checkpoint is not valid for `key`, or None if it is."""
    if checkpoint.key_fingerprint != fingerprint(key):
        return "The checkpoint was signed with another key."
    try:
        key.verify(checkpoint.signature, signed_bytes(checkpoint))
    except InvalidSignature:
        return "The checkpoint's signature is not valid: the checkpoint was changed."
    return None


def check_checkpoint_sequence(
    checkpoints: Sequence[Checkpoint], keys: Iterable[Ed25519PublicKey]
) -> list[ChainFinding]:
    """Verifies all checkpoints, oldest first: the signature of each, and that it follows the last.

    A ledger only grows, so time, credits and entries never decrease.
    """
    known = {fingerprint(key): key for key in keys}
    findings = []
    previous: Checkpoint | None = None
    for number, checkpoint in enumerate(checkpoints, start=1):
        key = known.get(checkpoint.key_fingerprint)
        wrong: list[str] = []
        if not key:
            wrong.append("was signed with an unknown key")
        if key and signature_error(checkpoint, key):
            wrong.append("has a signature that is not valid")
        expected = NO_CHECKPOINT if previous is None else checkpoint_digest(previous)
        if checkpoint.previous != expected:
            wrong.append("does not follow the one before it")
        if previous and (
            checkpoint.created_microseconds < previous.created_microseconds
            or checkpoint.credits < previous.credits
            or checkpoint.lines < previous.lines
        ):
            wrong.append("is earlier or smaller than the one before it")
        findings += [ChainFinding(FindingKind.CHECKPOINT, f"checkpoint {number} {what}") for what in wrong]
        previous = checkpoint
    return findings


def compare_heads(
    checkpoint: Checkpoint,
    tree: MerkleTree,
    stored: Mapping[tuple[AccountType, int, int], bytes],
) -> list[ChainFinding]:
    """Finds credits whose newest entries are missing or whose history was rewritten.

    tree: the tree of the checkpoint. stored: the digest in the journal now, by the type, id and
    sequence of each head of the tree.
    """
    if (
        tree.root != checkpoint.root
        or len(tree.heads) != checkpoint.credits
        or sum(head.sequence for head in tree.heads) != checkpoint.lines
    ):
        return [ChainFinding(FindingKind.CHECKPOINT, "the heads stored for the checkpoint do not match it")]
    findings = []
    for head in tree.heads:
        place = (head.credit_kind, head.credit_id, head.sequence)
        digest = stored.get(place)
        if digest is None:
            message = "a checkpoint covers this line, but the journal ends before it"
            findings.append(ChainFinding(FindingKind.TRUNCATED, message, *place))
        elif digest != head.digest:
            message = "this line or one before it differs from the checkpoint"
            findings.append(ChainFinding(FindingKind.REWRITTEN, message, *place))
    return findings


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """Proof that `checkpoint` covers `line`.

    The later entries of the credit, up to its head, appear only as content digests, and other
    credits only in blinded hashes, so the document reveals nothing else.
    """

    line: JournalEntry
    previous: bytes
    digest: bytes
    following: tuple[bytes, ...]
    head: bytes
    blind: bytes
    index: int
    path: tuple[bytes, ...]
    checkpoint: Checkpoint

    def document(self) -> dict[str, Any]:
        """The proof as a JSON object, which the stand-alone verifier reads."""
        nested = {"line": self.line.to_document(), "checkpoint": self.checkpoint.document()}
        return {"format": PROOF_FORMAT, **_json_fields(self), **nested}

    @classmethod
    def from_document(cls, document: object) -> "Proof":
        """Reads a proof's JSON object. Raises ValueError with what is wrong with it."""
        values = _document_values(document, PROOF_FORMAT, [field.name for field in fields(cls)])
        line = JournalEntry.from_document(values["line"])
        encode_entry(line)
        return cls(
            line=line,
            previous=_bytes(values, "previous"),
            digest=_bytes(values, "digest"),
            following=_digests(values, "following"),
            head=_bytes(values, "head"),
            blind=_bytes(values, "blind"),
            index=read_int64(values, "index", minimum=0),
            path=_digests(values, "path"),
            checkpoint=Checkpoint.from_document(values["checkpoint"]),
        )


def create_proof(
    line: JournalEntry,
    previous: bytes | None,
    following: Iterable[JournalEntry],
    tree: MerkleTree,
    checkpoint: Checkpoint,
) -> Proof:
    """Creates the proof that a checkpoint covers an entry.

    previous: the digest before the entry, None for a first one. following: the later entries of its
    credit up to the head in `tree`. Raises KeyError when the checkpoint does not cover the credit,
    and ValueError when the entries do not lead to its head, so an invalid proof is never returned.
    """
    start = genesis_digest(line.credit_kind, line.credit_id) if previous is None else previous
    index = tree.index_of(line.credit_kind, line.credit_id)
    proof = Proof(
        line=line,
        previous=start,
        digest=entry_digest(start, line),
        following=tuple(content_digest(later) for later in following),
        head=tree.heads[index].digest,
        blind=tree.blind(index),
        index=index,
        path=tree.path(index),
        checkpoint=checkpoint,
    )
    if wrong := path_error(proof):
        raise ValueError(wrong)
    return proof


def path_error(proof: Proof) -> str | None:
    """Why the proof does not lead from its line to its checkpoint, whose signature is not checked; None if it does."""
    line = proof.line
    sequence = line.sequence + len(proof.following)
    if not 1 <= line.sequence <= sequence < 2**63:
        return "The line's number is not one that a journal counts."
    genesis = genesis_digest(line.credit_kind, line.credit_id)
    if line.sequence == 1 and proof.previous != genesis:
        return "The first line does not start from its credit."
    digest = entry_digest(proof.previous, line)
    if digest != proof.digest:
        return "The line's content does not match its digest: the line was changed."
    for content in proof.following:
        digest = link_digest(digest, content)
    if digest != proof.head:
        return "The lines after this one do not lead to the credit's head in the checkpoint."
    leaf = leaf_digest(ChainHead(line.credit_kind, line.credit_id, sequence, digest), proof.blind)
    checkpoint = proof.checkpoint
    if not check_path(leaf, proof.index, checkpoint.credits, proof.path, checkpoint.root):
        return "The credit's head does not lead to the checkpoint's root."
    return None


def _json_fields(value: Checkpoint | Proof) -> dict[str, Any]:
    document = {}
    for field in fields(value):
        content = getattr(value, field.name)
        if isinstance(content, bytes):
            content = content.hex()
        elif isinstance(content, tuple):
            content = [digest.hex() for digest in content]
        document[field.name] = content
    return document


def _document_values(document: object, format_name: str, names: Iterable[str]) -> dict[str, Any]:
    if not isinstance(document, dict) or document.get("format") != format_name:
        raise ValueError(f"The document is not a {format_name}.")
    return require_exact_fields(document, {"format", *names})


def _bytes(values: dict[str, Any], name: str, length: int = 32) -> bytes:
    return _from_hex(values[name], name, length)


def _digests(values: dict[str, Any], name: str) -> tuple[bytes, ...]:
    listed = values[name]
    if not isinstance(listed, list):
        raise ValueError(f"The field {name!r} is not a list.")
    return tuple(_from_hex(item, name, 32) for item in listed)


def _from_hex(value: object, name: str, length: int) -> bytes:
    if not isinstance(value, str) or not re.fullmatch(f"[0-9a-f]{{{2 * length}}}", value):
        raise ValueError(f"The field {name!r} is not {length} bytes in lower-case hex.")
    return bytes.fromhex(value)
