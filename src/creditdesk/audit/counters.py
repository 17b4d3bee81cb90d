"""Kept totals compared with the records themselves; each that differs is a finding.

Nothing is mended: the database keeps count as it writes, so a difference means that it was gone
past.
"""

from __future__ import annotations

from creditdesk.entities.catalog import CATALOG
from creditdesk.schema.entity import Entity
from creditdesk.schema.progress import Report
from creditdesk.schema.repository import Miscount, Store


async def check_totals(store: Store, report: Report) -> None:
    """Reports each kept number that is not that of the records, as one sentence."""
    tallied = [entity for entity in CATALOG if entity.tallied]
    report.step("kept totals", len(tallied))
    for entity in tallied:
        async with store.reading() as reading:
            found = await reading.miscounted(entity)
        for each in found:
            report.problem(_sentence(entity, each))
        report.advance(1)


def _sentence(entity: type[Entity], miscount: Miscount) -> str:
    location = {None: "", 0: ", of no location"}.get(
        miscount.location, f", of location {miscount.location}"
    )
    return (
        f"{entity.__name__}: {miscount.kept} are counted with {miscount.column} from "
        f"{miscount.first}{location}, but there are {miscount.found}"
    )
