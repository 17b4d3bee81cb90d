"""The contract as data: one JSON file an entity, read into frozen values.

Knows nothing of the program; whatever is expected of it is derived from here.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

FOLDER: Final = Path(__file__).parent
CORE: Final = (
    "CoworkerBookingCredit", "CoworkerExtraService", "CoworkerBookingCreditUseHistory",
    "CoworkerExtraServiceUseHistory",
)  # fmt: skip
BASE: Final = (
    "Id", "UpdatedOn", "CreatedOn", "UniqueId", "UpdatedBy", "IsNew", "SystemId", "ToStringText",
    "LocalizationDetails", "CustomFields",
)  # fmt: skip
COMPUTED: Final = ("IsNew", "ToStringText", "LocalizationDetails")
WRITE_ONLY: Final = re.compile(
    r"New\w+Url|Clear\w+File|AccessToken|NewPassword|Password|PasswordSalt|TwoFactorSecret"
    r"|EmailCallBackGuid"
)
"""Names of what a caller sends and no answer ever shows."""
EXACT_TEXT: Final = re.compile(r"\w*(Email|EmailContact|Code|Number|UniqueId)")
"""Names of texts that a filter compares whole: e-mail addresses, codes, numbers, unique ids."""
RELATIONS: Final = {
    "IssuedBy": "Business", "InvoicingBusiness": "Business", "PayingMember": "Coworker",
    "DefaultMemberTariff": "Tariff", "NextTariff": "Tariff", "TransactionCurrency": "Currency",
}  # fmt: skip
"""Relations that are not named like the entity they lead to."""


@dataclass(frozen=True, slots=True)
class FieldFact:
    """One documented property of a record."""

    name: str
    type: str
    nullable: bool = True
    required_on_create: bool = False
    writable_on_create: bool = False
    writable_on_update: bool = False
    read_only: bool = False
    denormalised_from: str | None = None
    base: bool = False
    get_only: bool = False
    newest_docs_only: bool = False

    @property
    def is_delta_field(self) -> bool:
        """Whether it is one of the two names by which a collection is changed in place."""
        return self.get_only and self.nullable

    @property
    def is_collection(self) -> bool:
        return self.type == "integer[]"

    @property
    def is_write_only(self) -> bool:
        return bool(WRITE_ONLY.fullmatch(self.name))

    @property
    def is_exact_text(self) -> bool:
        return bool(EXACT_TEXT.fullmatch(self.name))


@dataclass(frozen=True, slots=True)
class FilterFact:
    """One documented query parameter: what it compares, and how."""

    param: str
    field: str
    kind: str


@dataclass(frozen=True)
class EntityFacts:
    """What the contract says of one entity."""

    entity: str
    path: str
    operations: tuple[str, ...]
    default_sort: str
    fields: tuple[FieldFact, ...]
    filters: tuple[FilterFact, ...]
    enums: dict[str, dict[str, int]]
    seed_record_keys: tuple[str, ...]
    documented_filters_exact: tuple[str, ...]

    @cached_property
    def by_name(self) -> dict[str, FieldFact]:
        return {field.name: field for field in self.fields}

    @cached_property
    def list_fields(self) -> tuple[FieldFact, ...]:
        """What a list shows: all but collections and their twins."""
        return tuple(field for field in self.fields if not field.is_collection)

    @cached_property
    def key_order(self) -> list[str]:
        """Own keys as documented, the newest ones after them, the base keys last; no twins."""
        shown = [f for f in self.fields if not f.is_delta_field]
        own = [f.name for f in shown if not f.base and not f.newest_docs_only]
        newest = [f.name for f in shown if f.newest_docs_only]
        return [*own, *newest, *BASE]


def _read(file: Path) -> EntityFacts:
    content = json.loads(file.read_text("utf-8"))
    return EntityFacts(
        entity=content["entity"],
        path=content["path"],
        operations=tuple(content["operations"]),
        default_sort=content.get("default_sort", {"field": "Id"})["field"],
        fields=tuple(FieldFact(**field) for field in content["fields"]),
        filters=tuple(FilterFact(**each) for each in content["filters"]),
        enums=content["enums"],
        seed_record_keys=tuple(content.get("seed_record_keys", ())),
        documented_filters_exact=tuple(content.get("documented_filters_exact", ())),
    )


CONTRACT: Final = {facts.entity: facts for facts in map(_read, sorted(FOLDER.glob("*.json")))}


def referenced_entity(relation: str) -> str | None:
    """The entity behind a relation; None where the contract keeps none."""
    name = RELATIONS.get(relation, relation)
    return name if name in CONTRACT else None
