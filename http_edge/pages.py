"""The live page at `/`, the operators' page at `/operator`, and the files they are made of.

Files are read once and served from memory by name, so no path of a request ever reaches the file
system. Their policy lets pages load, run and ask nothing but what comes from this service.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from string import Template

import falcon

from wire.errors import NotFound

FOLDER = Path(__file__).parent / "viewer"

_HTML = "text/html; charset=utf-8"

_MEDIA_TYPES = {
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
    """One page, at a path of its own."""

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


App = falcon.App[falcon.Request, falcon.Response]


def add_live_page(app: App, *, has_operators_page: bool) -> None:
    """Give the application the live page, which leads to the operators' where that is beside it."""
    link = '<a href="/operator">Operator</a>' if has_operators_page else ""
    app.add_route("/", _page("live.html", title="Everyframe", script="main.js", link=link))


def add_operators_page(app: App, *, has_live_page: bool) -> None:
    """Give the application the operators' page, which leads to the live one where that is beside it."""
    link = '<a href="/">Live page</a>' if has_live_page else ""
    page = _page("operator.html", title="Everyframe: operator", script="operator.js", link=link)
    app.add_route("/operator", page)


def add_files(app: App) -> None:
    """Give the application what the pages are made of."""
    files = {
        path.name: _file(path.read_bytes(), _MEDIA_TYPES[path.suffix])
        for path in sorted(FOLDER.iterdir())
        if path.suffix in _MEDIA_TYPES
    }
    app.add_route("/viewer/{name}", Files(files))


def _page(name: str, *, title: str, script: str, link: str) -> Page:
    """What all pages have around what this one shows."""
    frame = Template((FOLDER / "page.html").read_text())
    text = frame.substitute(title=title, script=script, link=link, main=(FOLDER / name).read_text())
    return Page(_file(text.encode(), _HTML))


def _file(content: bytes, media_type: str) -> _File:
    etag = falcon.ETag(hashlib.sha256(content).hexdigest()[:32])
    etag.is_weak = True  # the same for its compressed form
    return _File(content, media_type, etag)


def _send(file: _File, req: falcon.Request, resp: falcon.Response) -> None:
    resp.set_headers(_HEADERS)
    resp.etag = file.etag.dumps()
    known = req.if_none_match or ()
    if any(etag == "*" or etag == file.etag for etag in known):
        resp.status = falcon.HTTP_304
        return
    resp.content_type = file.media_type
    resp.data = file.content
