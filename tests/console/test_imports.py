"""The import desk: columns with suggestions, a dry run with every refused row, one import, and its undo."""

from __future__ import annotations

import re
from io import BytesIO

import httpx
import pytest
from starlette.types import ASGIApp

from creditdesk.console.column_mapping import file_columns, suggest_field
from creditdesk.entities.billing.coworker_booking_credit import CoworkerBookingCredit
from creditdesk.entities.spaces.coworker import Coworker
from creditdesk.import_routes import MAX_CALL_ROWS
from creditdesk.schema.repository import Store
from creditdesk.transfer.id_ranges import format_id_ranges, parse_id_ranges
from tests.console.conftest import browser
from tests.console.forms import fields_of
from tests.support.api_client import CREDITS, ApiClient
from tests.support.users import create_location, create_user_role, create_user_token

PATH = "/console/admin/imports"
CUSTOMERS = "/api/spaces/coworkers"


async def upload(console: httpx.AsyncClient, kind: str, name: str, content: bytes) -> httpx.Response:
    """The page after an upload: that of the columns, or the first one with a message."""
    return await console.post(PATH, data={"kind": kind}, files={"file": (name, content)}, follow_redirects=True)


async def step(console: httpx.AsyncClient, page: str, act: str) -> str:
    """Sends the page's form for an act, and returns the next page."""
    [path] = re.findall(rf'action="({PATH}/\d+/{act})"', page)
    fields = fields_of(page) if act == "check" else {}
    answer = await console.post(path, data=fields, follow_redirects=True)
    assert answer.status_code == 200, answer.text
    return answer.text


def figures(page: str) -> dict[str, int]:
    found = re.findall(r'<dt>(\w+)</dt><dd class="value">(\d+)</dd>', page)
    return {name: int(value) for name, value in found}


@pytest.mark.parametrize(
    ("heading", "field"),
    [
        ("FullName", "FullName"),
        ("Full name", "FullName"),
        ("E-Mail", "Email"),
        ("e-mail address", "Email"),
        ("Adress", "Address"),
        ("Shoe size", ""),
    ],
)
def test_fields_are_suggested_by_name_title_synonym_and_near_spelling(heading: str, field: str) -> None:
    assert suggest_field(Coworker, heading) == field


def test_no_field_is_suggested_twice() -> None:
    headings = ["Customer", "Member ID", "Amount", "Expiry"]
    columns = file_columns(CoworkerBookingCredit, headings, [["7", "8", "1.5", "2026-12-31"]])
    assert [column.field for column in columns] == ["CoworkerId", "", "TotalCredit", "ExpireDate"]
    assert columns[2].samples == ("1.5",)


def test_ids_are_kept_as_ranges() -> None:
    assert format_id_ranges([9, 5, 6, 7]) == "5-7,9"
    assert list(parse_id_ranges("5-7,9")) == [5, 6, 7, 9]
    assert (format_id_ranges([]), list(parse_id_ranges(""))) == ("", [])


async def test_customers_come_in_after_a_look_and_stay(console: httpx.AsyncClient, api: ApiClient) -> None:
    tag = f"imported{api.ledger.customer}"
    file = f"Name;E-mail;Shoe size;Location\nGrace {tag};grace.{tag}@example.com;38;{api.ledger.business}\n;x;40;\n"
    page = (await upload(console, "coworkers", "members.csv", file.encode())).text
    assert re.findall(r'value="(\w+)" selected', page)[:3] == ["FullName", "Email", "Businesses"]
    seen = await step(console, page, "check")
    assert figures(seen)["New"] == 2
    assert await api.list_records(CUSTOMERS, Coworker_FullName=tag) == []
    done = await step(console, seen, "run")
    [grace] = await api.list_records(CUSTOMERS, Coworker_FullName=tag)
    assert grace["Email"] == f"grace.{tag}@example.com"
    assert figures(done)["New"] == figures(seen)["New"]
    assert "members.csv" in (await console.get(PATH)).text
    assert '/undo"' not in done
    assert "so this import cannot be taken back" in done


async def test_credits_are_imported_with_a_journal_and_taken_back_unless_spent(
    console: httpx.AsyncClient, api: ApiClient
) -> None:
    row = f"{api.ledger.customer},{api.ledger.business}"
    file = f"Customer,Location,Amount,Description\n{row},20,Kept\n{row},30,Gone\n{row},many,Bad\n"
    page = (await upload(console, "coworkerbookingcredits", "credits.csv", file.encode())).text
    seen = await step(console, page, "check")
    assert (figures(seen)["New"], figures(seen)["Refused"]) == (2, 1)
    assert "row 3" in seen
    done = await step(console, seen, "run")
    listed = {
        each["Description"]: each
        for each in await api.list_records(CREDITS, CoworkerBookingCredit_Coworker=api.ledger.customer)
    }
    assert [listed[name]["RemainingCredit"] for name in ("Kept", "Gone")] == [20, 30]
    assert (await api.post_use(listed["Kept"]["Id"], 5)).status_code == 200
    again = (await upload(console, "coworkerbookingcredits", "credits.csv", file.encode())).text
    assert figures(await step(console, again, "check"))["New"] == 0
    taken = await step(console, done, "undo")
    assert (figures(taken)["Deleted"], figures(taken)["Stay"]) == (1, 1)
    left = await api.list_records(CREDITS, CoworkerBookingCredit_Coworker=api.ledger.customer)
    assert [each["Description"] for each in left] == ["Kept"]


async def test_a_workbook_is_read(console: httpx.AsyncClient) -> None:
    from openpyxl import Workbook

    book = Workbook()
    assert book.active is not None
    book.active.append(["Full name", "Email"])
    book.active.append(["Grace", "grace.book@example.com"])
    content = BytesIO()
    book.save(content)
    page = (await upload(console, "coworkers", "members.xlsx", content.getvalue())).text
    assert figures(await step(console, page, "check"))["New"] == 1


@pytest.mark.parametrize(
    ("name", "content"),
    [("a.pdf", b"x"), ("a.xlsx", b"x"), ("a.csv", b""), ("a.csv", b"\xff\xfe\xff"), ("a.json", b"{")],
    ids=["kind", "workbook", "empty", "encoding", "json"],
)
async def test_what_is_no_table_is_refused(console: httpx.AsyncClient, name: str, content: bytes) -> None:
    assert (await upload(console, "coworkers", name, content)).status_code == 422


async def test_one_call_takes_a_limited_number_of_rows(client: httpx.AsyncClient) -> None:
    text = "FullName\n" + "x\n" * (MAX_CALL_ROWS + 1)
    answer = await client.post("/api/admin/imports", json={"Records": "coworkers", "Csv": text})
    assert (answer.status_code, "at most 2000 rows" in answer.text) == (400, True)


async def test_only_a_full_administrator_imports(app: ASGIApp, store: Store) -> None:
    north = await create_location(store)
    role = await create_user_role(store, north, ("Coworker-Create", "Audit-Read", "Ledger-Correct"))
    token = await create_user_token(
        store, f"import{north}@example.com", is_admin=False, business_ids=[north], user_role_id=role
    )
    async with browser(app, token) as limited:
        assert (await limited.get(PATH)).status_code == 403
        assert (await upload(limited, "coworkers", "a.csv", b"FullName\nEvil\n")).status_code == 403
        assert (await limited.post(f"{PATH}/1/undo")).status_code == 403
