"""A mail server on the loopback address that keeps what it is sent, and the plan of a job that sends to it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from typing import Any
from weakref import WeakSet

from aiosmtpd.smtp import SMTP

from creditdesk.auth.member_links import LinkSigner
from creditdesk.auth.tokens import signing_secret
from creditdesk.console.member.link_mail import compose_link_mail
from creditdesk.scheduler.link_mail import LinkMail, MailPlan
from creditdesk.schema.repository import Store
from creditdesk.settings import AuthSettings, MailSettings
from creditdesk.smtp import MailServer

SITE = "https://credit.example.com"
SENDER = "Credit <credit@example.com>"


@dataclass
class KeptMail:
    """A handler of aiosmtpd. `replies` are those to recipients, in place of acceptance.

    `closes` makes it close a connection when a second mail begins, `forgets` before it confirms a mail that it took.
    """

    messages: list[EmailMessage] = field(default_factory=list)
    replies: dict[str, str] = field(default_factory=dict)
    closes: bool = False
    forgets: bool = False
    served: WeakSet[Any] = field(default_factory=WeakSet)

    async def handle_MAIL(  # noqa: N802 - the name that aiosmtpd calls
        self, server: Any, session: Any, envelope: Any, address: str, options: list[str]
    ) -> str:
        if self.closes and session in self.served:
            server.transport.close()
        envelope.mail_from = address
        return "250 OK"

    async def handle_RCPT(  # noqa: N802 - the name that aiosmtpd calls
        self, server: Any, session: Any, envelope: Any, address: str, options: list[str]
    ) -> str:
        if reply := self.replies.get(address):
            return reply
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802 - as above
        message = message_from_bytes(envelope.content, policy=default)
        assert isinstance(message, EmailMessage)
        assert envelope.rcpt_tos == [message["To"]]
        self.messages.append(message)
        self.served.add(session)
        if self.forgets:
            server.transport.close()
        return "250 OK"


@asynccontextmanager
async def mail_server() -> AsyncIterator[tuple[KeptMail, MailSettings]]:
    """A running server: what it keeps, and the settings that name it."""
    kept = KeptMail()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: SMTP(kept, hostname="mail.test", loop=loop), "127.0.0.1", 0)
    async with server:
        yield kept, mail_settings(server.sockets[0].getsockname()[1])


def mail_settings(port: int) -> MailSettings:
    return MailSettings(host="127.0.0.1", port=port, security="none", sender=SENDER, site_url=SITE)


async def mail_plan(store: Store, settings: MailSettings, now: datetime) -> MailPlan:
    """The plan as the command line makes it."""
    auth = AuthSettings()
    signer = LinkSigner(await signing_secret(store, auth, now), auth)

    def compose(mail: LinkMail) -> EmailMessage:
        return compose_link_mail(mail, settings.sender, settings.site_url, now)

    return MailPlan(MailServer(settings), compose, signer)
