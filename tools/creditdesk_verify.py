"""Verifies a creditdesk proof.

Usage: python creditdesk_verify.py proof.json --public-key key.pem

One file for auditors and members that follows docs/explanation/proof.md. It imports nothing of
creditdesk, needs no network, and uses `cryptography` for the signature only if it is installed.
Exit codes: 0 the proof is valid, 1 it is not (with the reason), 2 it could not be checked.
"""

import argparse
import base64
import binascii
import hashlib
import json
import re
import struct
import sys
import time
from collections.abc import Iterable
from typing import Any

CREDIT_KINDS = {"money": 1, "time": 2}
LINE_KINDS = {
    "grant": 1,
    "use": 2,
    "reversal": 3,
    "adjustment": 4,
    "expiry": 5,
    "reopening": 6,
    "void": 7,
    "hold": 8,
    "release": 9,
    "change": 10,  # since format 2
}
# The order of both is that of the line's bytes; fields with a presence bit may be null.
NUMBERS = [
    "credit_id",
    "sequence",
    "amount",
    "balance_after",
    "held_after",
    "total_after",
    "rule_version",
    "effective_microseconds",
    "recorded_microseconds",
    "source_id",
    "reverses",
    "history_id",
]
TEXTS = ["source_kind", "actor", "reason", "idempotency_key"]
NUMBERS_OF_FORMAT_2 = ["line_id", "location_id", "owner_id", "member_id", "allocation_id"]
TEXTS_OF_FORMAT_2 = ["cause", "unique_id", "document"]
PRESENCE_BITS = {
    "source_kind": 1,
    "source_id": 2,
    "idempotency_key": 4,
    "reverses": 8,
    "history_id": 16,
    "owner_id": 64,
    "member_id": 128,
    "allocation_id": 256,
    "document": 512,
}
OVERRIDE_BIT = 32
FORMATS = {
    1: (NUMBERS, TEXTS),
    2: (NUMBERS + NUMBERS_OF_FORMAT_2, TEXTS + TEXTS_OF_FORMAT_2),
}
PUBLIC_KEY_PREFIX = bytes.fromhex("302a300506032b6570032100")


class ProofError(Exception):
    """The proof is invalid; the message says why."""


class FileError(Exception):
    """A file cannot be read or has the wrong format."""


Document = dict[str, Any]


def sha256(*parts: bytes) -> bytes:
    return hashlib.sha256(b"".join(parts)).digest()


def require(condition: object, message: str) -> None:
    if not condition:
        raise ProofError(message)


# Reading the document: the proof must cover everything in it, so extra fields are refused.


def reject_duplicate_fields(pairs: list[tuple[str, Any]]) -> Document:
    names = [name for name, _ in pairs]
    require(len(set(names)) == len(names), "The document says the same field twice.")
    return dict(pairs)


def fields(document: Any, names: Iterable[str], place: str) -> Document:
    require(isinstance(document, dict), f"The {place} is not an object.")
    for name in sorted(set(names) ^ set(document)):
        require(False, f"The field {name!a} of the {place} is missing or does not belong.")
    return dict(document)


def number(value: Any, name: str, least: int = -(2**63)) -> int:
    fits = type(value) is int and least <= value < 2**63
    require(fits, f"The field {name} is not a whole number in range.")
    return int(value)


def octets(value: Any, name: str, length: int = 32) -> bytes:
    fits = isinstance(value, str) and re.fullmatch(f"[0-9a-f]{{{2 * length}}}", value)
    require(fits, f"The field {name} is not {length} bytes in lower-case hex.")
    return bytes.fromhex(value)


def digests(value: Any, name: str) -> list[bytes]:
    require(isinstance(value, list), f"The field {name} is not a list.")
    return [octets(item, name) for item in value]


# The formats of docs/explanation/proof.md.


def line_fields(document: Any) -> Document:
    """The line, if it has exactly the fields of its format."""
    require(isinstance(document, dict), "The line is not an object.")
    version = document.get("format_version", 1)
    known = type(version) is int and version in FORMATS
    require(known, "The line's format version is not known here.")
    numbers, texts = FORMATS[version]
    return fields(document, ["credit_kind", "kind", "override", "format_version", *numbers, *texts], "line")


def line_bytes(line: Document) -> bytes:
    version = line["format_version"]
    numbers, texts = FORMATS[version]
    for name in numbers:
        if line[name] is not None or name not in PRESENCE_BITS:
            number(line[name], name)
    for name in texts:
        if line[name] is not None or name not in PRESENCE_BITS:
            require(isinstance(line[name], str), f"The field {name} is not a text.")
    require(isinstance(line["override"], bool), "The field override is not true or false.")
    require(str(line["credit_kind"]) in CREDIT_KINDS, "The credit's kind is not known.")
    kind = LINE_KINDS.get(str(line["kind"]), 0)
    require(kind and (version > 1 or line["kind"] != "change"), "The line's kind is not known.")
    try:
        encoded = [(line[name] or "").encode("utf-8") for name in texts]
    except UnicodeEncodeError:
        raise ProofError("A text of the line is not valid Unicode.") from None
    present = sum(bit for name, bit in PRESENCE_BITS.items() if line.get(name) is not None)
    present += OVERRIDE_BIT * line["override"]
    return b"".join(
        [
            bytes((version, CREDIT_KINDS[line["credit_kind"]], kind)),
            struct.pack(">B" if version == 1 else ">H", present),
            struct.pack(f">{len(numbers)}q", *(line[name] or 0 for name in numbers)),
            struct.pack(f">{len(encoded)}I", *map(len, encoded)),
            *encoded,
        ]
    )


def check_signature(checkpoint: Document, public_key: bytes) -> None:
    names = "format created_microseconds credits lines root previous key_fingerprint signature"
    fields(checkpoint, names.split(), "checkpoint")
    require(checkpoint["format"] == "creditdesk-checkpoint-1", "The checkpoint's format is unknown.")
    signed = b"creditdesk checkpoint 1\n" + struct.pack(
        ">qQQ32s32s32s",
        number(checkpoint["created_microseconds"], "created_microseconds"),
        number(checkpoint["credits"], "credits", 0),
        number(checkpoint["lines"], "lines", 0),
        octets(checkpoint["root"], "root"),
        octets(checkpoint["previous"], "previous"),
        octets(checkpoint["key_fingerprint"], "key_fingerprint"),
    )
    signature = octets(checkpoint["signature"], "signature", 64)
    signer = bytes.fromhex(checkpoint["key_fingerprint"])
    require(signer == sha256(public_key), "The checkpoint was signed with another key.")
    require(
        signature_holds(public_key, signature, signed),
        "The checkpoint's signature is not valid: the checkpoint was changed.",
    )


def root_of_path(leaf: bytes, index: int, size: int, path: list[bytes]) -> bytes:
    message = "The path does not fit the number of credits in the checkpoint."
    require(0 <= index < size, message)
    digest, last, path = leaf, size - 1, list(path)
    while last:
        if index % 2:
            require(path, message)
            digest = sha256(b"\x01", path.pop(0), digest)
        elif index < last:
            require(path, message)
            digest = sha256(b"\x01", digest, path.pop(0))
        index, last = index // 2, last // 2
    require(not path, message)
    return digest


def check(proof: Any, public_key: bytes) -> Document:
    """The document of the proven line. Raises ProofError with the reason for an invalid proof."""
    names = "format line previous digest following head blind index path checkpoint"
    proof = fields(proof, names.split(), "proof")
    require(proof["format"] == "creditdesk-proof-1", "The document is not a creditdesk proof.")
    checkpoint = proof["checkpoint"]
    check_signature(checkpoint, public_key)

    line = line_fields(proof["line"])
    content = line_bytes(line)
    require(line["sequence"] >= 1, "The line's number is not one that a journal counts.")
    previous = octets(proof["previous"], "previous")
    credit = struct.pack(">BBq", 1, CREDIT_KINDS[line["credit_kind"]], line["credit_id"])
    if line["sequence"] == 1:
        message = "The first line does not start from its credit."
        require(previous == sha256(b"\x02", credit), message)

    digest = sha256(b"\x04", previous, sha256(b"\x03", content))
    require(
        digest == octets(proof["digest"], "digest"),
        "The line's content does not match its digest: the line was changed.",
    )
    following = digests(proof["following"], "following")
    for later in following:
        digest = sha256(b"\x04", digest, later)
    require(
        digest == octets(proof["head"], "head"),
        "The lines after this one do not lead to the credit's head in the checkpoint.",
    )
    sequence = line["sequence"] + len(following)
    require(sequence < 2**63, "The line's number is not one that a journal counts.")
    head = credit + struct.pack(">q", sequence) + digest
    leaf = sha256(b"\x00", head, octets(proof["blind"], "blind"))
    index, path = number(proof["index"], "index", 0), digests(proof["path"], "path")
    require(
        root_of_path(leaf, index, checkpoint["credits"], path) == bytes.fromhex(checkpoint["root"]),
        "The credit's head does not lead to the checkpoint's root.",
    )
    return line


# Ed25519 verification by RFC 8032, section 5.1.7, used if `cryptography` is not installed.

Point = tuple[int, int, int, int]

P = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
SQRT_M1 = pow(2, (P - 1) // 4, P)


def recover_x(y: int, sign: int) -> int:
    require(y < P, "The point is not on the curve.")
    square = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * SQRT_M1 % P
    require((x * x - square) % P == 0 and (x or not sign), "The point is not on the curve.")
    return P - x if x % 2 != sign else x


def point_add(a: Point, b: Point) -> Point:
    """Sum of two points in extended coordinates (X, Y, Z, T) with x = X/Z, y = Y/Z, xy = T/Z."""
    e = (a[1] - a[0]) * (b[1] - b[0]) % P
    f = (a[1] + a[0]) * (b[1] + b[0]) % P
    g = 2 * a[3] * b[3] * D % P
    h = 2 * a[2] * b[2] % P
    e, f, g, h = f - e, h - g, h + g, f + e
    return (e * f % P, g * h % P, f * g % P, e * h % P)


def point_multiply(scalar: int, point: Point) -> Point:
    total = (0, 1, 1, 0)
    while scalar:
        if scalar & 1:
            total = point_add(total, point)
        point = point_add(point, point)
        scalar >>= 1
    return total


def decode_point(encoded: bytes) -> Point:
    y = int.from_bytes(encoded, "little")
    sign, y = y >> 255, y & ((1 << 255) - 1)
    x = recover_x(y, sign)
    return (x, y, 1, x * y % P)


def encode_point(point: Point) -> bytes:
    inverse = pow(point[2], P - 2, P)
    x, y = point[0] * inverse % P, point[1] * inverse % P
    return (y | (x & 1) << 255).to_bytes(32, "little")


BASE_Y = 4 * pow(5, P - 2, P) % P
BASE = (recover_x(BASE_Y, 0), BASE_Y, 1, recover_x(BASE_Y, 0) * BASE_Y % P)


def ed25519_holds(public_key: bytes, signature: bytes, message: bytes) -> bool:
    scalar = int.from_bytes(signature[32:], "little")
    if len(signature) != 64 or scalar >= ORDER:
        return False
    try:
        x, y, z, t = decode_point(public_key)
    except ProofError:
        return False
    challenge = hashlib.sha512(signature[:32] + public_key + message).digest()
    factor = int.from_bytes(challenge, "little") % ORDER
    # R must equal S*B - k*A; comparing its bytes also refuses any other encoding of R.
    minus_key = (P - x, y, z, P - t)
    point = point_add(point_multiply(scalar, BASE), point_multiply(factor, minus_key))
    return encode_point(point) == signature[:32]


def signature_holds(public_key: bytes, signature: bytes, message: bytes) -> bool:
    try:
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    except ImportError:
        return ed25519_holds(public_key, signature, message)
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


# The command.


def read_file(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        raise FileError(f"{path} cannot be read: {error.strerror}.") from None


def parse_public_key(pem: bytes) -> bytes:
    pattern = rb"\s*-----BEGIN PUBLIC KEY-----\s+(.+?)\s+-----END PUBLIC KEY-----\s*"
    found = re.fullmatch(pattern, pem, re.DOTALL)
    try:
        der = base64.b64decode(b"".join(found[1].split()), validate=True) if found else b""
    except binascii.Error:
        der = b""
    if len(der) != 44 or not der.startswith(PUBLIC_KEY_PREFIX):
        raise FileError("The key file does not hold an Ed25519 public key in PEM.")
    return der[len(PUBLIC_KEY_PREFIX) :]


def parse_proof(text: bytes) -> Any:
    try:
        return json.loads(text.decode("utf-8"), object_pairs_hook=reject_duplicate_fields)
    except (ValueError, RecursionError):
        raise ProofError("The proof is not a JSON document.") from None


def summary(line: Document, checkpoint: Document) -> str:
    amount = str(line["amount"])
    if line["credit_kind"] == "money":
        sign = "-" if line["amount"] < 0 else ""
        whole, parts = divmod(abs(line["amount"]), 10000)
        amount = f"{sign}{whole}.{parts:04d}"
    return (
        f"Valid: line {line['sequence']} of {line['credit_kind']} credit {line['credit_id']}, "
        f"a {line['kind']} of {amount} by {line['actor']!a}, "
        f"recorded {utc(line['recorded_microseconds'])}, "
        f"checkpoint {utc(checkpoint['created_microseconds'])}."
    )


def utc(microseconds: int) -> str:
    try:
        moment = time.gmtime(microseconds // 1_000_000)
    except (OverflowError, ValueError, OSError):
        return f"{microseconds} microseconds after 1970"
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", moment)


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description="Check a creditdesk proof.")
    parser.add_argument("proof", help="the proof, a JSON file")
    parser.add_argument("--public-key", required=True, help="the space's public key, a PEM file")
    chosen = parser.parse_args(arguments)
    try:
        public_key = parse_public_key(read_file(chosen.public_key))
        proof = parse_proof(read_file(chosen.proof))
        line = check(proof, public_key)
        sys.stdout.write(summary(line, proof["checkpoint"]) + "\n")
    except FileError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    except ProofError as error:
        sys.stdout.write(f"Invalid: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
