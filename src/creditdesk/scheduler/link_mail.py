"""The job that sends sign-in links by e-mail, requested by members or operators.

No page waits for the mail server: requests are stored and retried.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from email.message import EmailMessage
from time import monotonic
from typing import Final

from creditdesk.auth.link_requests import (
    LINK_SENT,
    NOBODY_MESSAGE,
    create_requested_links,
    delete_ended_requests,
    end_request,
    find_due_requests,
    postpone_request,
)
from creditdesk.auth.member_links import LinkSigner
from creditdesk.schema.entity import Record
from creditdesk.schema.repository import Store
from creditdesk.smtp import Mailbox, MailRejected, MailServer, MailServerError

MAIL_JOB: Final = "mail"
MAIL_SECONDS: Final = 60.0
"""How long one run sends mails to a slow server before the other jobs run."""


@dataclass(frozen=True, slots=True)
class LinkMail:
    """The content and recipient of one e-mail: a link for each customer of the recipient, with its name."""

    recipient: str
    language: str
    minutes: int
    links: Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class MailPlan:
    """The mail server, the composer of the e-mails, and the signer of their links."""

    server: MailServer
    compose: Callable[[LinkMail], EmailMessage]
    signer: LinkSigner


@dataclass(frozen=True, slots=True)
class SentMail:
    """How many requests were sent, and why others were delayed or ended."""

    sent: int
    problems: tuple[str, ...]


async def send_link_mail(store: Store, plan: MailPlan, clock: Callable[[], datetime]) -> SentMail:
    """Sends what is due, for about MAIL_SECONDS; the rest stays due.

    Safe to repeat. A mail is sent at least once: twice where the process, or the connection to the mail server, ends
    between the server's acceptance and the commit.
    """
    async with store.write_session() as session:
        await delete_ended_requests(session, clock())
    async with store.read_session() as reading:
        due = await find_due_requests(reading, clock())
    if not due:
        return SentMail(0, ())
    sent, problems, until = 0, dict[str, None](), monotonic() + MAIL_SECONDS
    try:
        async with plan.server.connect() as mailbox:
            for request in due:
                try:
                    sent += await _answer(store, plan, mailbox, request, clock())
                except Exception as error:
                    # One mail that cannot be sent must not prevent the others.
                    problems[await _note_failure(store, request, error, clock())] = None
                if monotonic() >= until:
                    break
    except MailServerError as error:
        for request in due:
            problems[await _note_failure(store, request, error, clock())] = None
    return SentMail(sent, tuple(problems))


async def _answer(store: Store, plan: MailPlan, mailbox: Mailbox, request: Record, now: datetime) -> int:
    """Sends the mails of a request and returns their number; 0 if no customer of this e-mail may sign in."""
    async with store.write_session() as session:
        links = await create_requested_links(session, request, plan.signer, now)
    for recipient, listed in links.items():
        await mailbox.send(plan.compose(LinkMail(recipient, request["Language"], request["Minutes"], listed)))
    async with store.write_session() as session:
        await end_request(session, request, LINK_SENT if links else NOBODY_MESSAGE, now)
    return 1 if links else 0


async def _note_failure(store: Store, request: Record, error: Exception, now: datetime) -> str:
    """Ends a request that the server rejects, and postpones any other; returns the reason."""
    reason = str(error) or type(error).__name__
    change = end_request if isinstance(error, MailRejected) else postpone_request
    async with store.write_session() as session:
        await change(session, request, reason, now)
    return reason
