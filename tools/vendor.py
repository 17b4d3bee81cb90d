"""Fetches the vendored browser packages and fonts again, by name and version, and checks their hashes.

    python tools/vendor.py                              # fetch and compare with the recorded hashes
    python tools/vendor.py --update swagger-ui-dist 5.35.0   # record another version

Each folder under `src/creditdesk` that holds a `vendor.json` is one package; its files are named by their
paths in the package and stand beside the manifest. npm must be installed; the recorded SHA-256 of every
file decides whether what it delivers is taken.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Any

SOURCE = Path(__file__).parent.parent / "src" / "creditdesk"


def fetch(name: str, version: str, files: list[str]) -> dict[str, bytes]:
    """The named files of a package, as npm delivers them."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(  # noqa: S603 - name and version are those of the manifest
            ["npm", "pack", f"{name}@{version}", "--silent", "--pack-destination", folder],  # noqa: S607
            check=True,
            stdout=subprocess.DEVNULL,
        )
        [archive] = Path(folder).glob("*.tgz")
        with tarfile.open(archive) as packed:
            contents: dict[str, bytes] = {}
            for file in files:
                member = packed.extractfile(f"package/{file}")
                if member is None:
                    raise SystemExit(f"{name} {version} has no file {file}.")
                contents[file] = member.read()
    return contents


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def refresh(manifest: Path, version: str | None) -> None:
    """Writes the files of one package; with `version` also records their hashes.

    Exits with an error, and writes nothing, when a file differs from its recorded hash.
    """
    record: dict[str, Any] = json.loads(manifest.read_text("utf-8"))
    contents = fetch(record["name"], version or record["version"], list(record["sha256"]))
    hashes = {file: sha256(content) for file, content in contents.items()}
    if version is None:
        changed = [file for file, found in hashes.items() if found != record["sha256"][file]]
        if changed:
            raise SystemExit(f"{record['name']}: other content than recorded: {', '.join(changed)}")
    else:
        record |= {"version": version, "sha256": hashes}
        manifest.write_text(json.dumps(record, indent=2) + "\n", "utf-8")
    for file, content in contents.items():
        manifest.with_name(Path(file).name).write_bytes(content)
    print(f"{record['name']} {record['version']}: {len(contents)} files")


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n", maxsplit=1)[0])
    parser.add_argument("--update", nargs=2, metavar=("NAME", "VERSION"))
    update = parser.parse_args(arguments).update
    for manifest in sorted(SOURCE.rglob("vendor.json")):
        name = json.loads(manifest.read_text("utf-8"))["name"]
        if update is None or update[0] == name:
            refresh(manifest, update[1] if update else None)


if __name__ == "__main__":
    main(sys.argv[1:])
