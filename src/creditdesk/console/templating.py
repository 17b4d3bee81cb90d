"""Jinja templates: everything escaped, undefined names are errors, one environment per language.

Compiling them takes half a second during which other threads hardly run, so compiled templates are kept in a private
temporary folder, for all languages, processes and restarts.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from functools import cache
from typing import Any, Final

from babel import Locale
from jinja2 import BytecodeCache, Environment, FileSystemBytecodeCache, PackageLoader, StrictUndefined
from jinja2.bccache import Bucket

from creditdesk import __version__
from creditdesk.console import icons
from creditdesk.console.formats import Formatter
from creditdesk.console.markup import with_code
from creditdesk.console.static_files import static_url
from creditdesk.console.translations import language_name, languages, translations

_ANY_INSTANT: Final = datetime(2026, 1, 1, tzinfo=UTC)
TEMPLATE_PACKAGE: Final = "creditdesk.console"


class CompiledTemplates(FileSystemBytecodeCache):
    """Compiled templates in files; if they cannot be written, the next process compiles them again."""

    def dump_bytecode(self, bucket: Bucket) -> None:
        with suppress(OSError):
            super().dump_bytecode(bucket)


@cache
def compiled_templates() -> BytecodeCache | None:
    """Null where there is no folder that only this user may change."""
    try:
        return CompiledTemplates(pattern=f"creditdesk-{__version__}-%s.cache")
    except (OSError, RuntimeError):
        return None


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
        bytecode_cache=compiled_templates(),
    )
    i18n: Any = created
    i18n.install_gettext_translations(translations(language), newstyle=True)
    created.filters["with_code"] = with_code
    created.globals |= {
        "static_url": static_url,
        "icon": icons.icon,
        "languages": [(code, language_name(code)) for code in languages()],
    }
    return created


def warm_up() -> None:
    """Loads every template in every language, and compiles those that no process has compiled yet."""
    for code in languages():
        found = environment(code)
        for name in found.list_templates():
            found.get_template(name)
        # The first use of a locale reads its data.
        Formatter(Locale.parse(code), UTC, _ANY_INSTANT).instant(_ANY_INSTANT)
        Formatter(Locale.parse(code), UTC, _ANY_INSTANT).money(1)
