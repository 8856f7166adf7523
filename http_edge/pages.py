"""The live page at `/`, the operators' page at `/operator`, and the files they are made of.

Files are read once and served from memory by name, so no path of a request ever reaches the file
system. Their policy lets pages load, run and ask nothing but what comes from this service.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import falcon

from wire.errors import NotFound

FOLDER = Path(__file__).parent / "viewer"

_MEDIA_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}

#: Pictures and videos that the pages show are the user's own files: `blob:`.
CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "worker-src 'self'",
        "style-src 'self'",
        "img-src 'self' blob: data:",
        "media-src blob:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",  # no text ever becomes markup or a script
        "trusted-types courier",
    )
)

_HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Permissions-Policy": "camera=(self), microphone=(), geolocation=()",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-cache",  # kept by browsers, and asked after each time: a new version shows at once
}


@dataclass(frozen=True, slots=True)
class _File:
    content: bytes
    media_type: str
    etag: falcon.ETag


class Page:
    """One file, at a path of its own."""

    def __init__(self, file: _File) -> None:
        self._file = file

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """The file, or that it has not changed."""
        _send(self._file, req, resp)

    on_head = on_get


class Files:
    """`/viewer/NAME`."""

    def __init__(self, files: dict[str, _File]) -> None:
        self._files = files

    def on_get(self, req: falcon.Request, resp: falcon.Response, name: str) -> None:
        """The file, or that it has not changed. Raises `NotFound`."""
        file = self._files.get(name)
        if file is None:
            raise NotFound(f"nothing lives at {req.path}")
        _send(file, req, resp)

    on_head = on_get


def add_routes(app: "falcon.App[falcon.Request, falcon.Response]") -> None:
    """Give the application the live page and the files."""
    app.add_route("/", Page(_read(FOLDER / "index.html")))
    add_files(app)


def add_operators_page(app: "falcon.App[falcon.Request, falcon.Response]") -> None:
    """Give the application the operators' page."""
    app.add_route("/operator", Page(_read(FOLDER / "operator.html")))


def add_files(app: "falcon.App[falcon.Request, falcon.Response]") -> None:
    """Give the application what the pages are made of."""
    files = {path.name: _read(path) for path in sorted(FOLDER.iterdir()) if path.suffix in _MEDIA_TYPES}
    app.add_route("/viewer/{name}", Files(files))


def _read(path: Path) -> _File:
    content = path.read_bytes()
    etag = falcon.ETag(hashlib.sha256(content).hexdigest()[:32])
    etag.is_weak = True  # the same for its compressed form
    return _File(content, _MEDIA_TYPES[path.suffix], etag)


def _send(file: _File, req: falcon.Request, resp: falcon.Response) -> None:
    resp.set_headers(_HEADERS)
    resp.etag = file.etag.dumps()
    known = req.if_none_match or ()
    if any(etag == "*" or etag == file.etag for etag in known):
        resp.status = falcon.HTTP_304
        return
    resp.content_type = file.media_type
    resp.data = file.content
