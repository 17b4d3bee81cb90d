"""Every documented field of every entity: present, of its type, in order, with its value."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

import pytest

from tests.contract.contract_client import ContractClient, entity_id, model_value
from tests.contract.facts import CONTRACT, CORE, EntityFacts, FieldFact

ENTITIES = pytest.mark.parametrize("facts", CONTRACT.values(), ids=entity_id)
INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d*[1-9])?Z")
TITLES = {
    "Booking": lambda r: title(r["ResourceName"], r["BookingNumber"], f" (#{r['BookingNumber']})"),
    "Coworker": lambda r: title(r["FullName"], r["Email"], f" - {r['Email']}"),
    "Tariff": lambda r: title(
        r["Name"],
        r["CurrencyCode"] is not None and r["Price"] is not None,
        f" ({r['CurrencyCode']} {plain(r['Price'] or 0)})",
    ),
}
"""ToStringText as it was recorded; where a part is missing, the name alone."""
METHODS = {"list": "GET", "get": "GET", "create": "POST", "update": "PUT", "delete": "DELETE"}


def title(name: str | None, has_rest: object, rest: str) -> str:
    return (name or "") + ("" if has_rest is None or has_rest is False or has_rest == "" else rest)


def plain(number: int | Decimal) -> str:
    text = f"{number:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def is_of_type(field: FieldFact, value: Any) -> bool:
    if value is None:
        return field.nullable or field.is_write_only
    match field.type.split(":")[0]:
        case "string":
            return isinstance(value, str)
        case "boolean":
            return isinstance(value, bool)
        case "integer" | "enum":
            return isinstance(value, int) and not isinstance(value, bool)
        case "number":
            return isinstance(value, int | Decimal) and not isinstance(value, bool)
        case "datetime":
            return isinstance(value, str) and bool(INSTANT.fullmatch(value))
        case "integer[]":
            return isinstance(value, list) and all(isinstance(item, int) for item in value)
        case "object[]":
            return isinstance(value, list) and all(isinstance(item, dict) for item in value)
        case "object":
            return isinstance(value, dict)
    raise AssertionError(field)


@ENTITIES
class TestRecords:
    """The fields of a record."""

    async def test_get_shows_every_field_with_its_type_and_value(self, api: ContractClient, facts: EntityFacts) -> None:
        for row in api.model.rows[facts.entity][:8]:
            record = await api.get(f"{facts.path}/{row['Id']}")
            assert set(record) == set(facts.by_name) | {field.name for field in facts.live_fields}
            assert all(is_of_type(field, record[field.name]) for field in facts.live_fields)
            for field in facts.fields:
                shown = record[field.name]
                assert is_of_type(field, shown), (field, shown)
                if field.name != "ToStringText":
                    wanted = api.model.value(facts, row, field)
                    assert model_value(field, shown) == wanted, field.name

    async def test_a_list_shows_all_but_collections(self, api: ContractClient, facts: EntityFacts) -> None:
        response = await api.get(facts.path, size="1000", orderBy="Id")
        rows = api.model.select(facts, sort="Id")
        assert [record["Id"] for record in response["Records"]] == [row["Id"] for row in rows]
        for record, row in zip(response["Records"], rows, strict=True):
            assert set(record) == {field.name for field in (*facts.list_fields, *facts.live_fields)}
            assert all(is_of_type(field, record[field.name]) for field in facts.live_fields)
            for field in facts.list_fields:
                shown = record[field.name]
                assert is_of_type(field, shown), (field, shown)
                if field.name != "ToStringText":
                    wanted = api.model.value(facts, row, field)
                    assert model_value(field, shown) == wanted, field.name

    async def test_keys_come_in_the_documented_order(self, api: ContractClient, facts: EntityFacts) -> None:
        row = api.model.rows[facts.entity][0]
        whole = await api.get(f"{facts.path}/{row['Id']}")
        delta = {field.name for field in facts.fields if field.is_delta_field}
        assert [key for key in whole if key not in delta] == facts.key_order
        [listed] = (await api.get(facts.path, Id=str(row["Id"])))["Records"]
        collections = {f.name for f in facts.fields if f.is_collection}
        assert list(listed) == [key for key in facts.key_order if key not in collections]

    async def test_delta_fields_follow_their_collection_and_are_null(
        self, api: ContractClient, facts: EntityFacts
    ) -> None:
        row = api.model.rows[facts.entity][0]
        whole = await api.get(f"{facts.path}/{row['Id']}")
        keys = list(whole)
        for field in facts.fields:
            if field.is_delta_field:
                collection = field.name.removeprefix("Added").removeprefix("Removed")
                assert whole[field.name] is None
                assert 0 < keys.index(field.name) - keys.index(collection) <= 2

    async def test_batch_returns_full_records_in_requested_order(self, api: ContractClient, facts: EntityFacts) -> None:
        ids = [row["Id"] for row in api.model.rows[facts.entity][3:0:-1]]
        batch = await api.get(facts.path + "/", id=f"[{ids[0]},999999999,{ids[1]},{ids[2]}]")
        assert [record["Id"] for record in batch] == ids
        assert batch[0] == await api.get(f"{facts.path}/{ids[0]}")

    async def test_the_label_of_a_record_is_text(self, api: ContractClient, facts: EntityFacts) -> None:
        response = await api.get(facts.path, size="1000", orderBy="ToStringText")
        labels = [record["ToStringText"] for record in response["Records"]]
        if facts.entity in CORE:
            assert labels == [f"#{record['Id']}" for record in response["Records"]]
        elif facts.entity in TITLES:
            assert labels == [TITLES[facts.entity](record) for record in response["Records"]]
        else:
            assert [w for w in labels if not w.startswith("#")] == sorted(
                (w for w in labels if not w.startswith("#")), key=str.casefold
            )

    async def test_verbs_are_supported_or_405(self, api: ContractClient, facts: EntityFacts) -> None:
        # Histories of time credit are not edited (rule 11), whatever the documentation offers.
        withheld = {"update", "delete"} if facts.entity == "CoworkerExtraServiceUseHistory" else ()
        for verb, method in METHODS.items():
            path = facts.path if verb in ("list", "create", "update") else f"{facts.path}/987654321"
            response = await api.http.request(method, path, content=b"")
            if verb in facts.operations and verb not in withheld:
                assert response.status_code != 405, (verb, response.text)
            else:
                assert response.status_code == 405, (verb, response.text)
                assert method not in response.headers["Allow"].split(", ")


@pytest.mark.parametrize("facts", [f for f in CONTRACT.values() if f.seed_record_keys], ids=entity_id)
async def test_without_the_newest_fields_a_record_is_the_sample(api: ContractClient, facts: EntityFacts) -> None:
    newest = {field.name for field in facts.fields if field.newest_docs_only}
    [record] = (await api.get(facts.path, Id="1"))["Records"]
    assert tuple(key for key in record if key not in newest) == facts.seed_record_keys


@pytest.mark.parametrize("facts", [f for f in CONTRACT.values() if f.documented_filters_exact], ids=entity_id)
def test_every_filter_of_the_sample_pages_is_in_the_contract(facts: EntityFacts) -> None:
    assert set(facts.documented_filters_exact) <= {each.param for each in facts.filters}


async def test_only_the_ledgers_own_entities_are_public_beyond_the_contract() -> None:
    """And time zones, of which the contract names the ids alone."""
    from creditdesk.entities.catalog import PUBLIC_ENTITIES

    documented = {name: facts.path for name, facts in CONTRACT.items()}
    paths = {entity.__name__: entity.path() for entity in PUBLIC_ENTITIES}
    assert documented.items() <= paths.items()
    assert {name: path for name, path in paths.items() if name not in documented} == {
        "AllocationDocument": "/api/ledger/allocations",
        "AuditRecord": "/api/ledger/audittrail",
        "Hold": "/api/ledger/holds",
        "JournalLine": "/api/ledger/entries",
        "LocationProfile": "/api/ledger/locationprofiles",
        "PoolCap": "/api/ledger/poolcaps",
        "SavedReport": "/api/reports/savedreports",
        "SimpleTimeZone": "/api/sys/simpletimezones",
    }
