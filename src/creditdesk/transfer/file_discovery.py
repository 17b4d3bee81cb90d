"""Which files of a folder hold which entity's records, and whether they are worth a load.

It must not know what the files say.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from creditdesk.schema.progress import Report
from creditdesk.schema.repository import Store
from creditdesk.transfer.dependency_order import CARRIED
from creditdesk.transfer.files import ENDINGS

Files = dict[str, list[Path]]
"""Entity name -> its files."""

BYTES_WORTH_A_LOAD: Final = 1 << 20
"""Setting every index aside and making it again takes about a second, however little comes."""

_OF_SIGNING_IN: Final = frozenset({"User", "Role", "UserRole"})


async def worth_a_load(store: Store, files: Files) -> bool:
    """Whether so much comes into a database without records that it should come as one load."""
    sizes = (file.stat().st_size for of_entity in files.values() for file in of_entity)
    if sum(sizes) < BYTES_WORTH_A_LOAD:
        return False
    async with store.reading() as reading:
        for entity in CARRIED:
            if entity.__name__ not in _OF_SIGNING_IN and await reading.count(entity):
                return False
    return True


def files_in(path: Path, report: Report) -> Files:
    """Entity name -> its files, by the entity's plural; a file named otherwise is noted."""
    by_plural = {entity.plural.lower(): entity.__name__ for entity in CARRIED}
    found: Files = {}
    for file in sorted(path.iterdir()) if path.is_dir() else [path]:
        name = by_plural.get(file.stem.lower())
        if file.is_file() and name and file.suffix.lower() in ENDINGS:
            found.setdefault(name, []).append(file)
        else:
            report.note(f"{file.name} is not named after an entity's records and is skipped")
    return found
