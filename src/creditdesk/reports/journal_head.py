"""The head of a location's journal: the end of a hash chain over the digests of its entries.

The head before the first entry is 32 zero bytes. Each entry, in order of recording and Id, gives the next
head: the SHA-256 over the previous head and the entry's digest.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from hashlib import sha256
from typing import NamedTuple

from creditdesk.entities.ledger.journal_line import JournalLine
from creditdesk.ledger.journal.entry import epoch_microseconds
from creditdesk.reports.journal_loader import Period, find_lines
from creditdesk.reports.values import BEGINNING, Microseconds
from creditdesk.schema.query import where
from creditdesk.schema.repository import ReadSession


class JournalHead(NamedTuple):
    """The number of entries of a location before an instant, and the head of their chain."""

    until: Microseconds = BEGINNING
    entries: int = 0
    digest: bytes = bytes(32)

    def following(self, digest: bytes, at: Microseconds) -> JournalHead:
        """The head after one more entry."""
        return JournalHead(at + 1, self.entries + 1, sha256(self.digest + digest).digest())


async def extend_head(session: ReadSession, location_id: int, head: JournalHead, until: Microseconds) -> JournalHead:
    """The head before `until`, from an earlier one."""
    async for at, digest in entry_digests(session, location_id, Period(head.until, until)):
        head = head.following(digest, at)
    return head._replace(until=until)


async def entry_digests(
    session: ReadSession, location_id: int, period: Period
) -> AsyncIterator[tuple[Microseconds, bytes]]:
    """When each entry of a location in a period was recorded, and its digest, in the order of the chain."""
    of_location = where(JournalLine, BusinessId=location_id)
    async for lines in find_lines(session, of_location, period, ("Id", "RecordedOn", "Digest")):
        lines.sort(key=lambda line: (line["RecordedOn"], line["Id"]))
        for line in lines:
            if (at := epoch_microseconds(line["RecordedOn"])) < period.ends:
                yield at, bytes.fromhex(line["Digest"])


def combined_digest(heads: dict[int, JournalHead]) -> str:
    """SHA-256 over one line `location/entries/head` for each location, in order of id."""
    digest = sha256()
    for location_id in sorted(heads):
        head = heads[location_id]
        digest.update(f"{location_id}/{head.entries}/{head.digest.hex()}\n".encode())
    return digest.hexdigest()
