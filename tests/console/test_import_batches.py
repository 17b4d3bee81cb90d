"""Files that are imported in parts: progress, a killed process, two processes, rows in conflict, and the undo."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import httpx
import jsonschema_rs
import pytest

from creditdesk import import_routes
from creditdesk.app import build_context
from creditdesk.import_documents import BATCH_SCHEMA, SUMMARIES_SCHEMA
from creditdesk.import_routes import run_imports
from creditdesk.schema.repository import Store
from creditdesk.settings import Settings
from creditdesk.transfer import import_batches, part_writer
from creditdesk.transfer.importer import Importer
from creditdesk.transfer.part_writer import ImportMessages
from tests.support.api_client import CREDITS, ApiClient
from tests.support.users import SIGN_IN_TIME, create_location

PATH = "/api/admin/imports"
CUSTOMERS = "/api/spaces/coworkers"
RESOURCES = "/api/spaces/resources"
PAGE = "/console/admin/imports"

Job = Callable[[], Awaitable[str]]


@pytest.fixture
def take_imports(store: Store) -> Job:
    """One run of the job."""
    context = build_context(store, Settings())
    return lambda: run_imports(context, 60)


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Requests take one part of ten rows, and leave the others to the job."""
    monkeypatch.setattr(import_routes, "INLINE_SECONDS", 0.0)
    monkeypatch.setattr(import_batches, "PART_ROWS", 10)
    monkeypatch.setattr(import_batches, "_SIZES", (10, 3, 1, 0))


async def call(client: httpx.AsyncClient, path: str, **body: Any) -> dict[str, Any]:
    answer = await client.post(f"{PATH}/{path}", json=body)
    assert answer.status_code == 200, answer.text
    return dict(answer.json()["Value"])


async def upload(client: httpx.AsyncClient, kind: str, text: str) -> dict[str, Any]:
    query = {"Records": kind, "FileName": "rows.csv"}
    answer = await client.post(f"{PATH}/files", params=query, content=text.encode())
    assert answer.status_code == 200, answer.text
    return dict(answer.json()["Value"])


def customers(api: ApiClient, tag: str, count: int) -> str:
    return "Name,Location\n" + "".join(f"{tag} {number},{api.ledger.business}\n" for number in range(count))


@pytest.mark.usefixtures("hurried")
async def test_a_long_file_goes_on_after_the_request_and_shows_how_far_it_is(
    console: httpx.AsyncClient, client: httpx.AsyncClient, api: ApiClient, take_imports: Job
) -> None:
    row = f"{api.ledger.customer},{api.ledger.business},20\n"
    batch = (await upload(client, "coworkerbookingcredits", "Customer,Location,Amount\n" + 35 * row))["Id"]

    async def credits_of_customer() -> list[dict[str, Any]]:
        return await api.list_records(CREDITS, CoworkerBookingCredit_Coworker=api.ledger.customer, size=100)

    seen = await call(client, f"batches/{batch}/check", Fields="CoworkerId,BusinessId,TotalCredit")
    assert (seen["State"], seen["Taken"], seen["Rows"]) == ("checking", 10, 35)
    refused = (await client.post(f"{PATH}/batches/{batch}/run")).json()
    assert refused["WasSuccessful"] is False
    page = (await console.get(f"{PAGE}/{batch}")).text
    assert re.search(r'<progress class="wide" max="35" value="10"', page)
    assert 'hx-trigger="every 2s"' in page
    await take_imports()
    seen = (await client.get(f"{PATH}/batches/{batch}")).json()
    assert (seen["State"], seen["Added"], seen["AddedIds"]) == ("checked", 35, "")
    assert await credits_of_customer() == []
    assert (await call(client, f"batches/{batch}/run"))["State"] == "importing"
    await take_imports()
    fragment = (await console.get(f"{PAGE}/{batch}", headers={"hx-request": "true"})).text
    assert "<html" not in fragment
    assert "hx-trigger" not in fragment
    assert len(await credits_of_customer()) == 35
    assert (await call(client, f"batches/{batch}/undo"))["State"] == "undoing"
    await take_imports()
    undone = (await client.get(f"{PATH}/batches/{batch}")).json()
    latest = await client.get(f"{PATH}/batches")
    assert (undone["State"], undone["Deleted"], undone["Messages"]) == ("undone", 35, [])
    assert latest.json()[0]["Id"] == batch
    for document, schema in ((latest.json(), SUMMARIES_SCHEMA), (undone, BATCH_SCHEMA), (seen, BATCH_SCHEMA)):
        jsonschema_rs.validate(schema, document)
    assert await credits_of_customer() == []


@pytest.mark.usefixtures("hurried")
async def test_a_killed_process_and_two_at_once_take_no_row_twice(
    client: httpx.AsyncClient, api: ApiClient, take_imports: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    tag = f"killed{api.ledger.customer}"
    batch = (await upload(client, "coworkers", customers(api, tag, 45)))["Id"]
    await call(client, f"batches/{batch}/check", Fields="FullName,Businesses")
    await take_imports()
    await call(client, f"batches/{batch}/run")
    save = import_batches._save

    async def dies(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(import_batches, "_save", dies)
    with pytest.raises(KeyboardInterrupt):
        await take_imports()
    monkeypatch.setattr(import_batches, "_save", save)
    half = (await client.get(f"{PATH}/batches/{batch}")).json()
    assert (half["State"], half["Taken"], half["Added"]) == ("importing", 10, 10)
    assert len(await api.list_records(CUSTOMERS, Coworker_FullName=tag, size=100)) == 10
    await asyncio.gather(take_imports(), take_imports())
    done = (await client.get(f"{PATH}/batches/{batch}")).json()
    assert (done["State"], done["Added"], done["Unchanged"]) == ("imported", 45, 0)
    names = [each["FullName"] for each in await api.list_records(CUSTOMERS, Coworker_FullName=tag, size=100)]
    assert sorted(names) == sorted(f"{tag} {number}" for number in range(45))


@pytest.mark.usefixtures("hurried")
async def test_a_row_in_conflict_and_one_of_another_length_are_refused_alone(
    client: httpx.AsyncClient, store: Store, take_imports: Job
) -> None:
    first, second = await create_location(store), await create_location(store)
    text = f"Business,Zone\n{first},UTC\n{first},UTC\n{second}\n{second},UTC,more\n{second},UTC\n"
    batch = (await upload(client, "locationprofiles", text))["Id"]
    for act, body in (("check", {"Fields": "BusinessId,TimeZone"}), ("run", {})):
        await call(client, f"batches/{batch}/{act}", **body)
        await take_imports()
    done = (await client.get(f"{PATH}/batches/{batch}")).json()
    assert (done["State"], done["Added"], done["Refused"]) == ("imported", 2, 3)
    assert [message.partition(":")[0] for message in done["Messages"]] == ["row 2", "row 3", "row 4"]


@pytest.mark.parametrize(
    ("text", "refused_rows"),
    [("FullName,Email\nAda,a@x.example,1\n", 1), ("FullName,Email\nAda,a@x.example\n\n\nEve\nBob,b,c\n", 2)],
)
async def test_rows_of_another_length_are_named_alike_here_and_by_the_command(
    client: httpx.AsyncClient, store: Store, tmp_path: Path, text: str, refused_rows: int
) -> None:
    path = tmp_path / "coworkers.csv"
    path.write_text(text, "utf-8")
    command = ImportMessages(path.name)
    state = await Importer(store, command, SIGN_IN_TIME, dry_run=True).run(path)
    answer = await client.post(PATH, json={"Records": "coworkers", "Csv": text, "DryRun": True})
    seen = answer.json()["Value"]
    refused = [message for message in command.shown if message.startswith("row ")]
    assert [each for each in seen["Messages"] if each.startswith("row ")] == refused
    assert (seen["Refused"], len(refused)) == (state.report.refused, refused_rows)


@pytest.mark.usefixtures("hurried")
async def test_rows_refer_to_each_other_across_the_parts_of_a_file(
    client: httpx.AsyncClient, api: ApiClient, take_imports: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = Mock(side_effect=part_writer.row_ids)
    monkeypatch.setattr(import_batches, "row_ids", read)
    place, kind, count = api.ledger.business, api.ledger.resource_type, 25
    first = 1 + max(each["Id"] for each in await api.list_records(RESOURCES))
    last, missing = first + count - 1, 987_654
    linked = {first: f"[{last},{first + 1}]", last: f"[{first}]", first + 12: f"[{last},{missing}]"}
    rows = "".join(f'{i},Room {i},{place},{kind},"{linked.get(i, "")}"\n' for i in range(first, last + 1))
    batch = (await upload(client, "resources", f"Id,Name,Location,Type,Linked\n{rows}"))["Id"]
    fields = "Id,Name,BusinessId,ResourceTypeId,LinkedResources"
    for act, body in (("check", {"Fields": fields}), ("run", {})):
        await call(client, f"batches/{batch}/{act}", **body)
        await take_imports()
        done = (await client.get(f"{PATH}/batches/{batch}")).json()
        assert (done["Added"], done["Refused"]) == (count, 0)
        assert done["Messages"] == [
            f"Resource.LinkedResources refers to the missing Resource {missing}; the reference is cleared"
        ], act
    assert done["State"] == "imported"
    # Each of the two requests and of the two runs of the job reads the three parts once.
    assert read.call_count == 4 * 3
    for number, members in ((first, [first + 1, last]), (last, [first]), (first + 12, [last])):
        assert (await api.get(f"{RESOURCES}/{number}"))["LinkedResources"] == members


async def test_what_columns_are_is_checked(client: httpx.AsyncClient) -> None:
    batch = (await upload(client, "coworkers", "A,B\n1,2\n"))["Id"]
    refused = (await client.post(f"{PATH}/batches/{batch}/run")).json()
    assert refused["WasSuccessful"] is False
    for fields in ("FullName", "FullName,fullname", ","):
        answer = await client.post(f"{PATH}/batches/{batch}/check", json={"Fields": fields})
        assert (answer.status_code, answer.json()["Errors"][0]["PropertyName"]) == (400, "Fields"), fields
    await call(client, f"batches/{batch}/check", Fields="FullName,")
    assert (await call(client, f"batches/{batch}/run"))["State"] == "imported"
    kept = (await client.post(f"{PATH}/batches/{batch}/undo")).json()
    assert (kept["WasSuccessful"], kept["Message"]) == (False, "Coworker cannot be deleted")
    assert (await client.get(f"{PATH}/batches/999999")).status_code == 404
    assert (await client.post(f"{PATH}/batches/999999/undo")).status_code == 404
