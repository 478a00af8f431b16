"""The files of the page: read once, packed once, told apart by their ETag."""

from __future__ import annotations

import gzip
import hashlib
from dataclasses import dataclass
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response

_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".webmanifest": "application/manifest+json",
}
_FOLDER = Path(__file__).parent / "static"


@dataclass(frozen=True, slots=True)
class _File:
    content: bytes
    packed: bytes
    media_type: str
    etag: str


class PageFiles:
    """By name; `index.html` is the page itself."""

    def __init__(self, folder: Path = _FOLDER) -> None:
        self._files = {file.name: _read(file) for file in sorted(folder.glob("*")) if file.suffix in _TYPES}

    def __contains__(self, name: object) -> bool:
        return name in self._files

    def response(self, request: Request, name: str) -> Response:
        """The file, or nothing but its ETag where the browser has it."""
        file = self._files[name]
        headers = {"ETag": file.etag, "Cache-Control": "no-cache", "Vary": "Accept-Encoding"}
        if file.etag in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=headers)
        if "gzip" in request.headers.get("accept-encoding", ""):
            return Response(file.packed, 200, {**headers, "Content-Encoding": "gzip"}, file.media_type)
        return Response(file.content, 200, headers, file.media_type)


def _read(file: Path) -> _File:
    content = file.read_bytes()
    etag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
    return _File(content, gzip.compress(content, 9, mtime=0), _TYPES[file.suffix], etag)
