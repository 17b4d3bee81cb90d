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
"""Variables that commands read directly; any other variable with the prefix is a setting."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Constraints:
    """What a setting's field declares in addition to its type and default."""

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
    """The HTTP API. The first two settings choose between contradicting sources about the imitated API."""

    dir_convention: Literal["seed", "later"] = setting(
        "seed",
        "Meaning of the parameter `dir`: `seed` is 1 ascending, -1 descending; `later` is 0 ascending, 1 descending.",
    )
    unknown_filters: Literal["ignore", "refuse"] = setting(
        "ignore", "Whether list parameters that no entity declares are ignored or refused."
    )
    max_filters: int = setting(50, "The most filters of one list; a list with more is refused.", minimum=1, maximum=200)
    max_page_size: int = setting(
        10_000, "The most records on one page of a list; a larger `size` is reduced to this.", minimum=1, maximum=10_000
    )
    require_list_filters: bool = setting(
        False,
        "Whether to refuse a list that has none of the filters that its entity requires.",
    )
    body_limit_bytes: int = setting(1_048_576, "The longest request body; a longer one gets a 413.", minimum=1)
    body_seconds: int = setting(30, "Seconds in which a request body must arrive; a slower one gets a 408.", minimum=1)
    stored_response_days: int = setting(
        30,
        "Days for which the response to an `Idempotency-Key` is kept; the job `responses` and `creditdesk expire`"
        " remove older ones.",
        minimum=1,
    )
    publish_docs: bool = setting(True, "Whether anybody may read the OpenAPI document and the page at `/docs`.")
    require_ledger_roles: bool = setting(
        True,
        "Whether commands that move credit need the role of the same operation under `/api/ledger`. "
        "The imitated API requires only the entity's edit role.",
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
        "Origins of sites that may show a member's page in a frame, separated by commas, such as "
        "`https://www.example.com`; none if empty.",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthSettings:
    """How users authenticate, and for how long."""

    signing_key: str = setting(
        "",
        "Key that signs access tokens. If empty, a key is created once and kept in the database.",
        secret=True,
    )
    encryption_key: str = setting(
        "",
        "Keys that encrypt the secrets in the database, separated by commas: the first encrypts, all "
        "decrypt. If empty, the lines of the key file.",
        secret=True,
    )
    encryption_key_file: str = setting(
        "",
        "Path of the key file. If empty, the database's path with `.key`, or on PostgreSQL "
        "`encryption.key` in the user's data folder. A missing file is created.",
    )
    access_seconds: int = setting(604_799, "Lifetime of an access token.", minimum=1)
    expired_session_days: int = setting(
        30, "Days for which an expired session is kept on record; the job `sessions` removes older ones.", minimum=0
    )
    refresh_seconds: int = setting(15 * 24 * 3600, "Lifetime of a refresh token.", minimum=1)
    basic_seconds: int = setting(300, "How long a verified Basic password is cached in memory.", minimum=0)
    password_min_length: int = setting(8, "The fewest characters of a new password.", minimum=1, maximum=128)
    sign_in_free_failures: int = setting(
        5,
        "Failed sign-ins to one account, from one address or known client, that cause no wait; 0 "
        "disables the waits. Each further failure doubles the wait, starting at one second.",
        minimum=0,
    )
    sign_in_max_wait_seconds: int = setting(900, "The longest wait after a failed sign-in.", minimum=1)
    proxy_hops: int = setting(
        0,
        "Number of trusted proxies in front of the server: a client's address is read that many "
        "places from the end of X-Forwarded-For. With 0 behind a proxy, all clients have the proxy's "
        "address and share the waits after failed sign-ins.",
        minimum=0,
    )
    argon2_time_cost: int = setting(2, "Number of passes of a password hash.", minimum=1)
    argon2_memory_kib: int = setting(19_456, "Memory of a password hash, in KiB.", minimum=8)
    argon2_parallelism: int = setting(1, "Number of lanes of a password hash.", minimum=1)
    argon2_threads: int = setting(2, "Number of threads that hash passwords, per worker.", minimum=1, maximum=256)
    max_pending_sign_ins: int = setting(
        256, "Number of sign-ins that may wait for a thread; more are refused.", minimum=1
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class RateLimitSettings:
    """Calls that one caller may make to the whole service in a fixed window.

    0, the default, is no limit. The imitated service allows 60 writes a minute and 5,000 a day, and of all methods
    120 a minute, 5,000 an hour and 200,000 a day.
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
    cross_location: bool = setting(False, "Whether credit of one location may pay at another.")
    return_grace_days: int = setting(
        0,
        "Days for which credit is granted again if it is returned after its expiry; 0 does not grant it again.",
        minimum=0,
    )
    strict_posts: bool = setting(
        False,
        "Whether posted uses outside the credit's validity or booking window are refused. Otherwise "
        "they are accepted and marked as an override.",
    )
    take_closed_period_lines: bool = setting(
        False,
        "Whether corrections that take effect in a closed period are accepted and listed as "
        "exceptions. Otherwise they are refused.",
    )
    reprice_on_recalculate: bool = setting(
        False,
        "Whether a charged booking is priced at today's rate whenever it is recalculated. Otherwise "
        "its price stands until its times, resource, rate or own price change.",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class LogSettings:
    """What the server writes to standard error."""

    format: Literal["auto", "json", "text"] = setting(
        "auto",
        "`json` writes one object per line, `text` is for people, `auto` is text on a terminal and JSON elsewhere.",
    )
    requests: bool = setting(True, "Whether each request is logged.")


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricsSettings:
    """Metrics in Prometheus' format at `/metrics`, on a port of its own, without sign-in."""

    port: int = setting(0, "Port of `/metrics`; 0 disables the metrics.", minimum=0, maximum=65_535)
    host: str = setting("127.0.0.1", "Address that the port listens on.")


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceSettings:
    """Traces by OpenTelemetry, which need the extra `otel`."""

    endpoint: str = setting(
        "", "URL of a collector for OTLP over HTTP, such as `http://127.0.0.1:4318/v1/traces`; no traces if empty."
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class BackupSettings:
    """Backups by the scheduled job `backup`, once a night."""

    folder: str = setting("", "Folder for backups, best on another disk. If empty, the job makes no backups.")
    keep_days: int = setting(30, "Days after which the job removes a backup that it made.", minimum=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class MailSettings:
    """E-mails with sign-in links for members, sent by the scheduled job `mail` over SMTP."""

    host: str = setting("", "Host name of the SMTP server. If empty, no e-mails are sent or offered.")
    port: int = setting(587, "Port of the SMTP server.", minimum=1, maximum=65_535)
    security: Literal["starttls", "tls", "none"] = setting(
        "starttls", "`starttls` encrypts after connecting, `tls` from the first byte (port 465); `none` does not."
    )
    user: str = setting("", "User name at the SMTP server; none if empty.")
    password: str = setting("", "Password at the SMTP server.", secret=True)
    sender: str = setting("", "Sender address of e-mails, such as `Credit <credit@example.com>`.")
    site_url: str = setting(
        "", "Public address of this server, with which links begin, such as `https://credit.example.com`."
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class RetentionSettings:
    """How long records are kept that would otherwise accumulate; the scheduled job `purge` removes older ones.

    Uses and journal entries are kept for ever.
    """

    audit_days: int = setting(
        0,
        "Days for which records of the audit trail are kept, including the addresses of sign-ins; 0 "
        "keeps them for ever. The records that remain can still be verified.",
        minimum=0,
    )
    report_days: int = setting(
        0,
        "Days for which saved reports are kept in `report_folder` after the end of their month, at "
        "least two months; 0 keeps them for ever. Closings are always kept.",
        minimum=0,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All settings, in sections."""

    database: str = setting(
        "",
        "`sqlite:///path` or `postgresql://user:password@host/name`. If empty, a file in the user's data folder.",
        secret=True,
    )
    database_password_file: str = setting(
        "", "Path of a file with the password of PostgreSQL, instead of one in the URL."
    )
    replica: str = setting(
        "",
        "`postgresql://…` of a read replica of the database, a single host. Responses to writes then "
        "have the header `X-Creditdesk-Position`; a read that sends one is served by the replica once"
        " it has replayed that position.",
        secret=True,
    )
    reports_on_replica: bool = setting(False, "Whether reports are computed on the replica, from what it has replayed.")
    connections: int = setting(4, "Connections to PostgreSQL per worker.", minimum=1, maximum=1000)
    client_connections: int = setting(8192, "Client connections per worker; more have to wait.", minimum=1)
    idle_seconds: int = setting(20, "Seconds after which a connection that sends no request is closed.", minimum=1)
    busy_seconds: int = setting(
        5,
        "Seconds for which a write of the server waits while another program holds the SQLite file; "
        "then it gets a 503.",
        minimum=1,
        maximum=60,
    )
    statement_seconds: int = setting(
        10,
        "Seconds that one statement of PostgreSQL, or one read of SQLite, may take; then it is "
        "cancelled and the request gets a 503.",
        minimum=1,
        maximum=600,
    )
    report_folder: str = setting(
        "",
        "Folder to which `creditdesk jobs` writes saved reports and closings. If empty, `reports` in "
        "the user's data folder.",
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
    """One setting with its dotted name, for the loader and the reference page."""

    name: str
    type: Any
    default: Any
    constraints: Constraints

    @property
    def variable(self) -> str:
        return variable_of(self.name)

    @property
    def file_variable(self) -> str | None:
        """The environment variable that names a file with the value; None if the setting is not a secret."""
        variable = f"{self.variable}_FILE"
        taken = variable in (variable_of(name) for name in declared_settings())
        return variable if self.constraints.secret and not taken else None

    @property
    def expected(self) -> str:
        """The accepted values, in words."""
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
