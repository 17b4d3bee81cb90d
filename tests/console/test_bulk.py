"""Bulk changes: rows from a list or a file, every row before and after, one write, and its undo."""

from __future__ import annotations

import re

import httpx
import pytest
from starlette.types import ASGIApp

from creditdesk.entities.spaces.coworker import Coworker
from creditdesk.schema.repository import Store
from tests.console.conftest import browser
from tests.console.forms import fields_of
from tests.support.api_client import CREDITS, ApiClient
from tests.support.users import create_location, create_user_role, create_user_token

BULK = "/console/bulk"


async def send(
    console: httpx.AsyncClient, act: str, fields: dict[str, str], button: str, file: str | None = None
) -> httpx.Response:
    """Sends a form of the page as a browser does, with the file that was chosen, if any."""
    parts = {name: (None, value) for name, value in {**fields, button: "1"}.items()}
    files = {"file": ("rows.csv", file or "", "text/csv") if file is not None else ("", b"")}
    return await console.post(f"{BULK}/{act}", files={**parts, **files})


def cells(page: str) -> list[list[str]]:
    """The text of each row's cells."""
    rows = re.findall(r"<tr><td.*?</tr>", page, re.DOTALL)
    return [
        [re.sub(r"<[^>]*>", "", cell).strip() for cell in re.findall(r"<td.*?</td>", row, re.DOTALL)] for row in rows
    ]


def form_of(page: str, number: int = -1) -> dict[str, str]:
    """The fields of one of the page's forms that write bulk changes."""
    forms = re.findall(r'<form method="post" action="/console/bulk.*?</form>', page, re.DOTALL)
    return fields_of(forms[number])


async def test_ticked_credits_are_voided_after_a_look_and_given_back(
    console: httpx.AsyncClient, api: ApiClient
) -> None:
    first, second = await api.create_credit(20, Description="Flex"), await api.create_credit(10)
    form = form_of((await console.get(f"{BULK}/void?kind=money&id={first}&id={second}&id=999999")).text)
    assert form["rows"].split() == ["Id", str(first), str(second), "999999"]
    unexplained = await send(console, "void", form, "preview")
    assert unexplained.status_code == 422
    assert "Say why" in unexplained.text
    seen = (await send(console, "void", form | {"reason": "Left us"}, "preview")).text
    assert [row[2:] for row in cells(seen)] == [
        ["20.00", "0.00", "can be written"],
        ["10.00", "0.00", "can be written"],
        ["–", "–", "Credit is not found"],
    ]
    assert "GBP −30.00" in seen
    assert await api.remaining(first) == 20
    for _ in range(2):
        done = (await send(console, "void", form_of(seen), "apply")).text
    assert "2 rows were changed" in done
    assert [await api.remaining(credit) for credit in (first, second)] == [0, 0]
    back = (await send(console, "adjust", form_of(done), "preview")).text
    assert (await send(console, "adjust", form_of(back), "apply")).status_code == 200
    assert [await api.remaining(credit) for credit in (first, second)] == [20, 10]
    assert (await api.list_journal_lines(first))[-1]["Reason"] == "Undo: Left us"


async def test_a_file_grants_credit_by_number_and_by_email(console: httpx.AsyncClient, api: ApiClient) -> None:
    ledger = api.ledger
    email = f"grace{ledger.customer}@example.com"
    grace = await ledger.add(Coworker, FullName="Grace", Email=email, Businesses=(ledger.business,))
    form = form_of((await console.get(f"{BULK}/grant?kind=money")).text)
    form |= {
        "reason": "Goodwill",
        "amount": "5",
        "Description": "Sorry for the noise",
        "location": str(ledger.business),
    }
    file = (
        f"Email;CoworkerId;Amount\n{email};;\n;{ledger.customer};7.5\nnobody@example.com;;1\n;{ledger.customer};1;50\n"
    )
    seen = (await send(console, "grant", form, "preview", file)).text
    assert [row[1:] for row in cells(seen)] == [
        ["Sorry for the noiseGrace", "–", "5.00", "can be written"],
        ["Sorry for the noiseAda", "–", "7.50", "can be written"],
        ["Sorry for the noise", "–", "–", "No customer, or more than one, has this e-mail."],
        ["Sorry for the noiseAda", "–", "–", "This row has more cells than the first line names."],
    ]
    done = (await send(console, "grant", form_of(seen), "apply")).text
    assert [row[-1] for row in cells(done)][:2] == ["written", "written"]
    [credit] = await api.list_records(CREDITS, CoworkerBookingCredit_Coworker=grace)
    assert (credit["TotalCredit"], credit["Description"]) == (5, "Sorry for the noise")
    undo = (await send(console, "void", form_of(done), "preview")).text
    await send(console, "void", form_of(undo), "apply")
    assert await api.remaining(credit["Id"]) == 0


async def test_ends_move_on_the_clock_of_the_location_and_back(console: httpx.AsyncClient, api: ApiClient) -> None:
    end = api.timestamp(days=5)
    credit = await api.create_credit(10, ExpireDate=end)
    form = form_of((await console.get(f"{BULK}/extend?kind=money&id={credit}")).text)
    seen = (
        await send(console, "extend", form | {"reason": "Closed", "ExpireDate": "2031-01-31T23:59"}, "preview")
    ).text
    done = (await send(console, "extend", form_of(seen), "apply")).text
    assert (await api.get(f"{CREDITS}/{credit}"))["ExpireDate"] == "2031-01-31T23:59:00Z"
    undo = (await send(console, "extend", form_of(done), "preview")).text
    await send(console, "extend", form_of(undo), "apply")
    assert (await api.get(f"{CREDITS}/{credit}"))["ExpireDate"] == end


@pytest.mark.parametrize(
    ("rows", "message"),
    [("Id\n", "no rows"), ("", "no rows"), ("Id\n" + "1\n" * 1001, "at most 1,000 rows")],
    ids=["heading", "empty", "many"],
)
async def test_what_is_no_list_is_reported_beside_the_field(
    console: httpx.AsyncClient, rows: str, message: str
) -> None:
    answer = await send(console, "void", {"kind": "money", "rows": rows, "reason": "x"}, "preview")
    assert (answer.status_code, message in answer.text) == (422, True)
    binary = await console.post(f"{BULK}/void", files={"file": ("a.csv", b"\xff\xfe\x00", "text/csv")})
    assert binary.status_code == 422


async def test_broken_and_large_uploads_are_refused(console: httpx.AsyncClient) -> None:
    broken = await console.post(f"{BULK}/void", content=b"x", headers={"content-type": "multipart/form-data"})
    assert broken.status_code == 400
    large = await console.post(f"{BULK}/void", files={"file": ("a.csv", b"x" * 1_100_000, "text/csv")})
    assert large.status_code == 413


async def test_a_list_offers_what_its_records_can_be_chosen_for(console: httpx.AsyncClient, api: ApiClient) -> None:
    credit = await api.create_credit(10)
    page = (await console.get("/console/records/billing/coworkerbookingcredits?orderby=Id&dir=descending")).text
    assert f'form="bulk" name="id" value="{credit}"' in page
    assert all(f'formaction="/console/bulk/{act}"' in page for act in ("adjust", "extend", "void"))
    customers = (await console.get("/console/records/spaces/coworkers")).text
    assert 'formaction="/console/bulk/grant"' in customers
    query = f"kind=money&matching=1&CoworkerBookingCredit_Coworker={api.ledger.customer}"
    assert form_of((await console.get(f"{BULK}/void?{query}")).text)["rows"].split() == ["Id", str(credit)]


async def test_without_the_role_there_is_no_bulk_page(app: ASGIApp, store: Store) -> None:
    north = await create_location(store)
    role = await create_user_role(store, north, ("Ledger-Read", "CoworkerBookingCredit-List"))
    token = await create_user_token(
        store, f"read{north}@example.com", is_admin=False, business_ids=[north], user_role_id=role
    )
    async with browser(app, token) as reader:
        for path in (BULK, f"{BULK}/void", f"{BULK}/grant"):
            assert (await reader.get(path)).status_code == 403
        assert (await send(reader, "void", {"rows": "Id\n1\n", "reason": "x"}, "apply")).status_code == 403
        listed = (await reader.get("/console/records/billing/coworkerbookingcredits")).text
        assert "/console/bulk" not in listed
