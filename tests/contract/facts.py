"""The contract as data: one JSON file per entity, as frozen values.

Independent of the program: the expected values of the tests are derived from it.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

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
"""Fields that callers send and no response shows."""
EXACT_TEXT: Final = re.compile(r"\w*(Email|EmailContact|Code|Number|UniqueId)")
"""Text fields whose filters match the whole value: e-mail addresses, codes, numbers, unique ids."""
RELATIONS: Final = {
    "IssuedBy": "Business", "InvoicingBusiness": "Business", "PayingMember": "Coworker",
    "DefaultMemberTariff": "Tariff", "NextTariff": "Tariff", "TransactionCurrency": "Currency",
}  # fmt: skip
"""Relations named otherwise than the entity they refer to."""


@dataclass(frozen=True, slots=True)
class FieldFact:
    """One documented property of a record."""

    name: str
    type: str
    nullable: bool = True
    required_on_create: bool = False
    default: Any = None
    writable_on_create: bool = False
    writable_on_update: bool = False
    read_only: bool = False
    denormalised_from: str | None = None
    base: bool = False
    get_only: bool = False
    newest_docs_only: bool = False

    @property
    def is_delta_field(self) -> bool:
        """Whether it is one of the two delta fields of a collection."""
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
    """One documented query parameter: the field it filters, and how."""

    param: str
    field: str
    kind: str


@dataclass(frozen=True)
class EntityFacts:
    """The contract of one entity. `live_fields` are in recorded answers, but on no page."""

    entity: str
    path: str
    operations: tuple[str, ...]
    default_sort: str
    fields: tuple[FieldFact, ...]
    filters: tuple[FilterFact, ...]
    enums: dict[str, dict[str, int]]
    live_fields: tuple[FieldFact, ...]
    seed_record_keys: tuple[str, ...]
    documented_filters_exact: tuple[str, ...]

    @cached_property
    def by_name(self) -> dict[str, FieldFact]:
        return {field.name: field for field in self.fields}

    @cached_property
    def defaults(self) -> dict[str, Any]:
        """What a field becomes that a create or an update leaves out."""
        return {f.name: f.default for f in self.fields if f.default is not None}

    @cached_property
    def list_fields(self) -> tuple[FieldFact, ...]:
        """The fields a list shows: all but collections and their delta fields."""
        return tuple(field for field in self.fields if not field.is_collection)

    @cached_property
    def key_order(self) -> list[str]:
        """Own keys as documented, those of recorded answers, the newest ones, the base keys; no delta fields."""
        shown = [f for f in self.fields if not f.is_delta_field]
        own = [f.name for f in shown if not f.base and not f.newest_docs_only]
        newest = [f.name for f in shown if f.newest_docs_only]
        return [*own, *(field.name for field in self.live_fields), *newest, *BASE]


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
        live_fields=tuple(FieldFact(**field) for field in content.get("live_fields", ())),
        seed_record_keys=tuple(content.get("seed_record_keys", ())),
        documented_filters_exact=tuple(content.get("documented_filters_exact", ())),
    )


CONTRACT: Final = {facts.entity: facts for facts in map(_read, sorted(FOLDER.glob("*.json")))}


def referenced_entity(relation: str) -> str | None:
    """The entity a relation refers to; None when it is not in the contract."""
    name = RELATIONS.get(relation, relation)
    return name if name in CONTRACT else None
