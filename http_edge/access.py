"""Who may ask for what: the caller of each request, by its bearer token, before anything is done for it."""

import threading
from typing import Any

import falcon

from http_edge.callers import Anybody, Owner
from http_edge.tokens import Tokens
from wire.errors import NotFound, Unauthorized
from wire.settings import Settings

#: Paths that need no token: a look at whether the service lives, and files that everybody has anyway.
OPEN_PATHS = frozenset({"/", "/health", "/openapi.json", "/operator", "/viewer/{name}"})

_SCHEME = "bearer"


class Access:
    """Tokens to callers, for many threads at a time."""

    def __init__(self, tokens: Tokens | None, settings: Settings) -> None:
        """Without tokens everybody may do everything."""
        self._tokens = tokens
        self._settings = settings
        self._anybody = Anybody()
        self._owners: dict[str, Owner] = {}  # as many as there are names in the file
        self._lock = threading.Lock()

    def caller(self, authorization: str | None) -> Anybody:
        """Whose request it is, by its `Authorization`. Raises `Unauthorized`."""
        if self._tokens is None:
            return self._anybody
        scheme, _, token = (authorization or "").strip().partition(" ")
        if scheme.lower() != _SCHEME:
            raise Unauthorized("this service asks for a token: Authorization: Bearer TOKEN")
        name = self._tokens.owner(token.strip())
        if name is None:
            raise Unauthorized("this token is not known here")
        with self._lock:
            if name not in self._owners:
                self._owners[name] = Owner(name, self._settings)
            return self._owners[name]


class AccessMiddleware:
    """Gives each request its `context.caller`, or refuses it."""

    def __init__(self, access: Access) -> None:
        self._access = access

    def process_resource(
        self, req: falcon.Request, _resp: falcon.Response, _resource: object, params: dict[str, Any]
    ) -> None:
        """Called once the path is known. Raises `Unauthorized`, `RateLimited` or `NotFound`."""
        if req.uri_template in OPEN_PATHS or req.method == "OPTIONS":  # browsers ask OPTIONS without a token
            return
        caller = self._access.caller(req.get_header("Authorization"))
        if "job_id" in params and not caller.owns_job(params["job_id"]):
            raise NotFound("there is no job of this id; results are kept for a while only")
        caller.charge_bytes(req.content_length or 0)
        req.context.caller = caller
