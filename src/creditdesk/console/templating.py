"""Jinja templates: everything escaped, undefined names are errors, one environment per language."""

from __future__ import annotations

from functools import cache
from typing import Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined

from creditdesk.console import icons
from creditdesk.console.static_files import static_url
from creditdesk.console.translations import language_name, languages, translations

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
