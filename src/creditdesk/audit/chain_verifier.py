"""Verifies the hash chain of journal entries, and the recorded heads of the chains.

A problem is reported at its own entry and does not condemn the entries after it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum

from creditdesk.ledger.journal.entry import AccountType, JournalEntry
from creditdesk.ledger.journal.hash_chain import ChainHead, entry_digest, genesis_digest


class FindingKind(StrEnum):
    """What can be wrong with a journal or a checkpoint of it."""

    CHANGED = "changed"
    MISSING = "missing"
    DUPLICATED = "duplicated"
    INSERTED = "inserted"
    REORDERED = "reordered"
    TRUNCATED = "truncated"
    REWRITTEN = "rewritten"
    CHECKPOINT = "checkpoint"


@dataclass(frozen=True, slots=True)
class ChainFinding:
    """One problem and its place; a problem of a whole checkpoint names no credit."""

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
    """The last entry read of one credit; `computed_digest` is set after an entry that failed."""

    sequence: int
    digest: bytes
    last_entry: JournalEntry | None = None
    computed_digest: bytes | None = None
    gaps: list[tuple[int, int]] = field(default_factory=list)


class ChainVerifier:
    """Recomputes the digests of journal entries, batch by batch, and collects the problems.

    Credits may be interleaved; the entries of one credit are expected in order of sequence.
    Removing a credit's newest entries leaves a valid chain: only `check_heads` and a checkpoint
    find that.
    """

    def __init__(self) -> None:
        self._positions: dict[tuple[AccountType, int], _ChainPosition] = {}
        self._findings: list[ChainFinding] = []

    def add(self, entries: Iterable[JournalEntry], digests: Iterable[bytes]) -> None:
        """Verifies more entries. Raises ValueError unless there is one digest per entry."""
        positions = self._positions
        for entry, digest in zip(entries, digests, strict=True):
            credit = (entry.credit_kind, entry.credit_id)
            position = positions.get(credit)
            if position is None:
                position = positions[credit] = _ChainPosition(0, genesis_digest(*credit))
            if entry.sequence != position.sequence + 1:
                self._check_out_of_order(position, entry, digest)
                continue
            try:
                computed = entry_digest(position.digest, entry)
                is_valid = computed == digest or (
                    # If only the stored digest before it was altered, this entry is still valid.
                    position.computed_digest is not None and entry_digest(position.computed_digest, entry) == digest
                )
            except ValueError:
                # Every chained entry could be encoded, so this one was altered.
                computed, is_valid = digest, False
            if not is_valid:
                message = "its content does not match its digest and the line before it"
                self._report(FindingKind.CHANGED, entry, message)
            position.computed_digest = None if is_valid else computed
            position.sequence, position.digest, position.last_entry = entry.sequence, digest, entry

    @property
    def findings(self) -> list[ChainFinding]:
        """The problems so far, by credit and sequence."""
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
        """The last entry read of each credit, by type and id."""
        return [
            ChainHead(kind, credit_id, position.sequence, position.digest)
            for (kind, credit_id), position in sorted(self._positions.items(), key=_account_sort_key)
        ]

    def _check_out_of_order(self, position: _ChainPosition, entry: JournalEntry, digest: bytes) -> None:
        if entry.sequence > position.sequence:
            # The digest before this entry is unknown, so verification resumes after it.
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
        previous = position.last_entry
        if entry.sequence < 1:
            self._report(FindingKind.INSERTED, entry, "no line has this number")
        elif previous and previous.sequence == entry.sequence and previous != entry:
            self._report(FindingKind.INSERTED, entry, "a second, different line has this number")
        else:
            self._report(FindingKind.DUPLICATED, entry, "a second line has this number")

    def _report(self, kind: FindingKind, entry: JournalEntry, message: str) -> None:
        place = (entry.credit_kind, entry.credit_id, entry.sequence)
        self._findings.append(ChainFinding(kind, message, *place))


def verify_chain(entries: Iterable[JournalEntry], digests: Iterable[bytes]) -> list[ChainFinding]:
    """The changed, inserted, missing, reordered and duplicated entries."""
    verifier = ChainVerifier()
    verifier.add(entries, digests)
    return verifier.findings


def check_heads(found: Iterable[ChainHead], recorded: Iterable[ChainHead]) -> list[ChainFinding]:
    """Compares the last entries found with the heads recorded in the account states."""
    ends = {(head.credit_kind, head.credit_id): head for head in found}
    findings = []
    for head in recorded:
        end = ends.pop((head.credit_kind, head.credit_id), None)
        place = (head.credit_kind, head.credit_id, head.sequence)
        if end is None or end.sequence < head.sequence:
            last = 0 if end is None else end.sequence
            message = f"the newest lines are cut off: the journal ends at {last}"
            findings.append(ChainFinding(FindingKind.TRUNCATED, message, *place))
        elif end.sequence > head.sequence:
            message = f"the journal goes on to line {end.sequence}, the credit does not know them"
            findings.append(ChainFinding(FindingKind.INSERTED, message, *place))
        elif end.digest != head.digest:
            message = "the journal's newest digest is not the one recorded with the credit"
            findings.append(ChainFinding(FindingKind.REWRITTEN, message, *place))
    for kind, credit_id in ends:
        message = "the journal has lines of a credit that records none"
        findings.append(ChainFinding(FindingKind.INSERTED, message, kind, credit_id, 1))
    return sorted(findings, key=_finding_sort_key)


def _account_sort_key(item: tuple[tuple[AccountType, int], _ChainPosition]) -> tuple[str, int]:
    return item[0]


def _finding_sort_key(finding: ChainFinding) -> tuple[str, int, int]:
    return (finding.credit_kind or "", finding.credit_id or 0, finding.sequence or 0)
