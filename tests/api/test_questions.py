"""A question is kept by its text, and means each time what it meant when it was read."""

from __future__ import annotations

from urllib.parse import quote

import pytest

from creditdesk.api import query_params
from creditdesk.api.query_params import read_question
from creditdesk.api.settings import WireSettings
from creditdesk.entities.billing.coworker_booking_credit import CoworkerBookingCredit
from creditdesk.entities.spaces.resource_type import ResourceType
from creditdesk.schema.errors import Invalid

SEED, LATER = WireSettings(), WireSettings(dir_convention="later")


def name_asked(query: bytes) -> object:
    [only] = read_question(ResourceType, query, SEED).listing.filters
    return only.value


def test_a_question_asked_again_is_the_same() -> None:
    query = b"ResourceType_Name=desk&orderby=Name&dir=-1&page=3&size=7"
    first = read_question(ResourceType, query, SEED)
    assert read_question(ResourceType, bytes(bytearray(query)), SEED) == first
    assert (first.listing.page, first.listing.size) == (3, 7)


def test_the_same_text_is_another_question_to_another_entity() -> None:
    types, credits_ = (
        read_question(entity, b"size=9", SEED).listing.entity
        for entity in (ResourceType, CoworkerBookingCredit)
    )
    assert (types, credits_) == (ResourceType, CoworkerBookingCredit)


def test_the_same_text_means_what_each_setting_says() -> None:
    query = b"orderby=Name&dir=1"
    found = [read_question(ResourceType, query, s).listing.order.descending for s in (SEED, LATER)]
    assert found == [False, True]


def test_what_cannot_be_read_is_refused_each_time() -> None:
    for _ in range(2):
        with pytest.raises(Invalid):
            read_question(ResourceType, b"ResourceType_CreatedOn=yesterday", SEED)


def test_more_questions_than_are_kept_mean_what_they_say(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(query_params, "MOST_KEPT", 2)
    for _ in range(2):
        for name in ("a", "b", "c", "d", "e"):
            assert name_asked(f"ResourceType_Name={name}".encode()) == name


def test_a_long_question_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(query_params, "_KEPT", {})
    long_name = "x" * query_params.LONGEST_KEPT
    assert name_asked(f"ResourceType_Name={long_name}".encode()) == long_name
    assert not query_params._KEPT
    name_asked(b"ResourceType_Name=x")
    assert len(query_params._KEPT) == 1


@pytest.mark.parametrize("digits", ["7", "007", " 7 ", "+7", "7.0", "7e0", "٧"])
def test_a_whole_number_may_be_written_in_many_ways(digits: str) -> None:
    query = f"ResourceType_Id={quote(f'[{digits}]')}".encode()
    filters = read_question(ResourceType, query, SEED).listing.filters
    assert [each.value for each in filters] == [(7,)]
