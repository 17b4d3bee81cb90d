"""The chain of digests that binds each journal line to every line before it on its credit.

The byte format is frozen and described in docs/proof.md; it must never change, only gain a
version. The module knows nothing of checkpoints, storage or what the lines mean.
"""

import struct
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from hashlib import sha256

from creditdesk.ledger.journal.entry import CreditKind, Line, LineKind

FORMAT_VERSION = 1

_GENESIS, _CONTENT, _LINK = b"\x02", b"\x03", b"\x04"

CREDIT_KIND_CODES = {CreditKind.MONEY: 1, CreditKind.TIME: 2}
LINE_KIND_CODES = {
    LineKind.GRANT: 1,
    LineKind.USE: 2,
    LineKind.REVERSAL: 3,
    LineKind.ADJUSTMENT: 4,
    LineKind.EXPIRY: 5,
    LineKind.REOPENING: 6,
    LineKind.VOID: 7,
    LineKind.HOLD: 8,
    LineKind.RELEASE: 9,
}

_pack_line = struct.Struct(">4B12q4I").pack
_pack_genesis = struct.Struct(">BBq").pack


def encode_line(line: Line) -> bytes:
    """The line's bytes in format 1. ValueError when a value does not fit the format."""
    if line.format_version != FORMAT_VERSION:
        raise ValueError(f"unknown line format {line.format_version}")
    source_kind, source_id, key = line.source_kind, line.source_id, line.idempotency_key
    reverses, history_id = line.reverses, line.history_id
    present = 0
    source_text = key_text = b""
    # An absent value and an empty or zero one must differ, so presence has bits of its own.
    if source_kind is not None:
        present |= 1
        source_text = source_kind.encode()
    if source_id is not None:
        present |= 2
    if key is not None:
        present |= 4
        key_text = key.encode()
    if reverses is not None:
        present |= 8
    if history_id is not None:
        present |= 16
    if line.override:
        present |= 32
    actor_text = line.actor.encode()
    reason_text = line.reason.encode()
    try:
        fixed = _pack_line(
            FORMAT_VERSION,
            CREDIT_KIND_CODES[line.credit_kind],
            LINE_KIND_CODES[line.kind],
            present,
            line.credit_id,
            line.sequence,
            line.amount,
            line.balance_after,
            line.held_after,
            line.total_after,
            line.rule_version,
            line.effective_microseconds,
            line.recorded_microseconds,
            0 if source_id is None else source_id,
            0 if reverses is None else reverses,
            0 if history_id is None else history_id,
            len(source_text),
            len(actor_text),
            len(reason_text),
            len(key_text),
        )
    except (struct.error, KeyError) as error:
        raise ValueError(f"the line does not fit format {FORMAT_VERSION}: {error}") from error
    return fixed + source_text + actor_text + reason_text + key_text


def genesis_digest(credit_kind: CreditKind, credit_id: int) -> bytes:
    """The digest that stands before a credit's first line."""
    code = CREDIT_KIND_CODES[credit_kind]
    return sha256(_GENESIS + _pack_genesis(FORMAT_VERSION, code, credit_id)).digest()


def content_digest(line: Line) -> bytes:
    """Digest of the line's bytes alone: stands for a line without showing it."""
    return sha256(_CONTENT + encode_line(line)).digest()


def link_digest(previous: bytes, content: bytes) -> bytes:
    """Digest of a line, from the digest before it and its content digest, 32 bytes each."""
    return sha256(_LINK + previous + content).digest()


def line_digest(previous: bytes, line: Line) -> bytes:
    """Digest of `line` after a line with digest `previous`, or after the credit's genesis."""
    content = sha256(_CONTENT + encode_line(line)).digest()
    return sha256(_LINK + previous + content).digest()


@dataclass(frozen=True, slots=True)
class Head:
    """Where a credit's chain ends: its newest line's sequence and digest."""

    credit_kind: CreditKind
    credit_id: int
    sequence: int
    digest: bytes


class Fault(StrEnum):
    """What can be wrong with a journal or with what was sealed of it."""

    CHANGED = "changed"
    MISSING = "missing"
    DOUBLED = "doubled"
    INSERTED = "inserted"
    REORDERED = "reordered"
    TRUNCATED = "truncated"
    REWRITTEN = "rewritten"
    SEAL = "seal"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing found wrong, and where; a fault of a seal as a whole names no credit."""

    fault: Fault
    sentence: str
    credit_kind: CreditKind | None = None
    credit_id: int | None = None
    sequence: int | None = None

    def __str__(self) -> str:
        if self.credit_kind is None:
            return self.sentence
        return f"{self.credit_kind} credit {self.credit_id}, line {self.sequence}: {self.sentence}"


@dataclass(slots=True)
class _Position:
    """How far one credit has been read; `computed` is set after a line that failed."""

    sequence: int
    digest: bytes
    line: Line | None = None
    computed: bytes | None = None
    gaps: list[tuple[int, int]] = field(default_factory=list)


class ChainReading:
    """Reads journal lines with their stored digests, batch by batch, and collects what is wrong.

    Credits may be interleaved; the lines of one credit are expected in order of sequence. A fault
    is named at its own line and does not condemn the lines after it. Cutting off a credit's newest
    lines leaves a sound chain: only `check_heads` and a checkpoint find that.
    """

    def __init__(self) -> None:
        self._positions: dict[tuple[CreditKind, int], _Position] = {}
        self._findings: list[Finding] = []
        self.lines_read = 0

    def read(self, lines: Iterable[Line], digests: Iterable[bytes]) -> None:
        """Read on. ValueError when there are not as many digests as lines."""
        positions = self._positions
        for line, digest in zip(lines, digests, strict=True):
            self.lines_read += 1
            credit = (line.credit_kind, line.credit_id)
            position = positions.get(credit)
            if position is None:
                position = positions[credit] = _Position(0, genesis_digest(*credit))
            if line.sequence != position.sequence + 1:
                self._read_out_of_step(position, line, digest)
                continue
            try:
                computed = line_digest(position.digest, line)
                sound = computed == digest or (
                    # Had only the digest before been altered, this line is still sound.
                    position.computed is not None and line_digest(position.computed, line) == digest
                )
            except ValueError:
                # No line that was ever chained fails to encode, so this one was altered.
                computed, sound = digest, False
            if not sound:
                sentence = "its content does not match its digest and the line before it"
                self._find(Fault.CHANGED, line, sentence)
            position.computed = None if sound else computed
            position.sequence, position.digest, position.line = line.sequence, digest, line

    @property
    def findings(self) -> list[Finding]:
        """All that is wrong so far, by credit and sequence."""
        missing = [
            Finding(
                Fault.MISSING,
                "the line is missing" if first == last else f"the lines to {last} are missing",
                kind,
                credit_id,
                first,
            )
            for (kind, credit_id), position in self._positions.items()
            for first, last in position.gaps
        ]
        return sorted(self._findings + missing, key=_place)

    @property
    def heads(self) -> list[Head]:
        """Where each credit's chain ended, in order of kind and id."""
        return [
            Head(kind, credit_id, position.sequence, position.digest)
            for (kind, credit_id), position in sorted(self._positions.items(), key=_credit)
        ]

    def _read_out_of_step(self, position: _Position, line: Line, digest: bytes) -> None:
        if line.sequence > position.sequence:
            # What this line should follow is unknown, so the chain is taken up again from it.
            position.gaps.append((position.sequence + 1, line.sequence - 1))
            position.sequence, position.digest, position.line = line.sequence, digest, line
            position.computed = None
            return
        for index, (first, last) in enumerate(position.gaps):
            if first <= line.sequence <= last:
                rest = [(first, line.sequence - 1), (line.sequence + 1, last)]
                position.gaps[index : index + 1] = [gap for gap in rest if gap[0] <= gap[1]]
                self._find(Fault.REORDERED, line, "the line stands after a later one")
                return
        twin = position.line
        if line.sequence < 1:
            self._find(Fault.INSERTED, line, "no line has this number")
        elif twin is not None and twin.sequence == line.sequence and twin != line:
            self._find(Fault.INSERTED, line, "a second, different line has this number")
        else:
            self._find(Fault.DOUBLED, line, "a second line has this number")

    def _find(self, fault: Fault, line: Line, sentence: str) -> None:
        place = (line.credit_kind, line.credit_id, line.sequence)
        self._findings.append(Finding(fault, sentence, *place))


def check_chain(lines: Iterable[Line], digests: Iterable[bytes]) -> list[Finding]:
    """Every changed, inserted, missing, reordered or doubled line, by credit and sequence."""
    reading = ChainReading()
    reading.read(lines, digests)
    return reading.findings


def check_heads(found: Iterable[Head], recorded: Iterable[Head]) -> list[Finding]:
    """Compare the heads that a reading ended at with those recorded beside the credits."""
    ends = {(head.credit_kind, head.credit_id): head for head in found}
    findings = []
    for head in recorded:
        end = ends.pop((head.credit_kind, head.credit_id), None)
        place = (head.credit_kind, head.credit_id, head.sequence)
        if end is None or end.sequence < head.sequence:
            last = 0 if end is None else end.sequence
            sentence = f"the newest lines are cut off: the journal ends at {last}"
            findings.append(Finding(Fault.TRUNCATED, sentence, *place))
        elif end.sequence > head.sequence:
            sentence = f"the journal goes on to line {end.sequence}, the credit does not know them"
            findings.append(Finding(Fault.INSERTED, sentence, *place))
        elif end.digest != head.digest:
            sentence = "the journal's newest digest is not the one recorded with the credit"
            findings.append(Finding(Fault.REWRITTEN, sentence, *place))
    for kind, credit_id in ends:
        sentence = "the journal has lines of a credit that records none"
        findings.append(Finding(Fault.INSERTED, sentence, kind, credit_id, 1))
    return sorted(findings, key=_place)


def _credit(item: tuple[tuple[CreditKind, int], _Position]) -> tuple[str, int]:
    return item[0]


def _place(finding: Finding) -> tuple[str, int, int]:
    return (finding.credit_kind or "", finding.credit_id or 0, finding.sequence or 0)
