"""The API page: every call with its parameters and examples; reads can be sent as the signed-in user."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from functools import cache
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import parse_qsl, quote

import msgspec
from starlette.responses import Response

from creditdesk.api.context import ApiContext
from creditdesk.api.openapi import openapi_document
from creditdesk.api.serializer import encode
from creditdesk.console.api_client import ApiError
from creditdesk.console.api_reference import TOKEN_VARIABLE, ApiCall, api_calls, curl_example, python_example
from creditdesk.console.page import ConsolePage, Screen
from creditdesk.console.translations import SOURCE_LANGUAGE, mark
from creditdesk.schema.errors import NotFound

API_PATH: Final = "/console/api"
_MAX_ANSWER: Final = 20_000
_NO_JSON: Final = mark("The answer is a file, not JSON.")


class _Hashable:
    """An API as the key of a cache: the document is made once for each."""

    def __init__(self, value: ApiContext) -> None:
        self.value = value

    def __hash__(self) -> int:
        return id(self.value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Hashable) and other.value is self.value


@cache
def _calls(context: _Hashable) -> dict[str, list[ApiCall]]:
    document = openapi_document(context.value.entities, context.value.extra_routes)
    return api_calls(msgspec.json.decode(encode(document)))


async def _all_calls(page: ConsolePage) -> dict[str, list[ApiCall]]:
    # Building the document takes a third of a second, so it must not block the event loop.
    return await asyncio.to_thread(_calls, _Hashable(page.context))


async def _list(page: ConsolePage) -> Response:
    """The calls, or those whose path or title has a text."""
    text = page.request.query_params.get("q", "").strip().lower()
    groups = {
        tag: [call for call in calls if text in call.path.lower() or text in call.title.lower()]
        for tag, calls in (await _all_calls(page)).items()
    }
    groups = {tag: calls for tag, calls in groups.items() if calls}
    return page.render("api.html", groups=groups, text=text, path=API_PATH, count=sum(map(len, groups.values())))


async def _show(page: ConsolePage) -> Response:
    return await _call_page(page, await _find(page))


async def _try(page: ConsolePage) -> Response:
    """Runs a GET as the signed-in user."""
    call = await _find(page)
    if call.method != "GET":
        raise NotFound
    form = await page.form()
    path = call.path
    query: list[tuple[str, Any]] = []
    for parameter in call.parameters:
        value = str(form.get(f"p-{parameter.name}", "")).strip()
        if parameter.place == "path":
            path = path.replace(f"{{{parameter.name}}}", quote(value or "1", safe=""))
        elif value:
            query.append((parameter.name, value))
    query += parse_qsl(str(form.get("query", "")))
    try:
        status, answer = int(HTTPStatus.OK), await replace(page.client, language=SOURCE_LANGUAGE).get(path, query)
    except ApiError as error:
        status, answer = error.status, {"Message": error.message, "Errors": error.fields}
    except msgspec.DecodeError:
        status, answer = int(HTTPStatus.OK), page.translate(_NO_JSON)
    text = msgspec.json.format(encode(answer), indent=2).decode()
    return await _call_page(page, call, form, (status, text[:_MAX_ANSWER], len(text) > _MAX_ANSWER))


async def _call_page(
    page: ConsolePage, call: ApiCall, form: dict[str, Any] | None = None, tried: tuple[int, str, bool] | None = None
) -> Response:
    address = str(page.request.base_url).rstrip("/")
    fields = [each for each in call.parameters if each.place == "path" or (each.place == "query" and each.required)]
    return page.render(
        "api_call.html",
        call=call, curl=curl_example(call, address), python=python_example(call, address), fields=fields,
        answer=None if call.answer is None else json.dumps(call.answer, indent=2, ensure_ascii=False),
        form=form or {}, tried=tried, path=f"{API_PATH}/{call.key}", list_path=API_PATH, variable=TOKEN_VARIABLE,
    )  # fmt: skip


async def _find(page: ConsolePage) -> ApiCall:
    key = page.request.path_params["call"]
    for calls in (await _all_calls(page)).values():
        for call in calls:
            if call.key == key:
                return call
    raise NotFound


API_SCREENS: Final = (
    Screen(API_PATH, _list),
    Screen(f"{API_PATH}/{{call}}", _show),
    Screen(f"{API_PATH}/{{call}}", _try, ("POST",)),
)
