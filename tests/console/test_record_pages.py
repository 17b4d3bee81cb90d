"""Lists and records of every entity, from its declaration alone."""

from __future__ import annotations

import csv
import re
from datetime import datetime
from io import BytesIO, StringIO

import httpx
import openpyxl
import pytest

from creditdesk.console.displays import DISPLAYS
from creditdesk.console.inputs import CONTROLS
from creditdesk.console.list_query import filter_columns, filter_pair, operators_of
from creditdesk.entities.catalog import PUBLIC_ENTITIES
from creditdesk.entities.spaces.resource_type import ResourceType
from creditdesk.schema.entity import Entity
from creditdesk.schema.fields import FIELD_TYPES, SHOWN_FIELD_TYPES
from tests.console.forms import fields_of
from tests.support.api_client import ApiClient
from tests.support.record_builder import RecordBuilder

CREDIT_LIST = "/console/records/billing/coworkerbookingcredits"


def test_every_field_type_is_covered() -> None:
    assert set(DISPLAYS) == set(SHOWN_FIELD_TYPES)
    assert set(CONTROLS) == set(FIELD_TYPES)


@pytest.mark.parametrize("entity", PUBLIC_ENTITIES, ids=lambda entity: entity.__name__)
async def test_entity_has_list_record_and_forms(
    console: httpx.AsyncClient, builder: RecordBuilder, entity: type[Entity]
) -> None:
    record_id = await builder.create(entity)
    path = f"/console/records/{entity.area}/{entity.plural}"
    listed = await console.get(f"{path}?orderby=Id&dir=descending")
    assert listed.status_code == 200
    assert f"#{record_id}</a>" in listed.text
    shown = await console.get(f"{path}/{record_id}")
    assert (shown.status_code, f"<dd>{record_id}</dd>" in shown.text) == (200, True)
    created = await console.get(f"{path}/new")
    assert created.status_code == (200 if "create" in entity.verbs else 403)
    edited = await console.get(f"{path}/{record_id}/edit")
    assert edited.status_code == (200 if "update" in entity.verbs else 403)


@pytest.mark.parametrize("entity", PUBLIC_ENTITIES, ids=lambda entity: entity.__name__)
def test_every_filter_of_the_form_is_a_parameter_of_the_api(entity: type[Entity]) -> None:
    for column in filter_columns(entity):
        for operator in operators_of(column):
            name, _ = filter_pair(entity, column, operator, "1")
            assert name.lower() in entity.meta().filters


async def test_filter_form_becomes_the_address_of_the_list(console: httpx.AsyncClient) -> None:
    chosen = {"field": "RemainingCredit", "operator": "from", "value": "20", "orderby": "ExpireDate", "page": "4"}
    answer = await console.get(f"{CREDIT_LIST}/filter", params=chosen)
    expected = f"{CREDIT_LIST}?orderby=ExpireDate&from_CoworkerBookingCredit_RemainingCredit=20"
    assert answer.headers["location"] == expected


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        ("CaneBeUsedForBookings", '<option value="true">Yes</option>'),
        ("ExpireDate", 'type="date"'),
        ("TotalCredit", 'autocomplete="off"'),
    ],
)
async def test_value_of_a_filter_is_entered_as_it_suits_the_field(
    console: httpx.AsyncClient, field: str, expected: str
) -> None:
    assert expected in (await console.get(f"{CREDIT_LIST}/filter-value", params={"field": field})).text


async def test_list_filters_sorts_and_counts_as_the_api(console: httpx.AsyncClient, unverified_api: ApiClient) -> None:
    for total in ("5", "20", "30"):
        await unverified_api.create_credit(total)
    query: dict[str, str | int] = {
        "CoworkerBookingCredit_Coworker": unverified_api.ledger.customer,
        "from_CoworkerBookingCredit_TotalCredit": "20",
        "orderby": "TotalCredit",
        "dir": "descending",
        "columns": "TotalCredit",
    }
    page = (await console.get(CREDIT_LIST, params=query)).text
    assert re.findall(r'<td class="number">([^<]+)</td>', page) == ["30.00", "20.00"]
    assert "1–2 of 2" in page
    assert "<b>Total credit</b> is at least 20" in page
    assert "<b>Customer</b> is Ada" in page


async def test_bad_filter_is_explained_in_the_words_of_the_api(console: httpx.AsyncClient) -> None:
    answer = await console.get(f"{CREDIT_LIST}?CoworkerBookingCredit_TotalCredit=lots")
    assert answer.status_code == 400
    assert "<code>CoworkerBookingCredit_TotalCredit</code> must be a number" in answer.text


async def test_date_leads_to_its_page(console: httpx.AsyncClient, unverified_api: ApiClient) -> None:
    for day in range(1, 8):
        await unverified_api.create_credit("1", ExpireDate=f"2031-01-0{day}T12:00:00Z")
    mine = {"CoworkerBookingCredit_Coworker": str(unverified_api.ledger.customer), "orderby": "ExpireDate", "size": "3"}
    for direction, page in (("ascending", "2"), ("descending", "1")):
        query = mine | {"dir": direction, "column": "ExpireDate", "date": "2031-01-05"}
        answer = await console.get(f"{CREDIT_LIST}/jump", params=query)
        assert answer.headers["location"].endswith(f"&page={page}")
        assert "January" not in answer.headers["location"]
    last = await console.get(f"{CREDIT_LIST}/jump", params=mine | {"column": "ExpireDate", "date": "2031-01-07"})
    assert last.headers["location"].endswith("&page=3")


async def test_view_is_exported_with_exact_values_and_inert_formulas(
    console: httpx.AsyncClient, unverified_api: ApiClient
) -> None:
    await unverified_api.create_credit("1234.5", Description='=HYPERLINK("http://evil")')
    await unverified_api.create_credit("2", Description="＝1+1")
    query: dict[str, str | int] = {
        "CoworkerBookingCredit_Coworker": unverified_api.ledger.customer,
        "columns": "TotalCredit,Description,CaneBeUsedForBookings,ExpireDate",
        "orderBy": "Id",
    }
    answer = await console.get(f"{CREDIT_LIST}/export.csv", params=query)
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    rows = list(csv.reader(StringIO(answer.text.removeprefix("\ufeff"), newline="")))
    assert rows == [
        ["TotalCredit", "Description", "CaneBeUsedForBookings", "ExpireDate"],
        ["1234.5", '\'=HYPERLINK("http://evil")', "true", ""],
        ["2", "'＝1+1", "true", ""],
    ]


async def test_view_is_exported_as_a_workbook_of_real_values(
    console: httpx.AsyncClient, unverified_api: ApiClient
) -> None:
    await unverified_api.create_credit("1234.5", Description="=1+1", ExpireDate="2031-05-01T12:00:00Z")
    query: dict[str, str | int] = {
        "CoworkerBookingCredit_Coworker": unverified_api.ledger.customer,
        "columns": "TotalCredit,Description,CaneBeUsedForBookings,ExpireDate",
    }
    answer = await console.get(f"{CREDIT_LIST}/export.xlsx", params=query)
    assert answer.headers["content-disposition"] == 'attachment; filename="coworkerbookingcredits.xlsx"'
    [sheet] = openpyxl.load_workbook(BytesIO(answer.content)).worksheets
    assert sheet.freeze_panes == "A2"
    heading, *rows = sheet.iter_rows(values_only=True)
    assert heading == ("Total credit", "Description", "Can be used for bookings", "Expire date")
    assert rows == [(1234.5, "=1+1", True, datetime(2031, 5, 1, 12))]  # noqa: DTZ001 - a workbook has local times
    assert sheet.cell(2, 2).data_type == "s"
    assert (await console.get(f"{CREDIT_LIST}/export.doc")).status_code == 404


async def test_record_is_created_once_edited_and_deleted(console: httpx.AsyncClient, builder: RecordBuilder) -> None:
    business = str(await builder.shared_id("Business"))
    path = "/console/records/spaces/resourcetypes"
    form = fields_of((await console.get(f"{path}/new")).text) | {"Name": "Phone booth", "BusinessId": business}
    answers = [await console.post(f"{path}/new", data=form) for _ in range(2)]
    assert {answer.headers["location"] for answer in answers} == {answers[0].headers["location"]}
    record = answers[0].headers["location"]
    shown = await console.get(record)
    assert "Phone booth" in shown.text
    assert 'role="status"' in shown.text
    assert 'role="status"' not in (await console.get(record)).text
    edit = fields_of((await console.get(f"{record}/edit")).text) | {"Name": "Phone box"}
    assert (await console.post(f"{record}/edit", data=edit)).status_code == 303
    assert "Phone box" in (await console.get(record)).text
    assert (await console.post(f"{record}/delete")).headers["location"] == path
    assert (await console.get(record)).status_code == 404


async def test_field_errors_stand_at_their_fields_and_keep_what_was_entered(console: httpx.AsyncClient) -> None:
    form = fields_of((await console.get(f"{CREDIT_LIST}/new")).text) | {"Description": "Gift", "TotalCredit": "many"}
    answer = await console.post(f"{CREDIT_LIST}/new", data=form)
    assert answer.status_code == 400
    assert re.search(r'<p class="field-error" id="e-TotalCredit">must be a number</p>', answer.text)
    assert re.search(r'<p class="field-error" id="e-CoworkerId">is a required field</p>', answer.text)
    assert 'value="Gift"' in answer.text


async def test_change_by_somebody_else_is_shown_before_it_is_overwritten(
    console: httpx.AsyncClient, builder: RecordBuilder
) -> None:
    record_id = await builder.create(ResourceType)
    path = f"/console/records/spaces/resourcetypes/{record_id}/edit"
    form = fields_of((await console.get(path)).text) | {"Name": "Mine", "read": "2001-01-01T00:00:00Z"}
    answer = await console.post(path, data=form)
    assert answer.status_code == 409
    assert "Somebody has changed this record in the meantime" in answer.text
    assert (await console.post(path, data=form | {"again": "1"})).status_code == 303
