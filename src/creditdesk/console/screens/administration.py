"""Administration: its first page, the clocks of locations, settings, jobs and the audit trail."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, Final

from starlette.responses import Response

from creditdesk.console.api_client import MAX_PAGE_RECORDS, ApiError
from creditdesk.console.links import list_path
from creditdesk.console.page import ConsolePage, Screen
from creditdesk.console.screens.roles import ROLES_PATH
from creditdesk.console.screens.users import USERS_PATH
from creditdesk.console.translations import mark
from creditdesk.entities.ledger.audit_record import AuditRecord
from creditdesk.entities.ledger.location_profile import LocationProfile
from creditdesk.entities.roles import CORRECT_ROLE, READ_ROLE
from creditdesk.entities.security.user_role import UserRole
from creditdesk.entities.sys.business import Business
from creditdesk.entities.sys.user import User
from creditdesk.schema.errors import PermissionDenied

ADMIN_PATH: Final = "/console/admin"
JOBS_PATH: Final = f"{ADMIN_PATH}/jobs"
_AUDIT_COLUMNS: Final = "Id,RecordedOn,Action,Actor,Address,Subject,SubjectId,Details"
_DEFAULT_INTERVAL: Final = 15


async def _index(page: ConsolePage) -> Response:
    """Shows the parts of the administration that the user may see."""
    is_full = page.principal.unrestricted
    entries = [
        (page.may(User, "list"), USERS_PATH, mark("Users"), mark("Who may sign in, where, with which roles.")),
        (page.may(UserRole, "list"), ROLES_PATH, mark("Roles"), mark("What each group of users may do.")),
        (page.may(Business, "list") and page.has_role(READ_ROLE), f"{ADMIN_PATH}/locations", mark("Locations"),
         mark("Their time zones and booking intervals.")),
        (page.may(AuditRecord, "list"), f"{ADMIN_PATH}/audit", mark("Audit trail"),
         mark("Sign-ins and changes of users, roles and settings of locations.")),
        (is_full, f"{ADMIN_PATH}/imports", mark("Import"), mark("Records from CSV, XLSX and JSON files.")),
        (is_full, JOBS_PATH, mark("Jobs"), mark("Scheduled work and its last results.")),
        (is_full, f"{ADMIN_PATH}/settings", mark("Settings"), mark("The settings in force, and where each is from.")),
    ]  # fmt: skip
    shown = [entry[1:] for entry in entries if entry[0]]
    if not shown:
        raise PermissionDenied(f"The role {User.roles['list']} is needed")
    return page.render("admin_index.html", areas=shown)


async def _locations(page: ConsolePage) -> Response:
    return await _clocks(page)


async def _clocks(page: ConsolePage, error: ApiError | None = None, failed: str = "") -> Response:
    listed = await page.client.find(LocationProfile.path(), {"size": MAX_PAGE_RECORDS})
    profiles = {each["BusinessId"]: each for each in listed.records}
    return page.render(
        "admin_locations.html", error.status if error else HTTPStatus.OK,
        profiles=profiles, error=error, failed=failed, path=f"{ADMIN_PATH}/locations",
        default_interval=_DEFAULT_INTERVAL, may_edit=page.has_role(CORRECT_ROLE),
    )  # fmt: skip


async def _set_clock(page: ConsolePage) -> Response:
    form = await page.form()
    location = str(form.get("location", ""))
    names = ("TimeZone", "BookingIntervalMinutes")
    body: dict[str, Any] = {"BusinessId": location, **{name: form.get(name) or None for name in names}}
    profile = str(form.get("profile", ""))
    try:
        if profile.isascii() and profile.isdecimal():
            await page.client.put(f"{LocationProfile.path()}/{profile}", body)
        else:
            await page.client.post(LocationProfile.path(), body)
    except ApiError as error:
        if error.status >= HTTPStatus.INTERNAL_SERVER_ERROR or error.status == HTTPStatus.UNAUTHORIZED:
            raise
        return await _clocks(page, error, location)
    return page.redirect(f"{ADMIN_PATH}/locations", notice=mark("The clock of the location was set"))


async def _audit(page: ConsolePage) -> Response:
    """The audit trail, the latest act first, in the list with its filters."""
    return page.redirect(f"{list_path(AuditRecord)}?orderby=RecordedOn&dir=descending&columns={_AUDIT_COLUMNS}")


async def _jobs(page: ConsolePage) -> Response:
    found = await page.client.get("/api/admin/jobs")
    return page.render("admin_jobs.html", jobs=found["Jobs"], runs=found["SchedulerRuns"], path=JOBS_PATH)


async def _run_job(page: ConsolePage) -> Response:
    form = await page.form()
    await page.client.post("/api/admin/jobs", {"Name": form.get("job")})
    return page.redirect(JOBS_PATH, notice=mark("The job runs within a minute"))


async def _settings(page: ConsolePage) -> Response:
    sections: dict[str, list[dict[str, Any]]] = {}
    for each in await page.client.get("/api/admin/settings"):
        section, _, name = each["Name"].rpartition(".")
        sections.setdefault(section, []).append({**each, "Short": name})
    return page.render("admin_settings.html", sections=sections)


ADMINISTRATION_SCREENS: Final = (
    Screen(ADMIN_PATH, _index),
    Screen(f"{ADMIN_PATH}/locations", _locations),
    Screen(f"{ADMIN_PATH}/locations", _set_clock, ("POST",)),
    Screen(f"{ADMIN_PATH}/audit", _audit),
    Screen(JOBS_PATH, _jobs),
    Screen(JOBS_PATH, _run_job, ("POST",)),
    Screen(f"{ADMIN_PATH}/settings", _settings),
)
