"""The e-mail with a sign-in link: plain text and simple HTML, in the language of the page."""

from __future__ import annotations

from datetime import datetime, timedelta
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime as format_header_date
from email.utils import make_msgid, parseaddr
from typing import Final

from babel.dates import format_timedelta

from creditdesk.console.templating import environment
from creditdesk.console.translations import SOURCE_LANGUAGE, languages, mark, translations
from creditdesk.scheduler.link_mail import LinkMail

_SUBJECT: Final = mark("Your link to sign in")


def compose_link_mail(mail: LinkMail, sender: str, site_url: str, now: datetime) -> EmailMessage:
    """The message; a language without a catalogue is English. `site_url` is the server's own address."""
    language = mail.language if mail.language in languages() else SOURCE_LANGUAGE
    values = {
        "links": [(name, site_url.rstrip("/") + path) for name, path in mail.links],
        "lifetime": format_timedelta(timedelta(minutes=mail.minutes), threshold=2, locale=language),
    }
    found = environment(language)
    message = EmailMessage(SMTP)
    message["Subject"] = translations(language).gettext(_SUBJECT)
    message["From"] = sender
    message["To"] = mail.recipient
    message["Date"] = format_header_date(now)
    message["Message-ID"] = make_msgid(domain=parseaddr(sender)[1].rpartition("@")[2])
    # Marks the message as automatic, so that no out-of-office note is sent (RFC 3834).
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(found.get_template("link_mail.txt").render(values))
    message.add_alternative(found.get_template("link_mail.html").render(values, language=language), subtype="html")
    return message
