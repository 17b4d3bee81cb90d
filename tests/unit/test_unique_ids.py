"""UniqueIds of new records: UUIDs of version 7, unique, ordered by time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import RFC_4122, UUID

from creditdesk.entities.sys.currency import Currency
from creditdesk.schema.records import new_record, uuid7

NOW = datetime(2026, 3, 10, 12, 0, 0, 250_000, tzinfo=UTC)


def test_unique_ids_of_new_records_are_random_uuids_of_version_7() -> None:
    made = [new_record(Currency, {}, NOW)["UniqueId"] for _ in range(1000)]
    assert len(set(made)) == 1000
    for each in made:
        assert str(UUID(each)) == each
        assert (UUID(each).version, UUID(each).variant) == (7, RFC_4122)


def test_unique_ids_sort_by_time() -> None:
    times = [NOW + timedelta(milliseconds=number) for number in range(5)]
    made = [new_record(Currency, {}, time)["UniqueId"] for time in times]
    assert made == sorted(made)


def test_uuid7_is_determined_by_time_and_random_bytes() -> None:
    assert uuid7(NOW, bytes(range(10))) == "019cd79e-46fa-7001-8203-040506070809"
    assert uuid7(NOW, b"\xff" * 10) == "019cd79e-46fa-7fff-bfff-ffffffffffff"


def test_new_record_sets_every_stored_field() -> None:
    record = new_record(Currency, {"Name": "Euro", "UniqueId": "given"}, NOW, "ada@example.com")
    assert record.keys() == {c.name for c in Currency.meta().stored_columns} - {"Id"}
    assert (record["Name"], record["Code"], record["UniqueId"]) == ("Euro", "", "given")
    assert record["CreatedOn"] == record["UpdatedOn"] == NOW.replace(microsecond=0)
    assert record["UpdatedBy"] == "ada@example.com"
