"""Bulk grants, extensions, voids and adjustments of credits, with a result for each row.

A dry run returns the same results and writes nothing. An error concerns only its row; the rows without
errors are written in one transaction.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Final

from creditdesk.api.context import Route
from creditdesk.api.ledger.endpoints import LedgerWrite, WriteRequest
from creditdesk.api.ledger.params import (
    CREDIT_ID,
    CREDIT_TYPE,
    DRY_RUN,
    REQUIRED_AMOUNT,
    REQUIRED_REASON,
    check_amount,
    credit_amount,
    credit_mapping,
)
from creditdesk.api.openapi_operations import write_operation
from creditdesk.api.write_handlers import find_missing_references
from creditdesk.auth.permission import require_role
from creditdesk.entities.roles import CORRECT_ROLE
from creditdesk.ledger.actions import document_amount
from creditdesk.ledger.journal.mapping import MAPPINGS, AccountKey, CreditTypeMapping, is_booking_charge
from creditdesk.ledger.journal.transaction import LedgerContext
from creditdesk.ledger.operations.bulk_changes import (
    ChangeResult,
    CreditChange,
    CreditFigures,
    adjust_many,
    extend_many,
    grant_many,
    void_many,
)
from creditdesk.ledger.operations.corrections import NewCredit
from creditdesk.ledger.rules.funding import UNKNOWN_FUNDING, Funding, FundingKind
from creditdesk.ledger.services import CreditService
from creditdesk.schema.actions import ActionResult
from creditdesk.schema.conversions import format_datetime
from creditdesk.schema.entity import Record
from creditdesk.schema.errors import DomainError, ValidationError, invalid_field
from creditdesk.schema.fields import DateTime, Money
from creditdesk.schema.params import Param, ParamList, Params
from creditdesk.schema.validation import ParsedWrite, parse_create

MAX_BULK_ROWS: Final = 200
"""The most rows of one request. They are locked together, so more would delay other writes too long."""
BOOKING_CHARGE_MESSAGE: Final = "belongs to a booking charge, which is not granted"
EXPIRE_DATE: Final = Param("ExpireDate", DateTime(), description="The new end; left out, the credit has none.")
GRANT_FUNDING: Final = Param("Funding", choices=tuple(kind.value for kind in FundingKind))
PRICE_PAID: Final = Param("PricePaid", Money(allow_negative=False), description="What was paid for each credit.")
SOURCE_DOCUMENT: Final = Param("SourceDocument", description="What the credits came from, such as an invoice number.")

_rows = partial(ParamList, "Rows", max_items=MAX_BULK_ROWS, errors_by_item=True)
GRANT_ROWS: Final = _rows(())
EXTENSION_ROWS: Final = _rows((CREDIT_TYPE, CREDIT_ID, EXPIRE_DATE))
VOID_ROWS: Final = _rows((CREDIT_TYPE, CREDIT_ID))
ADJUSTMENT_ROWS: Final = _rows((CREDIT_TYPE, CREDIT_ID, REQUIRED_AMOUNT), check=partial(check_amount, REQUIRED_AMOUNT))


def bulk_routes(ledger: LedgerContext) -> tuple[Route, ...]:
    """The paths under /api/ledger/bulk."""
    credits_ = CreditService(ledger)
    grants = LedgerWrite(ledger, CORRECT_ROLE, (CREDIT_TYPE, *_COMMON, *_ORIGIN, GRANT_ROWS), partial(_grant, credits_))
    extensions = LedgerWrite(ledger, CORRECT_ROLE, (*_COMMON, EXTENSION_ROWS), _extend)
    voids = LedgerWrite(ledger, CORRECT_ROLE, (*_COMMON, VOID_ROWS), _void)
    adjustments = LedgerWrite(ledger, CORRECT_ROLE, (*_COMMON, ADJUSTMENT_ROWS), _adjust)
    return (
        _route("grants", grants, "Grant many credits", {"Kind": "money", **_example(_EXAMPLE_GRANT)}),
        _route("extensions", extensions, "Move the end of many credits", _example(_EXAMPLE_EXTENSION)),
        _route("voids", voids, "Void what is unused of many credits", _example(_EXAMPLE_CREDIT)),
        _route("adjustments", adjustments, "Correct what is left of many credits", _example(_EXAMPLE_ADJUSTMENT)),
    )


_COMMON: Final = (REQUIRED_REASON, DRY_RUN)
_ORIGIN: Final = (GRANT_FUNDING, PRICE_PAID, SOURCE_DOCUMENT)
_CREATE_SCHEMAS: Final = tuple(f"{mapping.credit_entity.__name__}Create" for mapping in MAPPINGS.values())
_EXAMPLE_CREDIT: Final = {"Kind": "money", "Id": 1}
_EXAMPLE_EXTENSION: Final = {**_EXAMPLE_CREDIT, "ExpireDate": "2026-12-31T23:59:59Z"}
_EXAMPLE_ADJUSTMENT: Final = {**_EXAMPLE_CREDIT, "Amount": 5}
_EXAMPLE_GRANT: Final = {"CoworkerId": 1, "BusinessId": 1, "TotalCredit": 20, "CaneBeUsedForBookings": True}


def _example(row: Mapping[str, Any]) -> dict[str, Any]:
    return {"Reason": "The lift was out of order", "DryRun": True, "Rows": [dict(row)]}


def _route(name: str, endpoint: LedgerWrite, title: str, example: Mapping[str, Any]) -> Route:
    path = f"/api/ledger/bulk/{name}"
    operation = write_operation(path, title, endpoint.role, endpoint.params, example)
    if GRANT_ROWS in endpoint.params:
        rows = operation["requestBody"]["content"]["application/json"]["schema"]["properties"][GRANT_ROWS.name]
        rows["items"] = {"anyOf": [{"$ref": f"#/components/schemas/{name}"} for name in _CREATE_SCHEMAS]}
    return Route("POST", path, endpoint, operation)


async def _grant(credits_: CreditService, request: WriteRequest) -> ActionResult:
    """Each row is a new credit as its own path takes it."""
    params, mapping = request.params, credit_mapping(request.params)
    require_role(request.context.principal, mapping.credit_entity, "create")
    funding = UNKNOWN_FUNDING
    if params[GRANT_FUNDING] is not None:
        funding = Funding(FundingKind(params[GRANT_FUNDING]), params[PRICE_PAID], params[SOURCE_DOCUMENT])
    parsed = [parse_create(mapping.credit_entity, item.raw) for item in params.items(GRANT_ROWS)]
    checks = [check for row in parsed for check in row.reference_checks]
    missing = await find_missing_references(request.session, checks, request.context)
    new = [await _new_credit(credits_, request, mapping, row, missing, funding) for row in parsed]
    results = await grant_many(
        request.session, mapping, new, params[REQUIRED_REASON], request.context, request.ledger,
        dry_run=bool(params[DRY_RUN]),
    )  # fmt: skip
    return _answer(request, results)


async def _new_credit(
    credits_: CreditService,
    request: WriteRequest,
    mapping: CreditTypeMapping,
    row: ParsedWrite,
    missing: Mapping[str, set[int]],
    funding: Funding,
) -> NewCredit | DomainError:
    try:
        record: Record = row.resolve(missing)
        if is_booking_charge(mapping, record):
            raise invalid_field("BookingId", BOOKING_CHARGE_MESSAGE, record["BookingId"])
        if not record[mapping.total_field]:
            raise invalid_field(mapping.total_field, "must be more than zero")
        record = await credits_.prepare(request.session, mapping, record)
    except DomainError as error:
        return error
    return NewCredit(record[mapping.total_field], record, funding=funding)


async def _extend(request: WriteRequest) -> ActionResult:
    rows = _parsed_rows(request, EXTENSION_ROWS)
    for mapping in {credit_mapping(row).account_type: credit_mapping(row) for row in _good(rows)}.values():
        require_role(request.context.principal, mapping.credit_entity, "update")
    changes = [(_account(row), row[EXPIRE_DATE]) for row in _good(rows)]
    done = await extend_many(
        request.session, changes, request.params[REQUIRED_REASON], request.context, request.ledger,
        dry_run=bool(request.params[DRY_RUN]),
    )  # fmt: skip
    return _answer(request, _in_place(rows, done))


async def _void(request: WriteRequest) -> ActionResult:
    rows = _parsed_rows(request, VOID_ROWS)
    accounts = [_account(row) for row in _good(rows)]
    done = await void_many(
        request.session, accounts, request.params[REQUIRED_REASON], request.context, request.ledger,
        dry_run=bool(request.params[DRY_RUN]),
    )  # fmt: skip
    return _answer(request, _in_place(rows, done))


async def _adjust(request: WriteRequest) -> ActionResult:
    rows = _parsed_rows(request, ADJUSTMENT_ROWS)
    changes = [(_account(row), credit_amount(REQUIRED_AMOUNT, row) or 0) for row in _good(rows)]
    done = await adjust_many(
        request.session, changes, request.params[REQUIRED_REASON], request.context, request.ledger,
        dry_run=bool(request.params[DRY_RUN]),
    )  # fmt: skip
    return _answer(request, _in_place(rows, done))


def _parsed_rows(request: WriteRequest, declared: ParamList) -> list[Params | ValidationError]:
    items = request.params.items(declared)
    return [ValidationError(*item.errors) if item.errors else item for item in items]


def _good(rows: Sequence[Params | ValidationError]) -> list[Params]:
    return [row for row in rows if isinstance(row, Params)]


def _in_place(rows: Sequence[Params | ValidationError], done: Sequence[ChangeResult]) -> list[ChangeResult]:
    """The results of all rows in their order: those of the good rows, and the errors of the others."""
    following = iter(done)
    return [row if isinstance(row, ValidationError) else next(following) for row in rows]


def _account(row: Params) -> AccountKey:
    return (credit_mapping(row).account_type, row[CREDIT_ID])


def _answer(request: WriteRequest, results: Sequence[ChangeResult]) -> ActionResult:
    accepted = sum(isinstance(result, CreditChange) for result in results)
    rows = [_row_document(number, result) for number, result in enumerate(results, 1)]
    value = {"Accepted": accepted, "Refused": len(results) - accepted, "Rows": rows}
    total = len(results)
    return ActionResult(
        f"{accepted} of {total} rows can be changed."
        if request.params[DRY_RUN]
        else f"{accepted} of {total} rows were changed.",
        value,
    )


def _row_document(number: int, result: ChangeResult) -> dict[str, Any]:
    if isinstance(result, CreditChange):
        return {
            "Row": number,
            "Kind": result.mapping.account_type.value,
            "Id": result.credit_id,
            "Before": _figures(result.mapping, result.before) if result.before else None,
            "After": _figures(result.mapping, result.after),
            "Errors": [],
        }
    errors = [{"PropertyName": "", "Message": result.message}]
    if isinstance(result, ValidationError):
        errors = [{"PropertyName": each.PropertyName, "Message": each.Message} for each in result.errors]
    return {"Row": number, "Kind": None, "Id": None, "Before": None, "After": None, "Errors": errors}


def _figures(mapping: CreditTypeMapping, figures: CreditFigures) -> dict[str, Any]:
    return {
        "Remaining": document_amount(mapping, figures.remaining),
        "Total": document_amount(mapping, figures.total),
        "ExpireDate": format_datetime(figures.expires) if figures.expires else None,
    }
