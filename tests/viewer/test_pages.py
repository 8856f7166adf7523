"""The pages' files over HTTP: their policy, their types, and nothing beside them."""

import re
from html.parser import HTMLParser

import pytest

from http_edge.pages import FOLDER
from tests.http_edge.running import Edge, Reply

PAGES = ("/", "/operator")
FILES = sorted(path.name for path in FOLDER.iterdir() if path.suffix != ".html")
HTML = "text/html; charset=utf-8"
MEDIA_TYPES = {
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}


def policy(reply: Reply) -> dict[str, list[str]]:
    directives = reply.headers["content-security-policy"].split("; ")
    return {name: sources for name, *sources in (directive.split() for directive in directives)}


class Markup(HTMLParser):
    """What a page would load, and what a strict policy would stop."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.inline: list[str] = []
        self._in_script = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._in_script = tag in ("script", "style")
        for name, value in attrs:
            if name in ("src", "href", "action"):
                self.addresses.append(value or "")
            if name == "style" or name.startswith("on"):
                self.inline.append(f"{tag} {name}")

    def handle_data(self, data: str) -> None:
        if self._in_script and data.strip():
            self.inline.append(data)

    def handle_endtag(self, _tag: str) -> None:
        self._in_script = False


@pytest.mark.parametrize("path", PAGES)
def test_a_page_may_load_and_ask_nothing_but_this_service(edge: Edge, path: str) -> None:
    reply = edge.get(path)
    allowed = policy(reply)

    assert reply.status == 200
    assert reply.headers["content-type"] == HTML
    assert allowed["default-src"] == ["'none'"]
    assert allowed["script-src"] == allowed["style-src"] == allowed["connect-src"] == ["'self'"]
    assert allowed["frame-ancestors"] == allowed["form-action"] == allowed["base-uri"] == ["'none'"]
    assert allowed["require-trusted-types-for"] == ["'script'"]
    assert not any("unsafe" in source for sources in allowed.values() for source in sources)
    assert reply.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("path", PAGES)
def test_a_page_has_no_script_or_style_of_its_own_and_names_files_that_exist(edge: Edge, path: str) -> None:
    markup = Markup(edge.get(path).raw.decode())

    assert markup.inline == []
    assert markup.addresses
    assert {edge.get(address).status for address in markup.addresses} == {200}


@pytest.mark.parametrize("name", FILES)
def test_every_file_has_its_type_its_policy_and_a_tag(edge: Edge, name: str) -> None:
    reply = edge.get(f"/viewer/{name}")

    assert reply.status == 200
    assert reply.raw == (FOLDER / name).read_bytes()
    assert reply.headers["content-type"] == MEDIA_TYPES[name.rpartition(".")[2]]
    assert policy(reply)["default-src"] == ["'none'"]  # workers are held by their own file's policy
    assert reply.headers["cache-control"] == "no-cache"
    assert re.fullmatch(r'W/"[0-9a-f]{32}"', reply.headers["etag"])


def test_a_file_that_a_browser_has_is_not_sent_again(edge: Edge) -> None:
    first = edge.get("/viewer/main.js")
    known = edge.get("/viewer/main.js", {"If-None-Match": first.headers["etag"]})
    other = edge.get("/viewer/main.js", {"If-None-Match": 'W/"0123"'})

    assert (known.status, known.raw) == (304, b"")
    assert known.headers["etag"] == first.headers["etag"]
    assert other.raw == first.raw


@pytest.mark.parametrize(
    "path",
    [
        "/viewer/",
        "/viewer",
        "/viewer/app.py",
        "/viewer/page.html",
        "/viewer/../app.py",
        "/viewer/..%2fapp.py",
        "/viewer/%2e%2e/app.py",
    ],
)
def test_nothing_beside_the_pages_files_is_served(edge: Edge, path: str) -> None:
    reply = edge.get(path)

    assert reply.status == 404
    assert reply.body["code"] == "not_found"


def test_scripts_name_no_other_host_and_make_no_markup() -> None:
    for name in FILES:
        text = (FOLDER / name).read_text()
        assert set(re.findall(r"https?://[^\s\"'`]+", text)) <= {"http://www.w3.org/2000/svg"}, name
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b", text), name
