"""What a request says beside its body: what that is, of which session, and how an answer may be written.

Callers say the same in each request, so what follows from a header is remembered.
"""

import re
from functools import lru_cache

import falcon
import msgspec
from falcon import mediatypes

from http_edge import formats
from http_edge.formats import Format
from wire.errors import BadRequest, UnsupportedMediaType
from wire.messages import SessionId

#: So many headers are remembered, of each kind.
_REMEMBERED = 64


def media_type(req: falcon.Request) -> str:
    """What the body is, without parameters; JSON if nothing is said. Raises `UnsupportedMediaType`."""
    if req.get_header("Content-Encoding", default="identity").lower() != "identity":
        raise UnsupportedMediaType("the request's body is compressed; send it as it is")
    return (req.content_type or falcon.MEDIA_JSON).partition(";")[0].strip().lower()


def session_id(req: falcon.Request) -> str | None:
    """The session that the header, or else the query, names, if one does. Raises `BadRequest`."""
    named = [name for name in (req.get_header("X-Session-Id"), req.get_param("session")) if name]
    try:
        known: list[str] = [msgspec.convert(name, SessionId) for name in named]
    except msgspec.ValidationError as error:
        raise BadRequest(f"session: {error}") from None
    return known[0] if known else None


@lru_cache(maxsize=_REMEMBERED)
def preferred(accept: str) -> Format:
    """What whoever sends this `Accept` reads best; JSON where it names nothing that we write."""
    try:
        named = mediatypes.best_match(formats.BY_MEDIA_TYPE, accept)
    except ValueError:
        named = ""
    return formats.BY_MEDIA_TYPE[named or falcon.MEDIA_JSON]


@lru_cache(maxsize=_REMEMBERED)
def accepts_gzip(accept_encoding: str) -> bool:
    """Whether an `Accept-Encoding` (RFC 9110, 12.5.3) names gzip, or everything, and not with weight 0."""
    weights = {}
    for choice in accept_encoding.lower().split(","):
        coding, _, parameter = choice.partition(";")
        weights[coding.strip()] = parameter.replace(" ", "")
    weight = weights.get("gzip", weights.get("*", "q=0"))
    return re.fullmatch(r"q=0(\.0*)?", weight) is None
