"""UniqueIds: well-formed, never the same, and in the order of time where they are fresh."""

from __future__ import annotations

from time import sleep
from uuid import RFC_4122, UUID

from creditdesk.ledger.journal.mapping import deterministic_unique_id, new_unique_id


def test_a_fresh_unique_id_is_a_uuid_of_its_own() -> None:
    made = [new_unique_id() for _ in range(1000)]
    assert len(set(made)) == 1000
    for each in made:
        assert str(UUID(each)) == each
        assert (UUID(each).version, UUID(each).variant) == (7, RFC_4122)


def test_fresh_unique_ids_come_in_the_order_of_time() -> None:
    made = []
    for _ in range(5):
        made.append(new_unique_id())
        sleep(0.002)
    assert made == sorted(made)


def test_the_same_chance_gives_the_same_unique_id() -> None:
    assert deterministic_unique_id(bytes(range(16))) == "00010203-0405-4607-8809-0a0b0c0d0e0f"
    assert deterministic_unique_id(b"\xff" * 16) == "ffffffff-ffff-4fff-bfff-ffffffffffff"
