"""Bulk changes: rows from a list, a file or the keyboard; a dry run, one confirmation, and a result for each row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from http import HTTPStatus
from typing import Any, Final

from starlette.responses import Response

from creditdesk.console.api_client import ApiError, RecordPage
from creditdesk.console.bulk_rows import (
    ACTS,
    MAX_TYPED_ROWS,
    BulkAct,
    BulkRow,
    find_by_email,
    parse_rows,
    rows_text,
    send_rows,
    undo_rows,
)
from creditdesk.console.inputs import CONTROLS
from creditdesk.console.journal_table import CREDIT_ENTITIES, credit_name
from creditdesk.console.line_facts import FUNDING_TEXTS
from creditdesk.console.links import list_path, record_path
from creditdesk.console.list_query import ListAddress
from creditdesk.console.numbers import record_number
from creditdesk.console.page import ConsolePage, Screen
from creditdesk.console.screens.commands import REASON_NEEDED
from creditdesk.console.screens.customers import allowed
from creditdesk.console.screens.grants import USE_FLAGS
from creditdesk.console.screens.record_lists import with_location
from creditdesk.console.translations import mark
from creditdesk.console.uploads import UploadForm, read_upload
from creditdesk.entities.billing.extra_service import ExtraService
from creditdesk.entities.roles import CORRECT_ROLE
from creditdesk.entities.spaces.coworker import Coworker
from creditdesk.schema.errors import NotFound, PermissionDenied
from creditdesk.schema.fields import DateTime

BULK_PATH: Final = "/console/bulk"
_MAX_BYTES: Final = 1_000_000
_MAX_RATES: Final = 200
_TOTALS: Final = {"money": "TotalCredit", "time": "TotalUses"}
_NO_CUSTOMER: Final = mark("No customer, or more than one, has this e-mail.")
_TOO_LONG: Final = mark("This row has more cells than the first line names.")
_NOT_TEXT: Final = mark("The file is not a text file in UTF-8.")


async def _index(page: ConsolePage) -> Response:
    _require_role(page)
    lists = {kind: list_path(entity) for kind, entity in CREDIT_ENTITIES.items()}
    return page.render("bulk_index.html", acts=ACTS.values(), lists=lists, customers=list_path(Coworker))


async def _show(page: ConsolePage) -> Response:
    """The form, with the records that were chosen in a list."""
    act = _act(page)
    kind = _kind(page.request.query_params.get("kind"))
    ids = [value for name, value in page.query if name == "id" and record_number(value) is not None]
    if "matching" in page.request.query_params:
        ids = await _matching_ids(page, act, kind)
    rows = rows_text(act.columns, [{act.columns[0]: each} for each in ids[:MAX_TYPED_ROWS]])
    fields = {"kind": kind, "rows": rows, "CaneBeUsedForBookings": "true", "funding": "goodwill"}
    return await _form(page, act, fields)


async def _matching_ids(page: ConsolePage, act: BulkAct, kind: str) -> list[str]:
    """The first MAX_TYPED_ROWS records that match the filters of a list."""
    entity = Coworker if act.name == "grant" else CREDIT_ENTITIES[kind]
    own = {"matching", "kind", "id", "page", "size", "columns"}
    address = ListAddress(entity, tuple(pair for pair in page.query if pair[0].lower() not in own))
    listed = await page.client.find(entity.path(), [*with_location(page, address), ("size", str(MAX_TYPED_ROWS))])
    return [str(record["Id"]) for record in listed.records]


async def _submit(page: ConsolePage) -> Response:
    """Shows the dry run, or writes what it showed."""
    act = _act(page)
    async with read_upload(page.request, _MAX_BYTES, _MAX_BYTES) as upload:
        fields = upload.fields
        fields["kind"] = kind = _kind(fields.get("kind"))
        is_write = "apply" in fields
        if "edit" in fields:
            return await _form(page, act, fields)
        try:
            rows = await _rows(page, act, kind, fields, upload)
            _require_reason(page, fields)
            shared = _shared(act, fields) | {"DryRun": not is_write}
            await send_rows(page.client, act, rows, shared, fields.get("key") if is_write else None)
        except ApiError as error:
            if error.status >= HTTPStatus.INTERNAL_SERVER_ERROR or error.status == HTTPStatus.UNAUTHORIZED:
                raise
            return await _form(page, act, fields, error)
    return await _results(page, act, fields, rows, is_write=is_write)


def _require_reason(page: ConsolePage, fields: Mapping[str, str]) -> None:
    if not fields.get("reason", "").strip():
        raise ApiError(HTTPStatus.UNPROCESSABLE_ENTITY, "", {"reason": page.translate(REASON_NEEDED)})


async def _results(
    page: ConsolePage, act: BulkAct, fields: Mapping[str, str], rows: Sequence[BulkRow], *, is_write: bool
) -> Response:
    kind = fields["kind"]
    await _name_rows(page, act, kind, rows)
    accepted = [row for row in rows if not row.errors]
    return page.render(
        "bulk_result.html" if is_write else "bulk_preview.html",
        act=act, kind=kind, rows=rows, accepted=accepted, fields=fields, sums=_sums(accepted), path=f"{BULK_PATH}/{act.name}",
        undo=ACTS[act.undo], undo_rows=undo_rows(act, rows) if is_write else "",
        undo_reason=page.translate(mark("Undo: %(reason)s"), reason=fields["reason"]) if is_write else "",
    )  # fmt: skip


async def _rows(
    page: ConsolePage, act: BulkAct, kind: str, fields: dict[str, str], upload: UploadForm
) -> list[BulkRow]:
    """The rows for the API, with times in the time zone of each location. Raises ApiError."""
    try:
        if upload.file is not None:
            fields["rows"] = (await upload.file.read()).decode()
        listed = parse_rows(fields.get("rows", ""))
    except UnicodeDecodeError:
        raise ApiError(HTTPStatus.UNPROCESSABLE_ENTITY, "", {"rows": page.translate(_NOT_TEXT)}) from None
    except ValueError as error:
        raise ApiError(HTTPStatus.UNPROCESSABLE_ENTITY, "", {"rows": page.translate(str(error))}) from None
    rows = await _complete_rows(page, act, kind, fields, [each.values for each in listed])
    for row, typed in zip(rows, listed, strict=True):
        if typed.is_too_long:
            row.errors.append(page.translate(_TOO_LONG))
    return rows


async def _complete_rows(
    page: ConsolePage, act: BulkAct, kind: str, fields: Mapping[str, str], listed: Sequence[Mapping[str, str]]
) -> list[BulkRow]:
    """The rows completed by the form's values."""
    if act.name == "grant":
        emails = await find_by_email(page.client, [row["email"] for row in listed if row.get("email")])
        return [_grant_row(page, kind, fields, n, row, emails) for n, row in enumerate(listed, 1)]
    credits_ = await _records(page, kind, {row.get("id", "") for row in listed})
    rows = []
    for number, row in enumerate(listed, 1):
        body: dict[str, Any] = {"Kind": row.get("kind") or kind, "Id": row.get("id", "").lstrip("#")}
        location = credits_.get(body["Id"], {}).get("BusinessId")
        if act.name == "adjust":
            body["Amount"] = row.get("amount") or fields.get("amount") or None
        elif act.name == "extend":
            body["ExpireDate"] = _instant(page, location, row.get("expiredate") or fields.get("ExpireDate", ""))
        rows.append(BulkRow(number, body))
    return rows


def _grant_row(
    page: ConsolePage, kind: str, fields: Mapping[str, str], number: int, row: Mapping[str, str], emails: Mapping[str, int]
) -> BulkRow:  # fmt: skip
    """A row completed with the form's values; any other column is a field of the credit."""
    known = {"coworkerid", "id", "email", "amount", "validfrom", "expiredate", "description", "businessid"}
    location = row.get("businessid") or fields.get("location", "")
    customer = (row.get("coworkerid") or row.get("id") or "").lstrip("#")
    errors = []
    if not customer and row.get("email"):
        customer = str(emails.get(row["email"].lower(), ""))
        errors = [] if customer else [page.translate(_NO_CUSTOMER)]
    place = record_number(location)
    text = row.get("description") or fields.get("Description") or None
    body: dict[str, Any] = {name: value for name, value in row.items() if name not in known and value}
    body |= {
        "CoworkerId": customer or None,
        "BusinessId": location or None,
        _TOTALS[kind]: row.get("amount") or fields.get("amount") or None,
        "ValidFrom": _instant(page, place, row.get("validfrom") or fields.get("ValidFrom", "")),
        "ExpireDate": _instant(page, place, row.get("expiredate") or fields.get("ExpireDate", "")),
    }
    if kind == "money":
        flags = {flag: fields.get(flag) == "true" for flag in USE_FLAGS if flag.lower() not in body}
        body |= {"Description": text, **flags}
    else:
        body |= {"Notes": text} | ({} if "extraserviceid" in body else {"ExtraServiceId": fields.get("rate") or None})
    return BulkRow(number, body, errors)


def _instant(page: ConsolePage, location_id: int | None, text: str) -> Any:
    return CONTROLS[DateTime].to_api(page.format_at(location_id), text)


async def _records(page: ConsolePage, kind: str, ids: set[str]) -> dict[str, dict[str, Any]]:
    """The credits with these ids that the user may see, by id."""
    return await _read_all(page, CREDIT_ENTITIES[kind].path(), {each.lstrip("#") for each in ids})


async def _read_all(page: ConsolePage, path: str, ids: set[str]) -> dict[str, dict[str, Any]]:
    chosen = sorted({number for each in ids if (number := record_number(each)) is not None})
    if not chosen:
        return {}
    listed = await allowed(page.client.get(path, {"id": f"[{','.join(map(str, chosen))}]"}), [])
    return {str(record["Id"]): record for record in listed}


async def _name_rows(page: ConsolePage, act: BulkAct, kind: str, rows: Sequence[BulkRow]) -> None:
    """Gives each row the name of its credit and customer, and its currency."""
    credits_: dict[str, dict[str, Any]] = {}
    if act.name != "grant":
        credits_ = await _records(page, kind, {str(row.body["Id"]) for row in rows})
    owner_ids = {str(record["CoworkerId"]) for record in credits_.values()}
    owner_ids |= {str(row.body["CoworkerId"]) for row in rows if row.body.get("CoworkerId")}
    owners = await _read_all(page, Coworker.path(), owner_ids)
    for row in rows:
        record = credits_.get(str(row.body.get("Id")), row.body)
        owner = owners.get(str(record.get("CoworkerId")), {})
        place = page.locations.get(record_number(record.get("BusinessId")) or 0)
        row.currency = (
            (record.get("BusinessCurrencyCode") or (place.currency if place else "")) if kind == "money" else ""
        )
        row.note = str(owner.get("FullName") or "")
        if row.credit_id is not None:
            row.path = record_path(CREDIT_ENTITIES[kind], row.credit_id)
        if act.name == "grant":
            row.name = str(row.body.get("Description") or row.body.get("Notes") or page.translate(mark("New credit")))
        else:
            row.name = credit_name(row.body["Id"], record if record is not row.body else None)


def _sums(rows: Sequence[BulkRow]) -> dict[str, Decimal]:
    """The sum by which the rows change what remains, by currency; leaves out sums of 0."""
    sums: dict[str, Decimal] = {}
    for row in rows:
        sums[row.currency] = sums.get(row.currency, Decimal(0)) + row.moved
    return {currency: total for currency, total in sorted(sums.items()) if total}


def _shared(act: BulkAct, fields: Mapping[str, str]) -> dict[str, Any]:
    """The values that all rows of a request share."""
    shared: dict[str, Any] = {"Reason": fields.get("reason")}
    if act.name == "grant":
        shared |= {
            "Kind": fields["kind"],
            "Funding": fields.get("funding") or None,
            "PricePaid": fields.get("price") or None,
        }
    return shared


def _act(page: ConsolePage) -> BulkAct:
    _require_role(page)
    act = ACTS.get(page.request.path_params["act"])
    if act is None:
        raise NotFound
    return act


def _require_role(page: ConsolePage) -> None:
    if not page.has_role(CORRECT_ROLE):
        raise PermissionDenied(f"The role {CORRECT_ROLE} is needed")


def _kind(text: str | None) -> str:
    return text if text in CREDIT_ENTITIES else "money"


async def _form(page: ConsolePage, act: BulkAct, fields: Mapping[str, str], error: ApiError | None = None) -> Response:
    rates = RecordPage([], 0)
    if act.name == "grant" and fields["kind"] == "time":
        rates = await allowed(page.client.find(ExtraService.path(), {"size": _MAX_RATES, "orderby": "Name"}), rates)
    return page.render(
        "bulk.html", error.status if error else HTTPStatus.OK,
        act=act, kind=fields["kind"], fields=fields, error=error, path=f"{BULK_PATH}/{act.name}", rates=rates.records,
        flags=USE_FLAGS, funding_texts=FUNDING_TEXTS, count=max(0, len(fields.get("rows", "").splitlines()) - 1),
    )  # fmt: skip


BULK_SCREENS: Final = (
    Screen(BULK_PATH, _index),
    Screen(f"{BULK_PATH}/{{act}}", _show),
    Screen(f"{BULK_PATH}/{{act}}", _submit, ("POST",)),
)
