"""Sends e-mails over SMTP, by the settings under `mail`."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email.message import EmailMessage
from typing import Final

import aiosmtplib

from creditdesk.settings import MailSettings

SMTP_SECONDS: Final = 10
"""How long one step of the SMTP dialogue may take, in seconds."""


class MailServerError(Exception):
    """The server cannot be reached or does not accept mail now, but may do so later."""


class MailRejected(Exception):
    """The server rejects this mail permanently."""


class Mailbox:
    """A connection to the server; a broken one is reopened for the next mail."""

    def __init__(self, client: aiosmtplib.SMTP) -> None:
        self._client = client

    async def send(self, message: EmailMessage) -> None:
        """Sends the mail. Raises MailRejected or MailServerError."""
        try:
            if not self._client.is_connected:
                await self._client.connect()
            await self._client.send_message(message)
        except aiosmtplib.SMTPRecipientsRefused as error:
            _raise(error.recipients[0].code, error.recipients[0].message)
        except aiosmtplib.SMTPResponseException as error:
            _raise(error.code, error.message)
        except (aiosmtplib.SMTPException, OSError) as error:
            # A late response must not be taken for that to the next mail.
            self._client.close()
            raise MailServerError(str(error) or type(error).__name__) from error


class MailServer:
    """The server that the settings name."""

    def __init__(self, settings: MailSettings) -> None:
        self._settings = settings

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[Mailbox]:
        """A connection for the duration of the block. Raises MailServerError if it cannot be opened."""
        settings = self._settings
        client = aiosmtplib.SMTP(
            hostname=settings.host, port=settings.port, timeout=SMTP_SECONDS,
            username=settings.user or None, password=settings.password or None,
            use_tls=settings.security == "tls", start_tls=settings.security == "starttls",
            tls_context=None if settings.security == "none" else ssl.create_default_context(),
        )  # fmt: skip
        try:
            await client.connect()
        except (aiosmtplib.SMTPException, OSError) as error:
            raise MailServerError(str(error) or type(error).__name__) from error
        try:
            yield Mailbox(client)
        finally:
            client.close()


def _raise(code: int, message: str) -> None:
    """Codes from 500 on are final (RFC 5321, section 4.2.1)."""
    text = f"{code} {message}"
    raise MailRejected(text) if code >= 500 else MailServerError(text)
