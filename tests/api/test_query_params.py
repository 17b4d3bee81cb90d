"""The cache of parsed query strings."""

from __future__ import annotations

from urllib.parse import quote

import pytest

from creditdesk.api import query_params
from creditdesk.api.query_params import parse_list_query
from creditdesk.entities.billing.coworker_booking_credit import CoworkerBookingCredit
from creditdesk.entities.spaces.resource_type import ResourceType
from creditdesk.schema.errors import ValidationError
from creditdesk.settings import ApiSettings

SEED, LATER = ApiSettings(), ApiSettings(dir_convention="later")


def filtered_column_name(query: bytes) -> object:
    [only] = parse_list_query(ResourceType, query, SEED).query.filters
    return only.value


def test_repeated_query_string_is_cached() -> None:
    query = b"ResourceType_Name=desk&orderby=Name&dir=-1&page=3&size=7"
    first = parse_list_query(ResourceType, query, SEED)
    assert parse_list_query(ResourceType, bytes(bytearray(query)), SEED) == first
    assert (first.query.page, first.query.size) == (3, 7)


def test_cache_distinguishes_entities() -> None:
    types, credits_ = (
        parse_list_query(entity, b"size=9", SEED).query.entity for entity in (ResourceType, CoworkerBookingCredit)
    )
    assert (types, credits_) == (ResourceType, CoworkerBookingCredit)


def test_cache_distinguishes_settings() -> None:
    query = b"orderby=Name&dir=1"
    found = [parse_list_query(ResourceType, query, s).query.order.descending for s in (SEED, LATER)]
    assert found == [False, True]


def test_invalid_query_string_is_not_cached() -> None:
    for _ in range(2):
        with pytest.raises(ValidationError):
            parse_list_query(ResourceType, b"ResourceType_CreatedOn=yesterday", SEED)


def test_full_cache_is_cleared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(query_params, "MAX_CACHED_QUERIES", 2)
    for _ in range(2):
        for name in ("a", "b", "c", "d", "e"):
            assert filtered_column_name(f"ResourceType_Name={name}".encode()) == name


def test_long_query_string_is_not_cached(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(query_params, "_CACHE", {})
    long_name = "x" * query_params.MAX_CACHED_QUERY_BYTES
    assert filtered_column_name(f"ResourceType_Name={long_name}".encode()) == long_name
    assert not query_params._CACHE
    filtered_column_name(b"ResourceType_Name=x")
    assert len(query_params._CACHE) == 1


@pytest.mark.parametrize("digits", ["7", "007", " 7 ", "+7", "7.0", "7e0"])
def test_a_whole_number_may_be_written_in_many_ways(digits: str) -> None:
    query = f"ResourceType_Id={quote(f'[{digits}]')}".encode()
    filters = parse_list_query(ResourceType, query, SEED).query.filters
    assert [each.value for each in filters] == [(7,)]


def test_other_digits_are_no_number() -> None:
    with pytest.raises(ValidationError, match="must be a list of ids"):
        parse_list_query(ResourceType, f"ResourceType_Id={quote('[٧]')}".encode(), SEED)
