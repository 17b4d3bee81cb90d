"""What journal lines paid for, in words: loads the records behind their source kinds in batches."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from markupsafe import Markup

from creditdesk.console.api_client import ApiError
from creditdesk.console.links import record_path
from creditdesk.console.page import ConsolePage
from creditdesk.console.translations import mark
from creditdesk.entities.billing.coworker_contract import CoworkerContract
from creditdesk.entities.billing.coworker_invoice_line import CoworkerInvoiceLine
from creditdesk.entities.billing.coworker_product import CoworkerProduct
from creditdesk.entities.content.event_attendee import EventAttendee
from creditdesk.entities.spaces.booking import Booking
from creditdesk.schema.entity import Entity

SourceId = tuple[str, int]


@dataclass(frozen=True, slots=True)
class SourceLink:
    """The name of a source, and its page where it has one."""

    text: str
    path: str = ""
    note: Markup | str = ""


SOURCE_TITLES: Final = {
    "booking": mark("Booking"),
    "event_attendance": mark("Event"),
    "event": mark("Event"),
    "invoice_line": mark("Invoice"),
    "invoice": mark("Invoice"),
    "product": mark("Product"),
    "time_pass": mark("Pass"),
    "plan": mark("Plan"),
    "charge": mark("Charge"),
    "print_job": mark("Print job"),
    "print": mark("Print job"),
}


def _first_of(*names: str) -> Callable[[Mapping[str, Any]], str]:
    def text(record: Mapping[str, Any]) -> str:
        return next((str(record[name]) for name in names if record.get(name)), f"#{record['Id']}")

    return text


_RECORDS: Final[dict[str, tuple[type[Entity], Callable[[Mapping[str, Any]], str], str]]] = {
    "booking": (Booking, _first_of("ResourceName"), "FromTime"),
    "event_attendance": (EventAttendee, _first_of("CalendarEventName", "FullName"), ""),
    "event": (EventAttendee, _first_of("CalendarEventName", "FullName"), ""),
    "invoice_line": (CoworkerInvoiceLine, _first_of("Description", "CoworkerInvoiceInvoiceNumber"), ""),
    "invoice": (CoworkerInvoiceLine, _first_of("Description", "CoworkerInvoiceInvoiceNumber"), ""),
    "product": (CoworkerProduct, _first_of("ProductName", "Description"), ""),
    "plan": (
        CoworkerContract,
        _first_of(
            "TariffName",
        ),
        "",
    ),
}


def source_kind_of(entity: type[Entity]) -> str:
    """The kind by which the journal names records of the entity; empty if it never does."""
    return next((kind for kind, (each, _, _) in _RECORDS.items() if each is entity), "")


async def source_links(page: ConsolePage, wanted: Iterable[SourceId]) -> dict[SourceId, SourceLink]:
    """The sources by kind and id; a deleted or hidden one is shown by kind and number."""
    ids: dict[str, set[int]] = {}
    for kind, source_id in wanted:
        ids.setdefault(kind, set()).add(source_id)
    records = await asyncio.gather(*(_read(page, kind, chosen) for kind, chosen in ids.items()))
    found: dict[SourceId, SourceLink] = {}
    for (kind, chosen), by_id in zip(ids.items(), records, strict=True):
        for source_id in chosen:
            found[kind, source_id] = _link(page, kind, source_id, by_id.get(source_id))
    return found


async def _read(page: ConsolePage, kind: str, ids: set[int]) -> dict[int, dict[str, Any]]:
    known = _RECORDS.get(kind)
    if known is None:
        return {}
    try:
        listed = await page.client.get(known[0].path(), {"id": f"[{','.join(map(str, sorted(ids)))}]"})
    except ApiError:
        return {}
    return {record["Id"]: record for record in listed}


def _link(page: ConsolePage, kind: str, source_id: int, record: Mapping[str, Any] | None) -> SourceLink:
    known = _RECORDS.get(kind)
    title = page.translate(SOURCE_TITLES[kind]) if kind in SOURCE_TITLES else kind
    if known is None or record is None:
        return SourceLink(title, note=f"#{source_id}")
    entity, text, at = known
    formatter = page.format_at(record.get("BusinessId"))
    note = formatter.instant(record[at]) if at and record.get(at) else ""
    return SourceLink(text(record), record_path(entity, source_id), note)
