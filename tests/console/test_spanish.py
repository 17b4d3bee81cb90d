"""A Spanish browser meets Spanish everywhere: lists, records, forms, the API's errors and notices."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from io import BytesIO

import httpx
import openpyxl
import pypdf
import pytest
import pytest_asyncio
from starlette.types import ASGIApp

from creditdesk.console.translations import VALUE, translated_message
from tests.console.conftest import browser
from tests.console.forms import fields_of
from tests.support.api_client import ApiClient
from tests.support.api_messages import api_messages

CREDITS = "/console/records/billing/coworkerbookingcredits"


@pytest_asyncio.fixture
async def spanish(app: ASGIApp, admin_token: str) -> AsyncIterator[httpx.AsyncClient]:
    """The administrator's browser, which asks for Spanish."""
    async with browser(app, admin_token) as opened:
        opened.headers["accept-language"] = "es"
        yield opened


async def test_lists_and_records_call_fields_and_choices_by_spanish_names(
    spanish: httpx.AsyncClient, api: ApiClient
) -> None:
    credit = await api.create_credit("20.00")
    listed = (await spanish.get(f"{CREDITS}?columns=TotalCredit,RemainingCredit,CoworkerFullName")).text
    for text in ("Créditos en dinero", "Crédito total", "Crédito restante", "Cliente: nombre completo"):
        assert text in listed
    entries = "/console/records/ledger/entries"
    lines = (await spanish.get(f"{entries}?JournalLine_Kind=grant")).text
    assert lines.count("Concedido") > 1
    assert "<td>grant</td>" not in lines
    assert ">Devuelto</option>" in (await spanish.get(f"{entries}/filter-value?field=Kind")).text
    record = (await spanish.get(f"{CREDITS}/{credit}")).text
    assert "Sirve para reservas" in record
    assert "Can be used" not in record
    form = (await spanish.get("/console/records/billing/extraservices/new")).text
    assert "Periodo de cobro" in form
    assert ">Minutos</option>" in form
    workbook = openpyxl.load_workbook(BytesIO((await spanish.get(f"{CREDITS}/export.xlsx")).content))
    assert "Crédito total" in [cell.value for cell in workbook.worksheets[0][1]]


async def test_errors_and_notices_of_the_api_are_spanish(spanish: httpx.AsyncClient, api: ApiClient) -> None:
    form = fields_of((await spanish.get(f"{CREDITS}/new")).text)
    wrong = await spanish.post(f"{CREDITS}/new", data={**form, "TotalCredit": "lots"})
    assert wrong.status_code == 400
    assert "debe ser un número" in wrong.text
    assert "es un campo obligatorio" in wrong.text
    credit = await api.create_credit("20.00")
    adjust = f"{CREDITS}/{credit}/commands/ADJUST_CREDIT"
    fields = fields_of((await spanish.get(adjust)).text)
    done = await spanish.post(adjust, data={**fields, "Amount": "5", "Reason": "Proyector"})
    assert "Se ajustó 1 crédito." in (await spanish.get(done.headers["location"])).text


async def test_statements_say_in_spanish_what_the_ledger_wrote_and_keep_what_people_wrote(
    spanish: httpx.AsyncClient, api: ApiClient
) -> None:
    credit = await api.create_credit("1234.50")
    form = f"{CREDITS}/{credit}/commands/ADJUST_CREDIT"
    fields = fields_of((await spanish.get(form)).text)
    await spanish.post(form, data={**fields, "Amount": "5", "Reason": "booking moved to Room 5"})
    page = (await spanish.get(f"/console/reports/statement?Kind=money&CreditId={credit}")).text
    for text in (f"crédito en dinero {credit} de", ">concedido<", ">booking moved to Room 5<", "1.234,50"):
        assert text in page
    assert ">granted<" not in page
    journal = (await spanish.get(f"/console/credits/money/{credit}")).text
    assert "concedido a mano" in journal
    assert not re.search(r"hint\">(concedido|granted)<", journal)
    spanish.headers["accept-language"] = "es-MX,es;q=0.9"
    assert "1,234.50" in (await spanish.get(f"/console/credits/money/{credit}")).text
    mexican = (await spanish.get(f"/console/reports/liability?By=credit&Kind=money&CreditId={credit}")).text
    assert "1,239.50" in mexican
    assert "1.239,50" not in mexican


async def test_reports_are_spanish_on_screen_and_in_files(spanish: httpx.AsyncClient, api: ApiClient) -> None:
    await api.create_credit("20.00")
    path = "/console/reports/liability"
    page = (await spanish.get(f"{path}?By=funding")).text
    for text in ("Restante", "Restante menos caducado: lo que se debe."):
        assert text in page
    assert "Remaining less expired" not in page
    workbook = openpyxl.load_workbook(BytesIO((await spanish.get(f"{path}/report.xlsx?By=funding")).content))
    assert workbook.sheetnames[-1] == "Cuadre"
    sheet = workbook.worksheets[0]
    assert [cell.value for cell in sheet[1]][:4] == ["Sede", "Tipo", "Unidad", "Financiación"]
    assert sheet["B2"].value == "dinero"
    credit = await api.create_credit("1234.50")
    pdf = await spanish.get(f"/console/reports/statement/report.pdf?Kind=money&CreditId={credit}")
    text = "\n".join(each.extract_text() for each in pypdf.PdfReader(BytesIO(pdf.content)).pages)
    assert "1.234,50" in text
    assert "1,234.50" not in text
    assert re.search(r"\d{1,2} [a-z]{3,4} 20\d\d", text)
    assert not re.search(r"20\d\d-\d\d-\d\d", text)


@pytest.mark.parametrize(
    ("english", "spanish_text"),
    [
        ("must be at most 100 characters", "debe tener como máximo 100 caracteres"),
        ("The role Coworker-List is needed", "Hace falta el rol Coworker-List"),
        ("3 of 4 rows were changed.", "Se cambiaron 3 de 4 filas."),
        ("1 credit was adjusted.", "Se ajustó 1 crédito."),
        ("12 credits were adjusted.", "Se ajustaron 12 créditos."),
        ("2026-10 cannot be closed: 1 problem. x", "2026-10 no se puede cerrar: 1 problema. x"),
        ("Entry 7 by a@b.example on event attendance 12", "Asiento 7 de a@b.example sobre asistencia a evento 12"),
        ("Entry 7 by a@b.example on nothing named", "Asiento 7 de a@b.example sin indicar qué paga"),
        (
            "Ada drew 1030.00 in the month from 2026-01-01, and team 4 allows 20.00",
            "Ada usó 1.030,00 en el periodo (mes) desde 1 ene 2026, y el equipo 4 permite 20,00",
        ),
        ("2026-01-31 to 2026-02-28T23:00:00Z", "31 ene 2026 a 28 feb 2026, 23:00:00 UTC"),
        ("money credit 12 of Ada: the first", "crédito en dinero 12 de Ada: the first"),
        ("Shared credit of team 4", "Crédito compartido del equipo 4"),
        ("event attendance 12", "asistencia a evento 12"),
        ("time minute", "tiempo, minuto"),
        ("renewal 3/tariff/9/2026-01-01", "renovación 3/tariff/9/2026-01-01"),
        (
            "An estimate, not a posting. Sources: ASC 606-10-55-46 to 49; IFRS 15 B44 to B47.",
            "Una estimación, no un asiento contable. Fuentes: ASC 606-10-55-46 a 49; NIIF 15 B44 a B47.",
        ),
        ("Entry 7 by a@b.example: booking in the lobby", "Asiento 7 de a@b.example: booking in the lobby"),
        ("Entry 7 by a@b.example: From here to there", "Asiento 7 de a@b.example: From here to there"),
        (
            "Finding `line_changed` about money credit 12, line 3: its content does not match its digest and the line before it",
            "Hallazgo `line_changed` sobre crédito de dinero 12, línea 3: su contenido no coincide con su resumen y la línea anterior",
        ),
        (
            "Finding `remaining` about time credit 9: remaining is 1 use and the journal says 12 uses",
            "Hallazgo `remaining` sobre crédito de tiempo 9: lo restante es 1 uso y el diario dice 12 usos",
        ),
        (
            "Finding `total` about money credit 9: total is 1038.50 EUR and the journal says 45.00 EUR",
            "Hallazgo `total` sobre crédito de dinero 9: el total es 1.038,50 EUR y el diario dice 45,00 EUR",
        ),
        (
            "Finding `checkpoint`: checkpoint 4 does not follow the one before it",
            "Hallazgo `checkpoint`: el punto de control 4 no sigue al anterior",
        ),
        (
            "Finding `row_counter` about JournalLine: 3 are counted with CreatedOn from 2026-01-31T00:00:00Z"
            " at location 5, but there are 4",
            "Hallazgo `row_counter` sobre JournalLine: se cuentan 3 con CreatedOn desde 31 ene 2026, 00:00:00 UTC"
            " en la sede 5, pero hay 4",
        ),
        ("3 are counted with Id from 0, but there are 4", "se cuentan 3 con Id. desde 0, pero hay 4"),
        (
            "3 are counted with Id from 0 at no location, but there are 4",
            "se cuentan 3 con Id. desde 0 sin sede, pero hay 4",
        ),
        (
            '2 problems; the first: Finding `total` about money credit 9 "Day" of Ada: total is 1038.50 EUR and the journal says 45.00 EUR',
            'problemas: 2; el primero: Hallazgo `total` sobre crédito en dinero 9 "Day" de Ada: el total es 1.038,50 EUR y el diario dice'
            " 45,00 EUR",
        ),
        (
            "2 stored totals differ from the journal; the first: location 3 until 2026-01-31T23:00:00Z",
            "totales guardados que difieren del diario: 2; el primero: sede 3 hasta 31 ene 2026, 23:00:00 UTC",
        ),
        (
            "The scheduled verification of the whole ledger ended at 2026-01-31T23:00:00Z: 12 journal entries verified",
            "La verificación programada de todo el libro terminó el 31 ene 2026, 23:00:00 UTC: asientos verificados: 12",
        ),
        ("Nobody ever wrote this: not at all", "Nobody ever wrote this: not at all"),
    ],
)
def test_text_with_values_is_recognised(english: str, spanish_text: str) -> None:
    assert translated_message(english, "es") == spanish_text
    assert translated_message(english, "en") == english


def test_each_text_of_the_api_is_recognised_with_values() -> None:
    """No key stands in for another one that has other words."""
    keys = [each for message in api_messages() for each in ((message,) if isinstance(message, str) else message)]
    for key in keys:
        text = key.replace(VALUE, "7")
        expected = translated_message(key, "es").replace(VALUE, "7") if VALUE not in key else None
        assert translated_message(text, "es") != text or translated_message(key, "es") == key, key
        if expected is not None:
            assert translated_message(text, "es") == expected
