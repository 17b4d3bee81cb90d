"""The search field: customers, credits, bookings, pages and actions; the same as a page and in the palette."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlencode

from starlette.responses import Response

from creditdesk.console.api_client import RecordPage
from creditdesk.console.labels import entity_plural
from creditdesk.console.links import list_path, record_path
from creditdesk.console.navigation import menu_of
from creditdesk.console.numbers import record_number
from creditdesk.console.page import ConsolePage, Screen
from creditdesk.console.reference_names import reference_names
from creditdesk.console.saved_views import read_views
from creditdesk.console.screens.customers import allowed
from creditdesk.console.translations import mark
from creditdesk.entities.billing.coworker_booking_credit import CoworkerBookingCredit
from creditdesk.entities.roles import SPEND_ROLE
from creditdesk.entities.spaces.booking import Booking
from creditdesk.entities.spaces.coworker import Coworker
from creditdesk.entities.spaces.resource import Resource
from creditdesk.schema.entity import Entity

_MAX_HITS: Final = 6
_MAX_TEXT: Final = 100


@dataclass(frozen=True, slots=True)
class SearchHit:
    """One result: its name, its page, and a note that distinguishes it from others of that name."""

    text: str
    path: str
    note: str = ""


async def _search(page: ConsolePage) -> Response:
    text = _searched_text(page)
    groups = await _groups(page, text) if text else []
    # Descriptions are not indexed: over a million credits they would delay the page by half a second.
    is_text = bool(text) and not _by_number(text.lstrip("#"))
    described = _described_credits(text) if is_text and page.may(CoworkerBookingCredit, "list") else ""
    template = "search_results.html" if page.is_fragment else "search.html"
    return page.render(template, groups=groups, text=text, described=described, query=urlencode({"q": text}))


async def _search_descriptions(page: ConsolePage) -> Response:
    """The credits whose description contains the text: a part of the results that is loaded later."""
    text = _searched_text(page)
    if not page.is_fragment:
        return page.redirect(_described_credits(text))
    query = {"CoworkerBookingCredit_Description": text} if text else {}
    credits_ = await _find(page, CoworkerBookingCredit, query)
    owners = await _owner_names(page, credits_)
    return page.render("search_credits.html", hits=[_credit(each, owners) for each in credits_], text=text)


def _searched_text(page: ConsolePage) -> str:
    return page.request.query_params.get("q", "").strip()[:_MAX_TEXT]


def _described_credits(text: str) -> str:
    """The list of the credits whose description contains the text."""
    return f"{list_path(CoworkerBookingCredit)}?{urlencode({'CoworkerBookingCredit_Description': text})}"


async def _groups(page: ConsolePage, text: str) -> list[tuple[str, list[SearchHit]]]:
    """The results by kind, those of records as the API finds and scopes them."""
    number = text.lstrip("#")
    by_number = _by_number(number)
    customers, credits_, bookings, resources, views = await asyncio.gather(
        _find(page, Coworker, {"Coworker_FullName": text}),
        _find(page, CoworkerBookingCredit, by_number),
        _find(page, Booking, by_number),
        # There are few resources, but many bookings of each.
        _find(page, Resource, {} if by_number else {"Resource_Name": text}),
        read_views(page),
    )
    owners = await _owner_names(page, credits_)
    found = [
        (mark("Customers"), [_customer(each) for each in customers]),
        (mark("Credits"), [_credit(each, owners) for each in credits_]),
        (mark("Bookings"), [_booking(page, each) for each in bookings]),
        (mark("Resources"), [_resource(page, each) for each in resources]),
        (
            mark("Saved views"),
            [SearchHit(each.name, each.path, each.list_title) for each in views if text.lower() in each.name.lower()][
                :_MAX_HITS
            ],
        ),
        (mark("Pages and actions"), _pages(page, text.lower())),
    ]
    return [(title, hits) for title, hits in found if hits]


def _by_number(text: str) -> dict[str, str]:
    return {} if record_number(text) is None else {"Id": text}


async def _find(page: ConsolePage, entity: type[Entity], query: dict[str, Any]) -> list[dict[str, Any]]:
    """The first records that the query finds; none for an empty one."""
    if not query or not page.may(entity, "list"):
        return []
    listed = await allowed(page.client.find(entity.path(), {**query, "size": _MAX_HITS}), RecordPage([], 0))
    return listed.records


async def _owner_names(page: ConsolePage, credits_: list[dict[str, Any]]) -> Mapping[int, str]:
    owner = CoworkerBookingCredit.meta().columns["CoworkerId"]
    return (await reference_names(page, [owner], credits_)).get(owner.name, {})


def _customer(record: dict[str, Any]) -> SearchHit:
    return SearchHit(record["FullName"], record_path(Coworker, record["Id"]), record["Email"] or "")


def _credit(record: dict[str, Any], owners: Mapping[int, str]) -> SearchHit:
    name = record["Description"] or f"#{record['Id']}"
    owner = owners.get(record["CoworkerId"], "")
    return SearchHit(name, record_path(CoworkerBookingCredit, record["Id"]), f"{owner} #{record['Id']}".strip())


def _booking(page: ConsolePage, record: dict[str, Any]) -> SearchHit:
    at = page.format_at(record.get("BusinessId")).instant(record["FromTime"])
    shown = at.striptags() if hasattr(at, "striptags") else at
    return SearchHit(record["ResourceName"] or f"#{record['Id']}", record_path(Booking, record["Id"]), shown)


def _resource(page: ConsolePage, record: dict[str, Any]) -> SearchHit:
    bookings = {"Booking_Resource": record["Id"], "orderby": "FromTime", "dir": "descending"}
    return SearchHit(
        record["Name"], f"{list_path(Booking)}?{urlencode(bookings)}", page.translate(mark("its bookings"))
    )


def _pages(page: ConsolePage, text: str) -> list[SearchHit]:
    entries = [(page.translate(entry.title), entry.path) for entry, _ in menu_of(page.has_role, "")]
    if page.may(CoworkerBookingCredit, "create"):
        entries.append((page.translate(mark("Grant money credit")), f"{list_path(CoworkerBookingCredit)}/new"))
    entries.append((page.translate(mark("Saved views")), "/console/views"))
    if page.has_role(SPEND_ROLE):
        entries.append((page.translate(mark("Pay with credit")), "/console/spend"))
    entries += [
        (entity_plural(each, page.language), list_path(each))
        for each in page.context.entities
        if page.may(each, "list")
    ]
    return [SearchHit(title, path) for title, path in entries if text in title.lower()][:_MAX_HITS]


SEARCH_SCREENS: Final = (
    Screen("/console/search", _search),
    Screen("/console/search/credits", _search_descriptions),
)
