"""A report as PDF/A-2a and PDF/UA-1, set by Typst: equal bytes for an equal report.

Typst and segno are an extra of the package (`creditdesk[pdf]`). The data are passed to the template as JSON,
never as markup, so no cell can change the document.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import asdict
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from creditdesk.reports.documents import cell_text
from creditdesk.reports.layout import paper_tables, section_tables
from creditdesk.reports.pdf_characters import (
    REPLACEMENT,
    TooManyMissing,
    missing_characters,
    replace_characters,
)
from creditdesk.reports.result import ReportFooter, ReportResult, Wording, label
from creditdesk.schema.errors import invalid_field

MAX_PDF_ROWS: Final = 20_000
"""A longer report belongs in a spreadsheet."""

_FOLDER: Final = Path(__file__).parent
_TEMPLATE: Final = _FOLDER / "report.typ"
_STANDARDS: Final = ("a-2a", "ua-1")
_CHARACTERS_TEMPLATE: Final = (
    b'#set document(title: "x")\n#set text(font: "Inter", lang: "en")\n#text(sys.inputs.characters)'
)
_QR_TEXT: Final = label("QR code of the proof: period, known as of, entries, digest, checkpoint")
_NOT_SHOWN: Final = label(f"{REPLACEMENT} stands for a character that this file cannot show; CSV and XLSX have it.")
_PORTRAIT: Final = frozenset({"statement"})


def report_pdf(result: ReportResult) -> bytes:
    """The report as a PDF. Raises ValidationError where the extra is missing, or for too many rows."""
    if find_spec("typst") is None or find_spec("segno") is None:
        raise invalid_field("Format", "needs the extra of the package: pip install 'creditdesk[pdf]'")
    if len(result.rows) > MAX_PDF_ROWS:
        raise invalid_field(
            "Format", f"has at most {MAX_PDF_ROWS} rows as PDF, and this report {len(result.rows)}: use xlsx"
        )
    typst: Any = import_module("typst")
    data = _data(result)
    try:
        return _compile(str(_TEMPLATE), data=json.dumps(data, ensure_ascii=False))
    except typst.TypstError:
        missing = _missing_characters(data, typst.TypstError)
        if not missing:
            raise
    shown = replace_characters(data, missing)
    shown["notes"].append(result.wording(_NOT_SHOWN))
    return _compile(str(_TEMPLATE), data=json.dumps(shown, ensure_ascii=False))


def _compile(source: str | bytes, **inputs: str) -> bytes:
    typst: Any = import_module("typst")
    body: bytes = typst.compile(
        source,
        font_paths=_fonts(),
        sys_inputs=inputs,
        format="pdf",
        pdf_standards=list(_STANDARDS),
    )
    return body


@cache
def _fonts() -> Any:
    typst: Any = import_module("typst")
    return typst.Fonts(include_system_fonts=False, font_paths=[str(_FOLDER / "fonts")])


def _missing_characters(data: Mapping[str, Any], compile_error: type[Exception]) -> set[str]:
    def can_show(characters: str) -> bool:
        try:
            _compile(_CHARACTERS_TEMPLATE, characters="\n".join(characters))
        except compile_error:
            return False
        return True

    try:
        return missing_characters(data, can_show)
    except TooManyMissing as error:
        raise invalid_field("Format", "pdf lacks the characters of this report: use xlsx") from error


def proof_text(result: ReportResult) -> str:
    """The text of the QR code: enough to compare a copy with the ledger."""
    footer = result.footer
    checkpoint = "none" if footer.checkpoint is None else f"{footer.checkpoint} {footer.checkpoint_root}"
    return (
        f"creditdesk {result.name}\nperiod {footer.period}\nknown as of {cell_text(footer.known_as_of)}\n"
        f"entries {footer.entries}\nheads {footer.heads_digest}\ncheckpoint {checkpoint}"
    )


def _data(result: ReportResult) -> dict[str, Any]:
    segno: Any = import_module("segno")
    code = io.BytesIO()
    segno.make(proof_text(result), error="m", micro=False).save(code, kind="svg", border=0)
    known = result.footer.known_as_of
    worded = result.wording
    return {
        "language": worded("en"),
        "words": {
            "rows": worded("Rows"),
            "none": worded("No rows."),
            "pages": worded("1 of 1"),
            "code": worded(_QR_TEXT),
        },
        "title": worded(result.title),
        "subtitle": worded(result.subtitle),
        "period": worded(result.footer.period),
        "is_portrait": result.name in _PORTRAIT,
        "date": [known.year, known.month, known.day],
        "sections": [asdict(each) for each in section_tables(result)],
        "tables": [asdict(each) for each in paper_tables(result)],
        "proof": _proof_lines(result.footer, worded),
        "notes": [worded(note) for note in result.footer.notes],
        "qr": code.getvalue().decode(),
    }


def _proof_lines(footer: ReportFooter, worded: Wording) -> list[list[str]]:
    zones = "; ".join(
        f"{each.name} ({each.zone}): "
        + worded(f"{cell_text(each.starts_utc) or 'the beginning'} to {cell_text(each.ends_utc) or 'now'}")
        for each in footer.locations
    )
    checkpoint = worded(
        "none yet" if footer.checkpoint is None else f"{footer.checkpoint}, root {footer.checkpoint_root}"
    )
    variance = ", ".join(f"{unit} {worded(cell_text(amount))}" for unit, amount in footer.variance)
    lines = [
        [worded("Period in UTC"), zones or worded("no location")],
        [worded("Known as of"), worded(cell_text(footer.known_as_of))],
        [worded("Journal entries"), str(footer.entries)],
        [worded("Digest of the heads"), footer.heads_digest],
        [worded("Checkpoint"), checkpoint],
    ]
    return [*lines, [worded("Variance"), variance]] if variance else lines
