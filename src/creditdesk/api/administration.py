"""The paths of a full administrator: the settings in force, and the scheduled jobs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from creditdesk.api.body import parse_body, read_body
from creditdesk.api.context import ApiContext, Route, json_success
from creditdesk.api.openapi_operations import object_schema
from creditdesk.api.responses import JsonBytesResponse, action_body, json_response
from creditdesk.api.token import MAX_TOKEN_FORM_BYTES
from creditdesk.auth.audit_trail import AuditAction, event_of_request, record_event
from creditdesk.entities.ledger.job_state import JobState
from creditdesk.schema.conversions import format_datetime
from creditdesk.schema.errors import PermissionDenied, invalid_field
from creditdesk.schema.params import Param, Params
from creditdesk.schema.repository import Store, WriteSession
from creditdesk.schema.service import Principal, RequestContext

NOT_FULL_ADMINISTRATOR: Final = "Only a full administrator may see or do this"
_JOB_NAME: Final = Param("Name", required=True, description="The job to run.")


@dataclass(frozen=True, slots=True)
class ShownSetting:
    """A setting with its secrets masked."""

    name: str
    value: Any
    source: str
    meaning: str


@dataclass(frozen=True, slots=True)
class ShownJob:
    """A job with its last run; `next_due` is None if it is due now."""

    name: str
    description: str
    started: datetime | None
    ended: datetime | None
    succeeded: bool | None
    result: str
    requested: datetime | None
    next_due: datetime | None


@dataclass(frozen=True, slots=True)
class JobControl:
    """The scheduled jobs, bound by the composition root.

    `load` reads their last runs, `request` makes one due, and `leader_until` returns when the current
    leader's lease ends.
    """

    names: Sequence[str]
    load: Callable[[Store, datetime], Awaitable[Sequence[ShownJob]]]
    request: Callable[[WriteSession, str, datetime], Awaitable[int | None]]
    leader_until: Callable[[Store], Awaitable[datetime | None]]


class Administration:
    """The paths under /api/admin."""

    def __init__(self, settings: Sequence[ShownSetting], jobs: JobControl) -> None:
        self._settings = settings
        self._jobs = jobs

    def routes(self) -> tuple[Route, ...]:
        """The routes, each for full administrators."""
        return (
            Route(
                "GET", "/api/admin/settings", self._list_settings, _operation("Settings", _SETTINGS_TITLE) | _SETTINGS
            ),
            Route("GET", "/api/admin/jobs", self._list_jobs, _operation("Jobs", _JOBS_TITLE) | _JOBS),
            Route("POST", "/api/admin/jobs", self._run_job, _operation("RunJob", _RUN_TITLE) | _RUN_BODY),
        )

    async def _list_settings(self, _api: ApiContext, _request: Request, context: RequestContext, _id: int) -> Response:
        require_full_administrator(context.principal)
        return json_response(
            200,
            [
                {"Name": each.name, "Value": each.value, "Source": each.source, "Meaning": each.meaning}
                for each in self._settings
            ],
        )

    async def _list_jobs(self, api: ApiContext, _request: Request, context: RequestContext, _id: int) -> Response:
        require_full_administrator(context.principal)
        shown = await self._jobs.load(api.store, context.now)
        until = await self._jobs.leader_until(api.store)
        leads = until is not None and until > context.now
        return json_response(200, {"SchedulerRuns": leads, "Jobs": [_job_document(each) for each in shown]})

    async def _run_job(self, api: ApiContext, request: Request, context: RequestContext, _id: int) -> Response:
        """Makes a job due; the scheduler runs it at its next check."""
        require_full_administrator(context.principal)
        body = await read_body(request, MAX_TOKEN_FORM_BYTES, api.settings.body_seconds)
        params = Params((_JOB_NAME,), parse_body(body, request.headers.get("content-type", "")))
        params.raise_errors()
        name = params[_JOB_NAME]
        if name not in self._jobs.names:
            raise invalid_field("Name", f"must be one of {', '.join(self._jobs.names)}", name)
        async with api.store.write_session() as session:
            state_id = await self._jobs.request(session, name, context.now)
            details = {"Job": name, "RequestedOn": [None, format_datetime(context.now)]}
            event = event_of_request(context, AuditAction.CHANGED, JobState.__name__, state_id or 0, details)
            await record_event(session, event, context.now)
        now = context.now.replace(microsecond=0)
        return JsonBytesResponse(action_body("The job runs within a minute.", name, now, context.principal.email))


def require_full_administrator(principal: Principal) -> None:
    """Raises PermissionDenied for a principal whose roles or locations are limited."""
    if not principal.unrestricted:
        raise PermissionDenied(NOT_FULL_ADMINISTRATOR)


def _job_document(job: ShownJob) -> dict[str, Any]:
    return {
        "Name": job.name,
        "Description": job.description,
        "StartedOn": _text(job.started),
        "EndedOn": _text(job.ended),
        "Succeeded": job.succeeded,
        "Result": job.result,
        "RequestedOn": _text(job.requested),
        "NextDueOn": _text(job.next_due),
    }


def _text(instant: datetime | None) -> str | None:
    return format_datetime(instant) if instant else None


_SETTINGS_TITLE: Final = "Every setting as it holds, and where it is from"
_JOBS_TITLE: Final = "The scheduled jobs and their last results"
_RUN_TITLE: Final = "Run a scheduled job within a minute"
_SETTING: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {
        "Name": {"type": "string"},
        "Value": {},
        "Source": {"type": "string"},
        "Meaning": {"type": "string"},
    },
    "required": ["Name", "Value", "Source", "Meaning"],
}
_SETTINGS: Final = json_success({"type": "array", "items": _SETTING})
_INSTANT: Final[dict[str, Any]] = {"type": ["string", "null"], "format": "date-time"}
_JOB: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {
        "Name": {"type": "string"},
        "Description": {"type": "string"},
        "StartedOn": _INSTANT,
        "EndedOn": _INSTANT,
        "Succeeded": {"type": ["boolean", "null"]},
        "Result": {"type": "string"},
        "RequestedOn": _INSTANT,
        "NextDueOn": _INSTANT,
    },
    "required": ["Name", "Description", "StartedOn", "EndedOn", "Succeeded", "Result", "RequestedOn", "NextDueOn"],
}
_JOBS: Final = json_success(
    {
        "type": "object",
        "properties": {"SchedulerRuns": {"type": "boolean"}, "Jobs": {"type": "array", "items": _JOB}},
        "required": ["SchedulerRuns", "Jobs"],
    }
)
_RUN_BODY: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": object_schema((_JOB_NAME,)), "example": {"Name": "verify"}}},
    }
}


def _operation(name: str, title: str) -> dict[str, Any]:
    return {
        "operationId": f"Admin{name}",
        "tags": ["admin"],
        "summary": title,
        "description": f"{title}. For full administrators: secrets are masked.",
        "parameters": [],
    }
