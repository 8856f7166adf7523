"""`GET /openapi.json`: the contract, made once."""

import falcon
import orjson

from http_edge.openapi.document import document


class Contract:
    """`/openapi.json`: what this service takes, what it answers, and how it may fail."""

    def __init__(self) -> None:
        self._text = orjson.dumps(document())

    def on_get(self, _req: falcon.Request, resp: falcon.Response) -> None:
        """The document."""
        resp.data = self._text
        resp.content_type = falcon.MEDIA_JSON


def add_routes(app: "falcon.App[falcon.Request, falcon.Response]") -> None:
    """Give the application this path."""
    app.add_route("/openapi.json", Contract())
