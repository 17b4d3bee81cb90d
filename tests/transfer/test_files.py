"""Files are read row by row in every format; malformed ones are located."""

from __future__ import annotations

import tracemalloc
from decimal import Decimal
from pathlib import Path

import pytest

from creditdesk.transfer import files
from creditdesk.transfer.file_rows import BadRow, FileRow, MalformedFile
from creditdesk.transfer.files import read_rows


def read(path: Path, text: str) -> list[dict[str, object]]:
    path.write_text(text, encoding="utf-8", newline="")
    rows = list(read_rows(path))
    assert not any(isinstance(row, BadRow) for row in rows)
    return [row.values for row in rows if isinstance(row, FileRow)]


@pytest.mark.parametrize(
    "text",
    [
        '[{"Id": 1, "P": 0.1}, {"Id": 2, "P": null}]',
        '{"Records": [{"Id": 1, "P": 0.1},\n{"Id": 2, "P": null}], "TotalItems": 2}',
        '{"TotalItems": 2, "Records": [{"Id": 1, "P": 0.1}, {"Id": 2, "P": null}]}',
        '{"Id": 1, "P": 0.1}\n{"Id": 2, "P": null}\n\n',
        '\ufeff[{"Id": 1, "P": 0.1}, {"Id": 2, "P": null}]\n',
        '{"Records": [{"Id": 1, "P": 0.1}]}\n{"Records": [{"Id": 2, "P": null}]}\n',
        '{"Id": 1, "P": 0.1}\n{\n"Id": 2,\n"P": null\n}\n',
    ],
)
@pytest.mark.parametrize("chunk", [1, 7, 1 << 20])
def test_json_shapes_read_alike_at_any_chunk_size(
    text: str, chunk: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "_CHUNK", chunk)
    rows = read(tmp_path / "x.json", text)
    assert rows == [{"Id": 1, "P": Decimal("0.1")}, {"Id": 2, "P": None}]


def test_csv_keeps_quotes_commas_and_newlines(tmp_path: Path) -> None:
    rows = read(tmp_path / "x.csv", 'Id,Name\r\n1,"a, ""b""\r\nc"\r\n')
    assert rows == [{"Id": "1", "Name": 'a, "b"\r\nc'}]


@pytest.mark.parametrize("text", ["", "[]", '{"Records": []}', "\n"])
def test_empty_file_has_no_rows(text: str, tmp_path: Path) -> None:
    assert read(tmp_path / "x.json", text) == []


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("x.json", '[{"Id": 1}, {"Id": ]', "x.json: record 2 is not JSON"),
        ("x.json", '[{"Id": 1}', "x.json ends in the middle of a record or list"),
        ("x.json", '[{"Id": 1}, {"C": ' + "[" * 9000, "x.json: record 2 is nested too deeply"),
        ("x.json", '[{"Id": 1, "Name": "tru', "x.json ends in the middle of a record or list"),
    ],
)
def test_malformed_file_names_the_place(name: str, text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(MalformedFile, match=f"^{message}"):
        read(tmp_path / name, text)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("x.jsonl", '{"Id": 1}\n7\n{"Id": 3}\n', "is not a JSON object"),
        ("x.jsonl", '{"Id": 1}\n{"Id": \n{"Id": 3}\n', "is not a JSON object"),
        ("x.json", '[{"Id": 1}, 7, {"Id": 3}]', "is not an object"),
        ("x.csv", "Id\n1\n2,2\n3\n", "has 2 cells where the first line names 1"),
        ("x.csv", 'Id\n1\n"2\n3\n', "unexpected end of data"),
        ("x.csv", 'Id\n1\n"2"x\n3\n', "',' expected after '\"'"),
    ],
)
def test_bad_row_never_ends_the_file(name: str, text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text)
    first, bad, last = read_rows(tmp_path / name)
    assert bad == BadRow(2, message)
    assert isinstance(first, FileRow)
    assert isinstance(last, FileRow)
    assert (int(first.values["Id"]), int(last.values["Id"]), last.number) == (1, 3, 3)


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "latin-1"])
def test_delimiter_and_encoding_of_csv(delimiter: str, encoding: str, tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text(f"Id{delimiter}Name\n1{delimiter}Zoë\n", encoding=encoding)
    [row] = read_rows(path, "latin-1" if encoding == "latin-1" else "utf-8")
    assert isinstance(row, FileRow)
    assert row.values == {"Id": "1", "Name": "Zoë"}


def test_non_utf8_file_is_rejected(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_bytes(b"Id\n\xff\n")
    with pytest.raises(MalformedFile, match="is not UTF-8 text"):
        list(read_rows(tmp_path / "x.csv"))


@pytest.mark.parametrize("envelope", ["[%s]", '{"Records": [%s], "TotalItems": 1}'])
def test_memory_does_not_grow_with_the_file(envelope: str, tmp_path: Path) -> None:
    record = '{"Id": 1, "Name": "' + "a" * 980 + '"}'
    path = tmp_path / "x.json"
    path.write_text(envelope % ", ".join([record] * 20_000))
    tracemalloc.start()
    try:
        assert sum(1 for _ in read_rows(path)) == 20_000
        assert tracemalloc.get_traced_memory()[1] < 4_000_000
    finally:
        tracemalloc.stop()
