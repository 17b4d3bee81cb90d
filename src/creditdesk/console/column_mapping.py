"""The columns of an uploaded file, with a suggested field for each."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Final
from unicodedata import normalize

from creditdesk.console.labels import column_title
from creditdesk.console.translations import languages
from creditdesk.schema.entity import Entity

_SAMPLE_LENGTH: Final = 40
_SIMILARITY: Final = 0.84
_DERIVED: Final = frozenset({"ToStringText", "IsNew", "LocalizationDetails"})
_SYNONYMS: Final[Mapping[str, tuple[str, ...]]] = {
    "CoworkerId": ("customer", "customerid", "member", "memberid", "coworker"),
    "BusinessId": ("location", "locationid", "space", "site", "business"),
    "FullName": ("name", "customername", "membername"),
    "Email": ("mail", "emailaddress"),
    "TotalCredit": ("amount", "total", "granted", "credit"),
    "RemainingCredit": ("balance", "remaining", "left"),
    "TotalUses": ("uses", "minutes", "total"),
    "RemainingUses": ("balance", "remaining", "left"),
    "ExpireDate": ("expires", "expiry", "expirydate", "validuntil", "validto", "end"),
    "ValidFrom": ("from", "start", "starts", "startdate"),
    "ExtraServiceId": ("rate", "rateid"),
}
"""Other names of fields."""


@dataclass(frozen=True, slots=True)
class FileColumn:
    """A column: its heading, its first values, and the field that was chosen or is suggested."""

    heading: str
    samples: tuple[str, ...]
    field: str


def importable_fields(entity: type[Entity]) -> list[str]:
    """The names of the fields that a file may fill."""
    meta = entity.meta()
    columns = (*meta.stored_columns, *meta.collection_columns)
    return [each.name for each in columns if each.name not in _DERIVED and not each.field.write_only]


def file_columns(
    entity: type[Entity],
    headings: Sequence[str],
    rows: Sequence[Sequence[str]],
    chosen: Sequence[str] | None = None,
) -> list[FileColumn]:
    """The columns of a file with their first values and their chosen or suggested fields, each field once."""
    found: list[FileColumn] = []
    taken: set[str] = set()
    for place, heading in enumerate(headings):
        field = chosen[place] if chosen else suggest_field(entity, heading)
        field = "" if field in taken else field
        taken.add(field)
        samples = tuple(row[place][:_SAMPLE_LENGTH] for row in rows if row[place])
        found.append(FileColumn(heading, samples, field))
    return found


def suggest_field(entity: type[Entity], heading: str) -> str:
    """The field that a heading names, by name, title, synonym or similar spelling; else empty."""
    wanted = _key(heading)
    fields = importable_fields(entity)
    columns = entity.meta().columns
    names = {_key(name): name for name in fields}
    for name in fields:
        for language in languages():
            names.setdefault(_key(column_title(columns[name], language)), name)
        for synonym in _SYNONYMS.get(name, ()):
            names.setdefault(synonym, name)
    if wanted in names:
        return names[wanted]
    near = get_close_matches(wanted, list(names), n=1, cutoff=_SIMILARITY)
    return names[near[0]] if near else ""


def _key(text: str) -> str:
    plain = normalize("NFKD", text.lower())
    return re.sub(r"[^a-z0-9]", "", plain)
