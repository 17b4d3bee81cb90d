"""Jinja templates: everything escaped, undefined names are errors, one environment per language."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache
from typing import Any, Final

from babel import Locale
from jinja2 import Environment, PackageLoader, StrictUndefined

from creditdesk.console import icons
from creditdesk.console.formats import Formatter
from creditdesk.console.static_files import static_url
from creditdesk.console.translations import language_name, languages, translations

_ANY_INSTANT: Final = datetime(2026, 1, 1, tzinfo=UTC)
TEMPLATE_PACKAGE: Final = "creditdesk.console"


@cache
def environment(language: str) -> Environment:
    """The templates in a language."""
    created = Environment(
        loader=PackageLoader(TEMPLATE_PACKAGE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.i18n"],
    )
    i18n: Any = created
    i18n.install_gettext_translations(translations(language), newstyle=True)
    created.globals |= {
        "static_url": static_url,
        "icon": icons.icon,
        "languages": [(code, language_name(code)) for code in languages()],
    }
    return created


def warm_up() -> None:
    """Compiles every template in every language; call it on a thread before the first request."""
    for code in languages():
        found = environment(code)
        for name in found.list_templates():
            found.get_template(name)
        # The first use of a locale reads its data.
        Formatter(Locale.parse(code), UTC, _ANY_INSTANT).instant(_ANY_INSTANT)
        Formatter(Locale.parse(code), UTC, _ANY_INSTANT).money(1)
