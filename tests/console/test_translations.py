"""Every text of the pages is in every catalogue, translated, with the same placeholders."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from enum import StrEnum
from functools import cache
from itertools import chain
from pathlib import Path

import httpx
import pytest
from babel.messages.catalog import Catalog
from babel.messages.extract import DEFAULT_KEYWORDS, extract_from_dir
from babel.messages.pofile import read_po

import creditdesk.console
from creditdesk.auth.audit_trail import AuditAction
from creditdesk.console.code_texts import ACT_TEXTS, HOLD_TEXTS, OPERATION_TEXTS
from creditdesk.console.journal_table import LINE_TITLES
from creditdesk.console.labels import declared_texts
from creditdesk.console.member.words import UNIT_WORDS
from creditdesk.console.sources import SOURCE_TITLES
from creditdesk.console.translations import LOCALE_FOLDER, SOURCE_LANGUAGE, VALUE, languages
from creditdesk.entities.catalog import PUBLIC_ENTITIES
from creditdesk.entities.states import HoldState, Operation
from creditdesk.ledger.actions import ledger_actions
from creditdesk.ledger.journal.entry import EntryType
from creditdesk.ledger.journal.reasons import GENERATED_REASONS
from creditdesk.ledger.journal.transaction import LedgerContext
from creditdesk.ledger.rules.credit import CreditType, SourceKind
from creditdesk.ledger.rules.funding import FundingKind
from creditdesk.ledger.rules.pool_caps import CapPeriod
from creditdesk.reports.exception_rules import Severity
from creditdesk.settings import LedgerSettings
from tests.support.api_messages import api_messages
from tests.support.record_builder import NOW

CODES: tuple[type[StrEnum], ...] = (CreditType, FundingKind, EntryType, Severity, SourceKind)
"""The codes that reports show in cells."""
WORDS = (
    {each.value.replace("_", " ") for each in SourceKind}
    | {f"{each.value.replace('_', ' ')} {VALUE}" for each in SourceKind}
    | {f"{each.value} {VALUE}" for each in (CreditType.MONEY, CreditType.TIME, CreditType.PRINTING)}
    | {each.name.lower() for each in CapPeriod}
    | {f"{each}{end}" for each in UNIT_WORDS if "_" not in each for end in ("", "s")}
)
"""The words of codes within explanations, and in cells and footers of reports."""
CONSOLE = Path(creditdesk.console.__file__).parent
METHODS = [
    ("templates/**.html", "jinja2.ext.babel_extract"),
    ("templates/**.txt", "jinja2.ext.babel_extract"),
    ("**.py", "python"),
]
PLACEHOLDER = re.compile(r"%\((\w+)\)s")
CATALOGUES = [code for code in languages() if code != SOURCE_LANGUAGE]

MessageKey = str | tuple[str, ...]


@cache
def used_texts() -> frozenset[MessageKey]:
    """The texts of templates and modules, plural forms as pairs, and the words of what is declared."""
    keywords = {**DEFAULT_KEYWORDS, "mark": None, "translate": None}
    options = {pattern: {"trimmed": "false", "silent": "false"} for pattern, _ in METHODS[:2]}
    found = extract_from_dir(str(CONSOLE), METHODS, options, keywords)
    written = frozenset(message if isinstance(message, str) else tuple(message) for _, _, message, _, _ in found)
    actions = ledger_actions(LedgerContext(lambda: NOW, LedgerSettings()))
    codes = {each.value for codes in CODES for each in codes}
    return (
        written
        | codes
        | WORDS
        | set(GENERATED_REASONS)
        | api_messages()
        | declared_texts(PUBLIC_ENTITIES, chain.from_iterable(actions.values()))
    )


def catalogue(code: str) -> Catalog:
    with (LOCALE_FOLDER / f"{code}.po").open("rb") as file:
        return read_po(file, locale=code)


def texts_of(value: str | list[str] | tuple[str, ...] | None) -> list[str]:
    return [value] if isinstance(value, str) else list(value or ("",))


def test_english_and_spanish_are_offered() -> None:
    assert languages() == ("en", "es")


@pytest.mark.parametrize("code", CATALOGUES)
def test_catalogue_has_exactly_the_texts_that_are_used(code: str) -> None:
    kept = {
        message.id if isinstance(message.id, str) else tuple(message.id) for message in catalogue(code) if message.id
    }
    assert (sorted(map(str, used_texts() - kept)), sorted(map(str, kept - used_texts()))) == ([], [])


@pytest.mark.parametrize(
    ("texts", "codes"),
    [
        (ACT_TEXTS, AuditAction),
        (HOLD_TEXTS, HoldState),
        (OPERATION_TEXTS, Operation),
        (LINE_TITLES, EntryType),
        (SOURCE_TITLES, SourceKind),
    ],
)
def test_every_code_in_a_column_of_records_has_its_text(texts: Mapping[str, str], codes: Iterable[str]) -> None:
    assert set(codes) - set(texts) == set()


@pytest.mark.parametrize("code", CATALOGUES)
def test_catalogue_has_each_text_once(code: str) -> None:
    text = (LOCALE_FOLDER / f"{code}.po").read_text("utf-8")
    messages = re.findall(r"^msgid ((?:\".*\"\n)+)", text, re.MULTILINE)
    assert [each for each, times in Counter(messages).items() if times > 1] == []


@pytest.mark.parametrize("code", CATALOGUES)
def test_every_text_is_translated_with_its_placeholders(code: str) -> None:
    for message in catalogue(code):
        if not message.id:
            continue
        translated = texts_of(message.string)
        assert all(translated), message.id
        assert not message.fuzzy, message.id
        expected = {name for text in texts_of(message.id) for name in PLACEHOLDER.findall(text)}
        for text in translated:
            assert set(PLACEHOLDER.findall(text)) == expected, message.id


async def test_browser_language_and_choice_decide(console: httpx.AsyncClient, stranger: httpx.AsyncClient) -> None:
    spanish = await stranger.get("/console/sign-in", headers={"accept-language": "es-MX,es;q=0.9,en;q=0.5"})
    assert '<html lang="es"' in spanish.text
    assert "Contraseña" in spanish.text
    unknown = await stranger.get("/console/sign-in", headers={"accept-language": "fi"})
    assert '<html lang="en"' in unknown.text
    chosen = await console.post("/console/preferences", data={"language": "es", "theme": "dark", "next": "/console/"})
    page = await console.get(chosen.headers["location"])
    assert '<html lang="es" data-theme="dark"' in page.text
    await console.post("/console/preferences", data={"language": "en", "theme": "auto"})
