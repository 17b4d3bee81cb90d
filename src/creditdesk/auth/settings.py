"""The settings of signing in, with their defaults and meanings."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthSettings:
    """How users prove who they are, and for how long that holds.

    `signing_key` signs access tokens; left empty, a key is made once and kept in the database.
    `revocation_seconds` is how long a changed user, role or password may go unnoticed.
    `sign_in_failures_account` / `_address` failures within `sign_in_window_seconds` refuse
    further sign-ins for what is left of the window; 0 switches that count off.
    `proxy_hops` is how many trusted proxies stand in front: a client's address is then read that
    many places from the end of X-Forwarded-For. `argon2_` settings are the cost of one check of a
    password; `waiting_sign_ins` may wait for theirs.
    """

    signing_key: str = field(default="", repr=False)
    access_seconds: int = 604_799
    refresh_seconds: int = 15 * 24 * 3600
    revocation_seconds: int = 5
    basic_seconds: int = 300
    password_min_length: int = 8
    sign_in_failures_per_account: int = 10
    sign_in_failures_per_address: int = 100
    sign_in_window_seconds: int = 300
    proxy_hops: int = 0
    argon2_time_cost: int = 2
    argon2_memory_kib: int = 19_456
    argon2_parallelism: int = 1
    argon2_threads: int = 2
    max_pending_sign_ins: int = 256
