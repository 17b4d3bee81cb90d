"""Browser packages stand in the tree as their publishers deliver them, with licence and hashes."""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path

import pytest

import creditdesk

MANIFESTS = sorted(Path(creditdesk.__file__).parent.rglob("vendor.json"))
LICENSES = {
    "swagger-ui-dist": "Apache-2.0",
    "htmx.org": "0BSD",
    "@fontsource-variable/inter": "OFL-1.1",
    "@expo-google-fonts/inter": "OFL-1.1",
}


def test_packages_are_known() -> None:
    records = [json.loads(path.read_text("utf-8")) for path in MANIFESTS]
    assert {record["name"]: record["license"] for record in records} == LICENSES


@pytest.mark.parametrize("manifest", MANIFESTS, ids=lambda path: path.parent.name)
def test_vendored_files_match_their_recorded_hashes(manifest: Path) -> None:
    record = json.loads(manifest.read_text("utf-8"))
    files = {file.name: file for file in manifest.parent.iterdir() if file != manifest}
    hashes = {name: sha256(file.read_bytes()).hexdigest() for name, file in files.items()}
    assert hashes == {Path(name).name: digest for name, digest in record["sha256"].items()}
    assert "LICENSE" in files
