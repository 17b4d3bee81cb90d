"""Links that an operator creates for a member: to sign in once, or to embed the member's page in a site.

A link is a signed token with one purpose and an expiry. It names a user and a customer, and the
session that it opens is limited to this customer, so a link gives nobody the rights of the operator.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final

from creditdesk.auth.audit_trail import AuditAction, record_user_event
from creditdesk.auth.credentials import find_credential, save_credential
from creditdesk.auth.members import load_member
from creditdesk.auth.origin import RequestOrigin
from creditdesk.auth.refresh import IssuedToken, issue_refresh_token
from creditdesk.auth.sessions import SignInMethod, find_session, find_session_of_family, open_session
from creditdesk.auth.signed_tokens import TokenSigner, parse_id
from creditdesk.auth.token_responses import TokenError
from creditdesk.auth.users_admin import create_user
from creditdesk.entities.security.credential import Credential
from creditdesk.entities.spaces.coworker import Coworker
from creditdesk.entities.sys.user import User
from creditdesk.schema.entity import Record
from creditdesk.schema.errors import StateConflict, Unauthenticated, invalid_field
from creditdesk.schema.records import new_unique_id, update_stamp
from creditdesk.schema.repository import ReadSession, WriteSession
from creditdesk.schema.service import RequestContext
from creditdesk.settings import AuthSettings

MAX_LINK_MINUTES: Final = 7 * 24 * 60
DEFAULT_LINK_MINUTES: Final = 24 * 60
MEMBER_LINK_GRANT: Final = "member_link"
"""The `grant_type` by which the token endpoint takes a sign-in link."""
_WRONG_LINK: Final = "The link is not valid, or it has expired. Please ask for a new one."


class LinkPurpose(StrEnum):
    """What a link is for. A link of one purpose is not valid for another."""

    SIGN_IN = "sign-in"
    FRAME = "frame"


@dataclass(frozen=True, slots=True)
class MemberLink:
    """A link: its token, purpose and expiry."""

    token: str
    purpose: LinkPurpose
    expires: datetime

    @property
    def path(self) -> str:
        """The path of the page that it opens."""
        return f"/me/{'link' if self.purpose is LinkPurpose.SIGN_IN else 'frame'}/{self.token}"


@dataclass(frozen=True, slots=True)
class _LinkClaims:
    user_id: int
    customer_id: int
    version: int
    identifier: str
    session_id: int
    expires_at: int


class LinkSigner:
    """Signs and reads links with one key, which is not that of access tokens.

    A link lasts no longer than the session that it opens, because that session shows that the link was used.
    """

    def __init__(self, secret: str, settings: AuthSettings) -> None:
        self.max_lifetime = timedelta(seconds=settings.refresh_seconds)
        self._signer = TokenSigner(secret, "member link")

    def sign(self, purpose: LinkPurpose, claims: _LinkClaims) -> str:
        return self._signer.sign({
            "aud": purpose.value, "sub": str(claims.user_id), "cus": claims.customer_id, "ver": claims.version,
            "jti": claims.identifier, "sid": claims.session_id, "exp": claims.expires_at,
        })  # fmt: skip

    def read(self, token: str, purpose: LinkPurpose, now: datetime) -> _LinkClaims | None:
        """The claims of a link; None for another purpose, a wrong signature, or after its expiry."""
        claims = self._signer.read(token, ("sub", "aud", "exp", "jti"), _parse_claims, purpose.value)
        return claims if claims is not None and now.timestamp() < claims.expires_at else None


def _parse_claims(payload: Mapping[str, Any]) -> _LinkClaims:
    return _LinkClaims(
        parse_id(payload["sub"]), parse_id(payload["cus"]), int(payload["ver"]), str(payload["jti"]),
        int(payload["sid"]), int(payload["exp"]),
    )  # fmt: skip


async def create_link(
    session: WriteSession,
    customer_id: int,
    purpose: LinkPurpose,
    minutes: int,
    signer: LinkSigner,
    context: RequestContext,
) -> MemberLink:
    """Creates a link for a customer, and a user for a customer without one.

    Raises ValidationError for a customer without an e-mail of its own, StateConflict for one that is
    archived or not active, or whose user is not active, PermissionDenied for one with the e-mail of a user whom the
    principal does not see.
    """
    now = context.now
    customer = await session.get(Coworker, customer_id)
    if customer is None:
        raise invalid_field("CoworkerId", "is not found", customer_id)
    if customer["Archived"] or not customer["Active"]:
        raise StateConflict("This customer is not active, so it cannot sign in.")
    user = await _user_of(session, customer, context)
    if not user["Active"]:
        raise StateConflict("The user of this customer is not active.")
    credential = await find_credential(session, user["Id"])
    if credential is None:
        await save_credential(session, user["Id"], user["Email"], now)
        credential = await find_credential(session, user["Id"])
        assert credential is not None
    expires = now + min(timedelta(minutes=minutes), signer.max_lifetime)
    session_id = 0
    if purpose is LinkPurpose.FRAME:
        opened = await open_session(
            session, user["Id"], "frame", SignInMethod.FRAME, now, expires, customer_id=customer_id
        )
        session_id = opened["Id"]
    claims = _LinkClaims(
        user["Id"], customer_id, credential["Version"], new_unique_id(now), session_id, int(expires.timestamp())
    )
    return MemberLink(signer.sign(purpose, claims), purpose, expires)


async def _user_of(session: WriteSession, customer: Record, context: RequestContext) -> Record:
    """The user of a customer; created without any rights if there is none."""
    user_id = customer["UserId"]
    if not user_id:
        user_id = await create_user(
            session, customer["Email"] or "", None, customer["FullName"] or "", is_admin=False, now=context.now,
            businesses=customer["Businesses"], has_api_access=False, principal=context.principal,
        )  # fmt: skip
        await session.update(
            Coworker, [(customer["Id"], {"UserId": user_id, **update_stamp(context.now, context.principal.email)})]
        )
    user = await session.get(User, user_id)
    if user is None:
        raise StateConflict("The user of this customer does not exist.")
    return user


async def sign_in_by_link(
    session: WriteSession,
    token: str,
    signer: LinkSigner,
    client_id: str,
    now: datetime,
    settings: AuthSettings,
    origin: RequestOrigin,
) -> IssuedToken:
    """Opens the session of a sign-in link, once; its identifier becomes that of the session.

    Raises TokenError for a link that is no longer valid: after its expiry, its first use, or a change of its user's
    password.
    """
    claims = signer.read(token, LinkPurpose.SIGN_IN, now)
    credential = await find_credential(session, claims.user_id) if claims else None
    if claims is None or credential is None:
        raise TokenError("invalid_grant", _WRONG_LINK)
    locked = (await session.lock(Credential, [credential["Id"]])).get(credential["Id"])
    if locked is None or locked["Version"] != claims.version:
        raise TokenError("invalid_grant", _WRONG_LINK)
    if await find_session_of_family(session, claims.identifier) is not None:
        raise TokenError("invalid_grant", "The link was used before. Please ask for a new one.")
    user = await session.get(User, claims.user_id)
    if user is None or not user["Active"] or await load_member(session, user, claims.customer_id) is None:
        raise TokenError("invalid_grant", _WRONG_LINK)
    issued = await issue_refresh_token(
        session, locked, client_id, now, settings, SignInMethod.LINK, origin,
        family=claims.identifier, customer_id=claims.customer_id,
    )  # fmt: skip
    details = {"SessionId": issued.session_id, "ClientId": client_id, "CoworkerId": claims.customer_id}
    await record_user_event(session, AuditAction.SIGN_IN, claims.user_id, now, origin, details)
    return issued


async def session_of_frame(session: ReadSession, token: str, signer: LinkSigner, now: datetime) -> tuple[int, int]:
    """The user and the session of a frame link. Raises Unauthenticated if it is no longer valid."""
    claims = signer.read(token, LinkPurpose.FRAME, now)
    opened = await find_session(session, claims.session_id) if claims else None
    if claims is None or opened is None or opened["EndedOn"] is not None:
        raise Unauthenticated(_WRONG_LINK)
    return claims.user_id, claims.session_id
