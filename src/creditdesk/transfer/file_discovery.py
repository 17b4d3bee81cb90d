"""Finds the files of a folder by entity, and decides whether they are bulk loaded."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from creditdesk.entities.catalog import BUSINESS_ENTITIES
from creditdesk.schema.batches import has_records
from creditdesk.schema.repository import Store
from creditdesk.transfer.dependency_order import TRANSFERRED
from creditdesk.transfer.files import FILE_SUFFIXES
from creditdesk.transfer.import_report import ImportReport

FilesByEntity = dict[str, list[Path]]
"""Entity name -> its files."""

BULK_LOAD_MIN_BYTES: Final = 1 << 20
"""Dropping and rebuilding every index takes about a second, however small the files."""


async def should_bulk_load(store: Store, files: FilesByEntity) -> bool:
    """Whether the files are large and the database holds no records yet."""
    sizes = (file.stat().st_size for of_entity in files.values() for file in of_entity)
    if sum(sizes) < BULK_LOAD_MIN_BYTES:
        return False
    async with store.read_session() as session:
        return not await has_records(session, BUSINESS_ENTITIES)


def find_files(path: Path, report: ImportReport) -> FilesByEntity:
    """The files by entity name; a file is named like the entity's plural. Others are noted.

    Refuses links to files outside of the folder.
    """
    root = path.resolve()
    by_plural = {entity.plural.lower(): entity.__name__ for entity in TRANSFERRED}
    found: FilesByEntity = {}
    for file in sorted(path.iterdir()) if path.is_dir() else [path]:
        if path.is_dir() and not file.resolve().is_relative_to(root):
            report.refuse(f"{file.name} is a link to a file outside of the folder and is refused")
            continue
        name = by_plural.get(file.stem.lower())
        if file.is_file() and name and file.suffix.lower() in FILE_SUFFIXES:
            found.setdefault(name, []).append(file)
        else:
            report.ignore(f"{file.name} is not named after an entity's records and is skipped")
    return found
