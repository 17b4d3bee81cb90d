"""The console's static files: immutable URLs with a digest of all contents, compressed once."""

from __future__ import annotations

import gzip
from functools import cache
from hashlib import sha256
from http import HTTPStatus
from pathlib import Path
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

STATIC_FOLDER: Final = Path(__file__).with_name("static")
EMBED_SCRIPT: Final = Path(__file__).with_name("embed") / "embed-1.js"
"""Other sites use its URL for years, some with its digest, so a change needs a new file with a new number."""
EMBED_PATH: Final = "/me/embed-1.js"
_MEDIA_TYPES: Final = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".woff2": "font/woff2",
    ".svg": "image/svg+xml",
}
_COMPRESSED_ALREADY: Final = frozenset({".woff2"})
_IMMUTABLE: Final = "public, max-age=31536000, immutable"


@cache
def static_contents() -> dict[str, bytes]:
    """Every served file by its name."""
    files = sorted(path for path in STATIC_FOLDER.rglob("*") if path.suffix in _MEDIA_TYPES)
    return {path.name: path.read_bytes() for path in files}


@cache
def static_version() -> str:
    """A digest of all files: any change gives all files a new URL, and relative URLs keep working."""
    digest = sha256()
    for name, content in static_contents().items():
        digest.update(f"{name} {len(content)}\n".encode() + content)
    return digest.hexdigest()[:16]


def static_url(name: str) -> str:
    """The address of a file. Raises KeyError for one that does not exist."""
    static_contents()[name]
    return f"/console/static/{static_version()}/{name}"


async def serve_embed(_request: Request) -> Response:
    """The script by which other sites place a member's page; its contents never change."""
    headers = {"Cache-Control": _IMMUTABLE, "Access-Control-Allow-Origin": "*", "X-Content-Type-Options": "nosniff"}
    return Response(EMBED_SCRIPT.read_bytes(), headers=headers, media_type=_MEDIA_TYPES[".js"])


@cache
def _compressed(name: str) -> bytes:
    return gzip.compress(static_contents()[name], 9, mtime=0)


async def serve_static(request: Request) -> Response:
    """One file; 404 for another version, so that no cache keeps wrong content."""
    name = request.path_params["name"]
    content = static_contents().get(name)
    if content is None or request.path_params["version"] != static_version():
        return Response(status_code=HTTPStatus.NOT_FOUND)
    suffix = Path(name).suffix
    headers = {"Cache-Control": _IMMUTABLE, "Vary": "Accept-Encoding"}
    if suffix not in _COMPRESSED_ALREADY and "gzip" in request.headers.get("accept-encoding", ""):
        content = _compressed(name)
        headers["Content-Encoding"] = "gzip"
    return Response(content, headers=headers, media_type=_MEDIA_TYPES[suffix])
