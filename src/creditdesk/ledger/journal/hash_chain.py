"""The chain of digests that binds each journal line to every line before it on its credit.

The byte format is frozen and described in docs/proof.md; it must never change, only gain a
version. The module knows nothing of checkpoints, storage or what the lines mean.
"""

import struct
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from hashlib import sha256

from creditdesk.ledger.journal.entry import AccountType, EntryType, JournalEntry

FORMAT_VERSION = 1

_GENESIS, _CONTENT, _LINK = b"\x02", b"\x03", b"\x04"

ACCOUNT_TYPE_CODES = {AccountType.MONEY: 1, AccountType.TIME: 2}
ENTRY_TYPE_CODES = {
    EntryType.GRANT: 1,
    EntryType.USE: 2,
    EntryType.REVERSAL: 3,
    EntryType.ADJUSTMENT: 4,
    EntryType.EXPIRY: 5,
    EntryType.REOPENING: 6,
    EntryType.VOID: 7,
    EntryType.HOLD: 8,
    EntryType.RELEASE: 9,
}

_pack_entry = struct.Struct(">4B12q4I").pack
_pack_genesis = struct.Struct(">BBq").pack


def encode_entry(entry: JournalEntry) -> bytes:
    """The line's bytes in format 1. ValueError when a value does not fit the format."""
    if entry.format_version != FORMAT_VERSION:
        raise ValueError(f"unknown line format {entry.format_version}")
    source_kind, source_id, key = entry.source_kind, entry.source_id, entry.idempotency_key
    reverses, history_id = entry.reverses, entry.history_id
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
    if entry.override:
        present |= 32
    actor_text = entry.actor.encode()
    reason_text = entry.reason.encode()
    try:
        fixed = _pack_entry(
            FORMAT_VERSION,
            ACCOUNT_TYPE_CODES[entry.credit_kind],
            ENTRY_TYPE_CODES[entry.kind],
            present,
            entry.credit_id,
            entry.sequence,
            entry.amount,
            entry.balance_after,
            entry.held_after,
            entry.total_after,
            entry.rule_version,
            entry.effective_microseconds,
            entry.recorded_microseconds,
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


def genesis_digest(credit_kind: AccountType, credit_id: int) -> bytes:
    """The digest that stands before a credit's first line."""
    code = ACCOUNT_TYPE_CODES[credit_kind]
    return sha256(_GENESIS + _pack_genesis(FORMAT_VERSION, code, credit_id)).digest()


def content_digest(entry: JournalEntry) -> bytes:
    """Digest of the line's bytes alone: stands for a line without showing it."""
    return sha256(_CONTENT + encode_entry(entry)).digest()


def link_digest(previous: bytes, content: bytes) -> bytes:
    """Digest of a line, from the digest before it and its content digest, 32 bytes each."""
    return sha256(_LINK + previous + content).digest()


def entry_digest(previous: bytes, entry: JournalEntry) -> bytes:
    """Digest of `line` after a line with digest `previous`, or after the credit's genesis."""
    content = sha256(_CONTENT + encode_entry(entry)).digest()
    return sha256(_LINK + previous + content).digest()


@dataclass(frozen=True, slots=True)
class ChainHead:
    """Where a credit's chain ends: its newest line's sequence and digest."""

    credit_kind: AccountType
    credit_id: int
    sequence: int
    digest: bytes


class FindingKind(StrEnum):
    """What can be wrong with a journal or with what was sealed of it."""

    CHANGED = "changed"
    MISSING = "missing"
    DUPLICATED = "doubled"
    INSERTED = "inserted"
    REORDERED = "reordered"
    TRUNCATED = "truncated"
    REWRITTEN = "rewritten"
    CHECKPOINT = "seal"


@dataclass(frozen=True, slots=True)
class ChainFinding:
    """One thing found wrong, and where; a fault of a seal as a whole names no credit."""

    kind: FindingKind
    message: str
    credit_kind: AccountType | None = None
    credit_id: int | None = None
    sequence: int | None = None

    def __str__(self) -> str:
        if self.credit_kind is None:
            return self.message
        return f"{self.credit_kind} credit {self.credit_id}, line {self.sequence}: {self.message}"


@dataclass(slots=True)
class _ChainPosition:
    """How far one credit has been read; `computed` is set after a line that failed."""

    sequence: int
    digest: bytes
    last_entry: JournalEntry | None = None
    computed_digest: bytes | None = None
    gaps: list[tuple[int, int]] = field(default_factory=list)


class ChainVerifier:
    """Reads journal lines with their stored digests, batch by batch, and collects what is wrong.

    Credits may be interleaved; the lines of one credit are expected in order of sequence. A fault
    is named at its own line and does not condemn the lines after it. Cutting off a credit's newest
    lines leaves a sound chain: only `check_heads` and a checkpoint find that.
    """

    def __init__(self) -> None:
        self._positions: dict[tuple[AccountType, int], _ChainPosition] = {}
        self._findings: list[ChainFinding] = []
        self.entries_read = 0

    def add(self, entries: Iterable[JournalEntry], digests: Iterable[bytes]) -> None:
        """Read on. ValueError when there are not as many digests as lines."""
        positions = self._positions
        for entry, digest in zip(entries, digests, strict=True):
            self.entries_read += 1
            credit = (entry.credit_kind, entry.credit_id)
            position = positions.get(credit)
            if position is None:
                position = positions[credit] = _ChainPosition(0, genesis_digest(*credit))
            if entry.sequence != position.sequence + 1:
                self._check_out_of_order(position, entry, digest)
                continue
            try:
                computed = entry_digest(position.digest, entry)
                sound = computed == digest or (
                    # Had only the digest before been altered, this line is still sound.
                    position.computed_digest is not None
                    and entry_digest(position.computed_digest, entry) == digest
                )
            except ValueError:
                # No line that was ever chained fails to encode, so this one was altered.
                computed, sound = digest, False
            if not sound:
                sentence = "its content does not match its digest and the line before it"
                self._report(FindingKind.CHANGED, entry, sentence)
            position.computed_digest = None if sound else computed
            position.sequence, position.digest, position.last_entry = entry.sequence, digest, entry

    @property
    def findings(self) -> list[ChainFinding]:
        """All that is wrong so far, by credit and sequence."""
        missing = [
            ChainFinding(
                FindingKind.MISSING,
                "the line is missing" if first == last else f"the lines to {last} are missing",
                kind,
                credit_id,
                first,
            )
            for (kind, credit_id), position in self._positions.items()
            for first, last in position.gaps
        ]
        return sorted(self._findings + missing, key=_finding_sort_key)

    @property
    def heads(self) -> list[ChainHead]:
        """Where each credit's chain ended, in order of kind and id."""
        return [
            ChainHead(kind, credit_id, position.sequence, position.digest)
            for (kind, credit_id), position in sorted(
                self._positions.items(), key=_account_sort_key
            )
        ]

    def _check_out_of_order(
        self, position: _ChainPosition, entry: JournalEntry, digest: bytes
    ) -> None:
        if entry.sequence > position.sequence:
            # What this line should follow is unknown, so the chain is taken up again from it.
            position.gaps.append((position.sequence + 1, entry.sequence - 1))
            position.sequence, position.digest, position.last_entry = entry.sequence, digest, entry
            position.computed_digest = None
            return
        for index, (first, last) in enumerate(position.gaps):
            if first <= entry.sequence <= last:
                rest = [(first, entry.sequence - 1), (entry.sequence + 1, last)]
                position.gaps[index : index + 1] = [gap for gap in rest if gap[0] <= gap[1]]
                self._report(FindingKind.REORDERED, entry, "the line stands after a later one")
                return
        twin = position.last_entry
        if entry.sequence < 1:
            self._report(FindingKind.INSERTED, entry, "no line has this number")
        elif twin is not None and twin.sequence == entry.sequence and twin != entry:
            self._report(FindingKind.INSERTED, entry, "a second, different line has this number")
        else:
            self._report(FindingKind.DUPLICATED, entry, "a second line has this number")

    def _report(self, kind: FindingKind, entry: JournalEntry, message: str) -> None:
        place = (entry.credit_kind, entry.credit_id, entry.sequence)
        self._findings.append(ChainFinding(kind, message, *place))


def verify_chain(entries: Iterable[JournalEntry], digests: Iterable[bytes]) -> list[ChainFinding]:
    """Every changed, inserted, missing, reordered or doubled line, by credit and sequence."""
    session = ChainVerifier()
    session.add(entries, digests)
    return session.findings


def check_heads(found: Iterable[ChainHead], recorded: Iterable[ChainHead]) -> list[ChainFinding]:
    """Compare the heads that a reading ended at with those recorded beside the credits."""
    ends = {(head.credit_kind, head.credit_id): head for head in found}
    findings = []
    for head in recorded:
        end = ends.pop((head.credit_kind, head.credit_id), None)
        place = (head.credit_kind, head.credit_id, head.sequence)
        if end is None or end.sequence < head.sequence:
            last = 0 if end is None else end.sequence
            sentence = f"the newest lines are cut off: the journal ends at {last}"
            findings.append(ChainFinding(FindingKind.TRUNCATED, sentence, *place))
        elif end.sequence > head.sequence:
            sentence = f"the journal goes on to line {end.sequence}, the credit does not know them"
            findings.append(ChainFinding(FindingKind.INSERTED, sentence, *place))
        elif end.digest != head.digest:
            sentence = "the journal's newest digest is not the one recorded with the credit"
            findings.append(ChainFinding(FindingKind.REWRITTEN, sentence, *place))
    for kind, credit_id in ends:
        sentence = "the journal has lines of a credit that records none"
        findings.append(ChainFinding(FindingKind.INSERTED, sentence, kind, credit_id, 1))
    return sorted(findings, key=_finding_sort_key)


def _account_sort_key(item: tuple[tuple[AccountType, int], _ChainPosition]) -> tuple[str, int]:
    return item[0]


def _finding_sort_key(finder: ChainFinding) -> tuple[str, int, int]:
    return (finder.credit_kind or "", finder.credit_id or 0, finder.sequence or 0)
