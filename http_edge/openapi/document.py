"""The OpenAPI 3.1 document of the operations: pure, the same at every start.

Schemas are msgspec's, of the types that requests are read as and of those that answers are held to; how
failures look follows from their classes.
"""

from collections.abc import Iterable, Iterator
from importlib.metadata import version
from itertools import chain, groupby
from typing import Any

import msgspec

from http_edge.access import OPEN_PATHS
from http_edge.formats import MessagePack
from http_edge.openapi.frames import Refusal
from http_edge.openapi.operations import (
    EVERYWHERE,
    OPERATIONS,
    WITH_TOKENS,
    Answer,
    Form,
    Json,
    Operation,
    Parameter,
    Text,
)
from wire.errors import Busy, PoseError, RateLimited, Unauthorized

Schema = dict[str, Any]

_JSON = "application/json"
_FORM = "multipart/form-data"
_REFERENCE = "#/components/schemas/{name}"

_REQUEST_ID = {
    "X-Request-Id": {
        "description": "of this request, as the log has it; the caller's own where it sent one",
        "schema": {"type": "string"},
    }
}
_TOKEN = {"type": "http", "scheme": "bearer", "description": "where the service was given tokens"}
_RETRY_AFTER = {
    "Retry-After": {
        "description": "seconds",
        "required": True,
        "schema": {"type": "integer", "minimum": 1},
    }
}
_AUTHENTICATE = {"WWW-Authenticate": {"required": True, "schema": {"const": "Bearer"}}}

#: What answers to these failures say beside their bodies.
_HEADERS: dict[type[PoseError], Schema] = {
    Busy: _RETRY_AFTER,
    RateLimited: _RETRY_AFTER,
    Unauthorized: _AUTHENTICATE,
}


def document() -> Schema:
    """The contract."""
    kinds = list(_kinds(OPERATIONS))
    schemas, components = msgspec.json.schema_components(kinds, ref_template=_REFERENCE)
    writer = _Writer({repr(kind): schema for kind, schema in zip(kinds, schemas, strict=True)}, components)
    paths: dict[str, Schema] = {}
    for operation in OPERATIONS:
        paths.setdefault(operation.path, {})[operation.method] = writer.operation(operation)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Everyframe",
            "version": version("everyframe"),
            "description": "A 3D human pose and body mesh for every frame of a video.",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {"schemas": components, "securitySchemes": {"token": _TOKEN}},
    }


def _kinds(operations: Iterable[Operation]) -> Iterator[Any]:
    """Every type that a schema is wanted of."""
    yield Refusal
    for operation in operations:
        for answer in operation.answers.values():
            yield from answer.kinds if isinstance(answer, Answer) else ()
        yield from (body.kind if isinstance(body, Json) else body.texts for body in operation.bodies)
        yield from (parameter.kind for parameter in operation.parameters)


class _Writer:
    """Writes operations out. schema_of: by the name of the type, since some types have no hash."""

    def __init__(self, schema_of: dict[str, Schema], components: dict[str, Schema]) -> None:
        self._schema_of = schema_of
        self._components = components

    def operation(self, operation: Operation) -> Schema:
        responses = {str(status): self._answer(answer) for status, answer in operation.answers.items()}
        asks_for_token = operation.path not in OPEN_PATHS
        failures = {*operation.errors, *EVERYWHERE, *(WITH_TOKENS if asks_for_token else ())}
        in_order = sorted(failures, key=lambda kind: (kind.status, kind.code))
        for status, kinds in groupby(in_order, key=lambda kind: kind.status):
            responses[str(status)] = self._failure(list(kinds))
        written: Schema = {
            "operationId": operation.name,
            "summary": operation.summary,
            "responses": responses,
        }
        if asks_for_token:
            written["security"] = [{}, {"token": []}]  # none, where the service has no tokens
        if operation.parameters:
            written["parameters"] = [self._parameter(parameter) for parameter in operation.parameters]
        if operation.bodies:
            content = dict(map(self._body, operation.bodies))
            written["requestBody"] = {"required": True, "content": content}
        return written

    def _parameter(self, parameter: Parameter) -> Schema:
        return {
            "name": parameter.name,
            "in": parameter.where,
            "required": parameter.where == "path",
            "description": parameter.meaning,
            "schema": self._schema_of[repr(parameter.kind)],
        }

    def _body(self, body: Json | Form) -> tuple[str, Schema]:
        return self._json(body) if isinstance(body, Json) else self._form(body)

    def _json(self, body: Json) -> tuple[str, Schema]:
        schema = self._schema_of[repr(body.kind)]
        if body.needs:  # their types let them be missing, for the refusal to have a name of its own
            there = {name: {"type": "string", "minLength": 1} for name in body.needs}
            schema = {"allOf": [schema, {"required": [*body.needs], "properties": there}]}
        return _JSON, {"schema": schema, **({"example": body.example} if body.example else {})}

    def _form(self, body: Form) -> tuple[str, Schema]:
        fields = self._components[body.texts.__name__]["properties"]
        texts = {name: _as_text(schema, body.flags) for name, schema in fields.items()}
        texts |= {spelling: texts[name] for spelling, name in body.spellings.items()}
        file = {"type": "string", "format": "binary"}
        schema = {"type": "object", "properties": {body.file: file, **texts}, "required": [body.file]}
        encoding = {body.file: {"contentType": body.file_media_type}}
        encoding |= {name: {"contentType": _JSON} for name in body.as_json}
        return _FORM, {"schema": schema, "encoding": encoding}

    def _answer(self, answer: Answer | Text) -> Schema:
        if isinstance(answer, Text):
            content = {media_type: {"schema": {"type": "string"}} for media_type in answer.media_types}
            return {"description": answer.meaning, "headers": _REQUEST_ID, "content": content}
        schemas = [self._schema_of[repr(kind)] for kind in answer.kinds]
        schema = schemas[0] if len(schemas) == 1 else {"anyOf": schemas}
        if answer.listed:
            schema = {"type": "array", "items": schema}
        meaning = " ".join((kind.__doc__ or "").partition("\n")[0] for kind in answer.kinds)
        written: Schema = {_JSON: {"schema": schema}}
        if answer.packed:
            written[MessagePack.media_type] = {"schema": {"description": MessagePack.__doc__}}
        return {"description": meaning, "headers": _REQUEST_ID, "content": written}

    def _failure(self, kinds: list[type[PoseError]]) -> Schema:
        """Failures of one status."""
        meaning = "\n".join(
            f"- `{kind.code}`: {(kind.__doc__ or '').partition(chr(10))[0]}" for kind in kinds
        )
        codes = {"properties": {"code": {"enum": [kind.code for kind in kinds]}}}
        schema = {"allOf": [self._schema_of[repr(Refusal)], codes]}
        headers = chain.from_iterable(_HEADERS.get(kind, {}).items() for kind in kinds)
        return {
            "description": meaning,
            "headers": {**_REQUEST_ID, **dict(headers)},
            "content": {_JSON: {"schema": schema}},
        }


def _as_text(schema: Schema, flags: tuple[str, ...]) -> Schema:
    """The schema of a field of a form, where an empty text says nothing, as null does in JSON."""
    kinds = [_kind_as_text(kind, flags) for kind in schema["anyOf"] if kind != {"type": "null"}]
    return kinds[0] if len(kinds) == 1 else {"anyOf": kinds}


def _kind_as_text(kind: Schema, flags: tuple[str, ...]) -> Schema:
    if kind == {"type": "boolean"}:
        return {"enum": [*flags]}
    return {name: bound for name, bound in kind.items() if name != "minLength"}
