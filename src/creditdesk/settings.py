"""Every setting: its type, default, range and meaning.

`settings_sources` reads them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, fields, is_dataclass
from enum import StrEnum
from functools import cache
from typing import Any, Final, Literal, TypeVar, get_args, get_type_hints

PREFIX: Final = "CREDITDESK_"
SETTINGS_VARIABLE: Final = "CREDITDESK_SETTINGS"
TRACEBACK_VARIABLE: Final = "CREDITDESK_TRACEBACK"
CHECKPOINT_KEY_VARIABLE: Final = "CREDITDESK_CHECKPOINT_KEY"
BROWSER_VARIABLE: Final = f"{PREFIX}BROWSER"
COMMAND_VARIABLES: Final = {
    SETTINGS_VARIABLE: "Path of the TOML file with settings.",
    TRACEBACK_VARIABLE: "1 shows where an unexpected error happened.",
    BROWSER_VARIABLE: "Path of the Chromium that the tests of the console and `make screenshots` drive.",
    CHECKPOINT_KEY_VARIABLE: "Path of the key file that `creditdesk checkpoint` signs with.",
}
"""Variables that a command reads by itself; everything else with the prefix is a setting."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Constraints:
    """What a setting's field declares beside its type and default."""

    meaning: str
    minimum: int | None = None
    maximum: int | None = None
    secret: bool = False


def setting(
    default: T, meaning: str, *, minimum: int | None = None, maximum: int | None = None, secret: bool = False
) -> T:
    """A dataclass field for a setting. The value of a `secret` never shows in a repr or a message."""
    constraints = Constraints(meaning, minimum, maximum, secret)
    declared: Any = field(default=default, repr=not secret, metadata={"setting": constraints})
    return declared  # type: ignore[no-any-return]


class ValidityInstant(StrEnum):
    """Which instant a credit's validity period is compared with (rule 12)."""

    SERVICE_START = "service_start"
    SPEND_TIME = "spend_time"


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiSettings:
    """The HTTP API; the first two settings decide where sources about the imitated API differ."""

    dir_convention: Literal["seed", "later"] = setting(
        "seed",
        "Meaning of the parameter `dir`: `seed` is 1 ascending, -1 descending; `later` is 0 ascending, 1 descending.",
    )
    unknown_filters: Literal["ignore", "refuse"] = setting(
        "ignore", "Whether list parameters that no entity declares are ignored or refused."
    )
    max_filters: int = setting(50, "Most filters of one list; further ones are refused.", minimum=1, maximum=200)
    max_page_size: int = setting(
        10_000, "Most records of one page of a list; a larger `size` gets that many.", minimum=1, maximum=10_000
    )
    require_list_filters: bool = setting(
        False,
        "Refuses a list without any of the filters that its entity asks for.",
    )
    body_limit_bytes: int = setting(1_048_576, "Longest request body; a longer one is answered 413.", minimum=1)
    body_seconds: int = setting(30, "Seconds for which a body may take to arrive; then it is answered 408.", minimum=1)
    stored_response_days: int = setting(
        30,
        "Days for which the response to an `Idempotency-Key` is kept; the job `responses` and `creditdesk expire` remove older ones.",
        minimum=1,
    )
    publish_docs: bool = setting(True, "Whether anybody may read the OpenAPI document and the page at `/docs`.")
    require_ledger_roles: bool = setting(
        True,
        "Whether commands that move credit need the role of the same act under `/api/ledger`. The"
        " imitated API asks for the entity's edit role alone.",
    )
    allowed_origins: str = setting(
        "",
        "Origins of other sites whose pages may write, separated by commas, such as `https://app.example.com`.",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsoleSettings:
    """The operator's pages under `/console`, and the members' under `/me`."""

    enabled: bool = setting(True, "Whether the server has the console; without it, `/` leads to the API's page.")
    frame_ancestors: str = setting(
        "",
        "Origins of sites that may show a member's page in a frame, separated by commas, such as"
        " `https://www.example.com`; empty, none may.",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthSettings:
    """How users prove who they are, and for how long."""

    signing_key: str = setting(
        "",
        "Key that signs access tokens; empty, a key is made once and kept in the database.",
        secret=True,
    )
    encryption_key: str = setting(
        "",
        "Keys that encrypt the secrets in the database, separated by commas: the first encrypts, all"
        " decrypt. Empty, they are the lines of the key file.",
        secret=True,
    )
    encryption_key_file: str = setting(
        "",
        "Path of the key file; empty, the database's path with `.key`, on PostgreSQL"
        " `encryption.key` in the user's data folder. A missing file is created.",
    )
    access_seconds: int = setting(604_799, "Lifetime of an access token.", minimum=1)
    expired_session_days: int = setting(
        30, "Days for which an expired session stays on record; the job `sessions` removes older ones.", minimum=0
    )
    refresh_seconds: int = setting(15 * 24 * 3600, "Lifetime of a refresh token.", minimum=1)
    basic_seconds: int = setting(300, "How long a verified Basic password is cached in memory.", minimum=0)
    password_min_length: int = setting(8, "Fewest characters of a new password.", minimum=1, maximum=128)
    sign_in_free_failures: int = setting(
        5,
        "Failed sign-ins to one account from one address or known client without a wait; 0 is no limit. Each"
        " further one doubles the wait, from one second.",
        minimum=0,
    )
    sign_in_max_wait_seconds: int = setting(900, "Longest wait after a failed sign-in.", minimum=1)
    proxy_hops: int = setting(
        0,
        "Trusted proxies in front: a client's address is read that many places from the end of X-Forwarded-For."
        " 0 behind a proxy makes one address of all clients, which then share the waits after failed sign-ins.",
        minimum=0,
    )
    argon2_time_cost: int = setting(2, "Passes of a password hash.", minimum=1)
    argon2_memory_kib: int = setting(19_456, "Memory of a password hash, in KiB.", minimum=8)
    argon2_parallelism: int = setting(1, "Lanes of a password hash.", minimum=1)
    argon2_threads: int = setting(2, "Threads that hash passwords, per worker.", minimum=1, maximum=256)
    max_pending_sign_ins: int = setting(
        256, "Sign-ins that may wait for a thread; further ones are refused.", minimum=1
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class RateLimitSettings:
    """Calls that one caller may make to the whole service in a fixed window.

    0 is no limit, which is the default of all.

    The imitated service allows 60 writes a minute and 5,000 a day, and of all methods 120 a minute,
    5,000 an hour and 200,000 a day.
    """

    calls_per_minute: int = setting(0, "Calls of any method per minute.", minimum=0)
    calls_per_hour: int = setting(0, "Calls of any method per hour.", minimum=0)
    calls_per_day: int = setting(0, "Calls of any method per day.", minimum=0)
    writes_per_minute: int = setting(0, "Calls other than reads per minute.", minimum=0)
    writes_per_day: int = setting(0, "Calls other than reads per day.", minimum=0)


@dataclass(frozen=True, slots=True)
class LedgerSettings:
    """Settings that change a decision of the ledger (rules 8, 12, 17, 30, 37)."""

    validity_instant: ValidityInstant = setting(
        ValidityInstant.SERVICE_START,
        "Instant at which a credit must be valid: the start of the booking or event, or the spend.",
    )
    cross_location: bool = setting(False, "Whether credit of one location pays at another.")
    return_grace_days: int = setting(
        0,
        "Days for which credit that is returned after its expiry is granted again; 0 is not at all.",
        minimum=0,
    )
    strict_posts: bool = setting(
        False,
        "Refuses posted uses outside the credit's validity or booking window, which are otherwise"
        " accepted and marked as an override.",
    )
    take_closed_period_lines: bool = setting(
        False,
        "Takes corrections whose effective time lies in a closed period, and lists them as exceptions;"
        " otherwise they are refused.",
    )
    reprice_on_recalculate: bool = setting(
        False,
        "Prices a charged booking at today's rate whenever it is recalculated. Otherwise its price stands"
        " until its times, resource, rate or price of its own change.",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class LogSettings:
    """What the server writes to standard error."""

    format: Literal["auto", "json", "text"] = setting(
        "auto", "`json` is one object a line, `text` is for people, `auto` is text on a terminal and else JSON."
    )
    requests: bool = setting(True, "Whether there is a line for each request.")


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricsSettings:
    """Metrics in Prometheus' format at `/metrics`, on a port of its own, without sign-in."""

    port: int = setting(0, "Port of `/metrics`; 0 is none.", minimum=0, maximum=65_535)
    host: str = setting("127.0.0.1", "Address that the port listens on.")


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceSettings:
    """Traces by OpenTelemetry, which need the extra `otel`."""

    endpoint: str = setting(
        "", "URL of a collector for OTLP over HTTP, such as `http://127.0.0.1:4318/v1/traces`; empty, no traces."
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class BackupSettings:
    """Backups by the scheduled job `backup`, once a night."""

    folder: str = setting("", "Folder for backups, best on another disk; empty, the job makes none.")
    keep_days: int = setting(30, "Days after which the job removes a backup that it made.", minimum=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class MailSettings:
    """E-mails with sign-in links for members, sent by the scheduled job `mail` over SMTP."""

    host: str = setting("", "Name of the SMTP server; empty, no e-mails are sent and none are offered.")
    port: int = setting(587, "Port of the SMTP server.", minimum=1, maximum=65_535)
    security: Literal["starttls", "tls", "none"] = setting(
        "starttls", "`starttls` encrypts after connecting, `tls` from the first byte (port 465); `none` does not."
    )
    user: str = setting("", "User at the SMTP server; empty, none.")
    password: str = setting("", "Password at the SMTP server.", secret=True)
    sender: str = setting("", "Address that e-mails are from, such as `Credit <credit@example.com>`.")
    site_url: str = setting("", "Address of this server that links begin with, such as `https://credit.example.com`.")


@dataclass(frozen=True, slots=True, kw_only=True)
class RetentionSettings:
    """How long records stay that only grow in number; the scheduled job `purge` removes older ones.

    Uses and journal entries stay for ever.
    """

    audit_days: int = setting(
        0,
        "Days for which records of the audit trail stay, among them addresses of sign-ins; 0 is for ever. What"
        " stays is still verified.",
        minimum=0,
    )
    report_days: int = setting(
        0,
        "Days after the end of a month for which its saved reports stay in `report_folder`, at least two months;"
        " 0 is for ever. Closings stay.",
        minimum=0,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All settings, in sections."""

    database: str = setting(
        "",
        "`sqlite:///path` or `postgresql://user:password@host/name`; empty, a file in the user's data folder.",
        secret=True,
    )
    database_password_file: str = setting(
        "", "Path of a file with the password of PostgreSQL, in place of one in the URL."
    )
    replica: str = setting(
        "",
        "`postgresql://…` of a read replica of the database, one host. Writes then answer `X-Creditdesk-Position`; a"
        " read that brings one is served by the replica where that has replayed it.",
        secret=True,
    )
    reports_on_replica: bool = setting(
        False, "Whether reports are computed on the replica, as of what it has replayed."
    )
    connections: int = setting(4, "Connections to PostgreSQL per worker.", minimum=1, maximum=1000)
    client_connections: int = setting(8192, "Connections of clients per worker; further ones wait.", minimum=1)
    idle_seconds: int = setting(20, "Seconds after which a connection that sends no request is closed.", minimum=1)
    busy_seconds: int = setting(
        5,
        "Seconds for which a write of the server waits for its turn while another program holds the"
        " SQLite file; then it is answered 503.",
        minimum=1,
        maximum=60,
    )
    statement_seconds: int = setting(
        10,
        "Seconds for which the server waits for one statement of PostgreSQL, and for one read of SQLite;"
        " then the statement is cancelled and the call answered 503.",
        minimum=1,
        maximum=600,
    )
    report_folder: str = setting(
        "",
        "Folder to which `creditdesk jobs` writes saved reports and closings; empty, `reports` in the user's data folder.",
    )
    api: ApiSettings = field(default_factory=ApiSettings)
    console: ConsoleSettings = field(default_factory=ConsoleSettings)
    auth: AuthSettings = field(default_factory=AuthSettings)
    limits: RateLimitSettings = field(default_factory=RateLimitSettings)
    ledger: LedgerSettings = field(default_factory=LedgerSettings)
    backup: BackupSettings = field(default_factory=BackupSettings)
    mail: MailSettings = field(default_factory=MailSettings)
    retention: RetentionSettings = field(default_factory=RetentionSettings)
    log: LogSettings = field(default_factory=LogSettings)
    metrics: MetricsSettings = field(default_factory=MetricsSettings)
    traces: TraceSettings = field(default_factory=TraceSettings)


@dataclass(frozen=True, slots=True)
class DeclaredSetting:
    """One setting with its dotted name, as the loader and the reference page need it."""

    name: str
    type: Any
    default: Any
    constraints: Constraints

    @property
    def variable(self) -> str:
        return variable_of(self.name)

    @property
    def file_variable(self) -> str | None:
        """The environment variable that names a file with the value; None for what is no secret."""
        variable = f"{self.variable}_FILE"
        taken = variable in (variable_of(name) for name in declared_settings())
        return variable if self.constraints.secret and not taken else None

    @property
    def expected(self) -> str:
        """The values it takes, in words."""
        low, high = self.constraints.minimum, self.constraints.maximum
        if self.type is bool:
            return "true or false"
        if self.type is int:
            if high is not None:
                return f"a whole number from {low} to {high}"
            return "a whole number" if low is None else f"a whole number of at least {low}"
        choices = get_args(self.type) or (list(self.type) if self.type is not str else ())
        return f"one of {', '.join(choices)}" if choices else "text"


def variable_of(name: str) -> str:
    """The environment variable of a dotted name."""
    return PREFIX + name.replace(".", "_").upper()


@cache
def declared_settings() -> dict[str, DeclaredSetting]:
    """Every setting by its dotted name, in order of declaration."""
    return {each.name: each for each in _declared(Settings, "")}


def _declared(section: type[Any], prefix: str) -> Iterator[DeclaredSetting]:
    hints = get_type_hints(section)
    for each in fields(section):
        name, hint = f"{prefix}{each.name}", hints[each.name]
        if isinstance(hint, type) and is_dataclass(hint):
            yield from _declared(hint, f"{name}.")
        else:
            yield DeclaredSetting(name, hint, each.default, each.metadata["setting"])
