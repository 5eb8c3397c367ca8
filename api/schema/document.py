"""The OpenAPI 3.1 document of an application, made of the operations that its routes declare."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from importlib.metadata import version
from typing import Any, Final

from aiohttp import web
from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode, models_json_schema

from api.guard import csrf, session
from api.schema.operation import JSON, Content, Operation, operation_of

PROBLEM: Final = "Problem"
_PLACES: Final = {"path": "path", "query": "query", "headers": "header"}
_REFERENCE: Final = "#/components/schemas/{model}"
_TAGS: Final = {
    "accounts": "The accounts, and those of the database to change.",
    "mailboxes": "The mailboxes, and comparing them with the server now.",
    "messages": "What is stored.",
    "events": "What happens.",
    "dead letters": "What could not be stored, or not be delivered to the webhook.",
    "verification": "Whether server and database are the same.",
    "audit": "Who did what.",
    "health": "How the processes are.",
    "description": "This description.",
}
_OF_ALL: Final = {
    400: "Wrong host, parameter or body.",
    401: "No credentials, or wrong ones.",
    429: "Too many guesses.",
}
_FORBIDDEN: Final = "The token lacks the scope; `scopes` are those of which one is needed."
_FORBIDDEN_OR_FOREIGN: Final = _FORBIDDEN + " Or the CSRF token is missing or wrong, or the request is another site's."
_OF_BODIES: Final = {408: "The body did not come in time.", 413: "The body is larger than 64 KiB."}
_TOKEN: Final = (
    "API_TOKEN, or the token in DATA_DIR/api.token, which are good for everything; or one that was made with some of "
    "the scopes, which stand with each operation."
)
_SECURITY: Final = {
    "token": {"type": "http", "scheme": "bearer", "description": _TOKEN},
    "session": {
        "type": "apiKey",
        "in": "cookie",
        "name": session.COOKIE,
        "description": "Of whoever signed in at /admin/.",
    },
    "csrf": {"type": "apiKey", "in": "header", "name": csrf.HEADER, "description": f"The cookie {csrf.COOKIE} again."},
}
_PROBLEM: Final = {
    "type": "object",
    "description": "Problem details (RFC 9457).",
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
    },
    "required": ["type", "title", "status", "detail"],
}


@dataclass(frozen=True, slots=True)
class Declared:
    """A route with its operation; `path` is written as in OpenAPI, `{name}` without a pattern."""

    method: str
    path: str
    operation: Operation


def declared(app: web.Application) -> list[Declared]:
    """In the order of the routes, without the HEADs that come with each GET."""
    found = []
    for method, path, handler in _routes(app):
        operation = operation_of(handler)
        if operation is not None and method != "HEAD":
            found.append(Declared(method, path, operation))
    return found


def undeclared(app: web.Application) -> list[str]:
    """The paths whose routes have no operation: only pages for people should be among them."""
    return sorted({path for _, path, handler in _routes(app) if operation_of(handler) is None})


def document(app: web.Application) -> dict[str, Any]:
    """The whole document. Raises ValueError when two operations have one name."""
    every = declared(app)
    names = [one.operation.name for one in every]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"Operations need names of their own: {', '.join(twice)}")
    schemas = _Schemas(every)
    paths: dict[str, dict[str, Any]] = {}
    for one in every:
        paths.setdefault(one.path, {})[one.method.lower()] = _operation(one, schemas)
    used = {one.operation.tag for one in every}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Mozzart Mailbox Sync",
            "version": version("mozzart-mailbox-sync"),
            "description": "Mail out of IMAP mailboxes: what is stored, what happens, and asking for more. "
            "Times are UTC.",
            "license": {"name": "GPL-3.0-or-later", "identifier": "GPL-3.0-or-later"},
        },
        "tags": [{"name": name, "description": words} for name, words in _TAGS.items() if name in used],
        "paths": paths,
        "components": {"schemas": {**schemas.components(), PROBLEM: _PROBLEM}, "securitySchemes": _SECURITY},
    }


class _Generator(GenerateJsonSchema):
    """What we answer has all its members, also those that have defaults; titles only repeat names."""

    def field_is_required(self, field: Any, total: bool) -> bool:
        return self.mode == "serialization" or super().field_is_required(field, total)

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False


class _Schemas:
    """The JSON Schemas of all models of all operations."""

    def __init__(self, every: list[Declared]) -> None:
        wanted: list[tuple[type[BaseModel], JsonSchemaMode]] = []
        parameters: list[tuple[type[BaseModel], JsonSchemaMode]] = []
        for one in every:
            for place, model in one.operation.inputs.items():
                (wanted if place == "body" else parameters).append((model, "validation"))
            wanted += [(a, "serialization") for a in one.operation.answers.values() if isinstance(a, type)]
        self._references, found = models_json_schema(
            [*wanted, *parameters], ref_template=_REFERENCE, schema_generator=_Generator
        )
        self._definitions: dict[str, Any] = found.get("$defs", {})
        self._parameters = {self._name(model, mode) for model, mode in parameters}

    def reference(self, model: type[BaseModel], mode: JsonSchemaMode) -> dict[str, Any]:
        return dict(self._references[model, mode])

    def properties(self, model: type[BaseModel]) -> tuple[Mapping[str, Any], list[str]]:
        """Of a model of parameters: its properties, and which are required."""
        schema = self._definitions[self._name(model, "validation")]
        return schema.get("properties", {}), schema.get("required", [])

    def components(self) -> dict[str, Any]:
        return {name: schema for name, schema in self._definitions.items() if name not in self._parameters}

    def _name(self, model: type[BaseModel], mode: JsonSchemaMode) -> str:
        return str(self._references[model, mode]["$ref"]).rpartition("/")[2]


def _routes(app: web.Application) -> Iterator[tuple[str, str, object]]:
    for route in app.router.routes():
        info = route.get_info()
        path = info.get("path") or info.get("formatter")
        # What serves static files is no route of ours.
        if path is not None and route.resource is not None and not isinstance(route.resource, web.StaticResource):
            yield route.method, re.sub(r"{(\w+):[^}]*}", r"{\1}", path), route.handler


def _operation(one: Declared, schemas: _Schemas) -> dict[str, Any]:
    operation = one.operation
    made: dict[str, Any] = {"operationId": operation.name, "tags": [operation.tag], "summary": operation.summary}
    if operation.description:
        made["description"] = operation.description
    if parameters := list(_parameters(operation, schemas)):
        made["parameters"] = parameters
    if "body" in operation.inputs:
        schema = schemas.reference(operation.inputs["body"], "validation")
        made["requestBody"] = {"required": operation.body_required, "content": {JSON: {"schema": schema}}}
    made["responses"] = {str(status): answer for status, answer in sorted(_answers(one, schemas).items())}
    made["security"] = [] if operation.public else _security(one)
    return made


def _security(one: Declared) -> list[dict[str, list[str]]]:
    """One of these: by token, with the scope as its role."""
    by_session: dict[str, list[str]] = {"session": []}
    by_token: list[dict[str, list[str]]] = [{"token": [scope]} for scope in one.operation.scopes]
    return [*by_token, by_session if one.method in csrf.SAFE_METHODS else by_session | {"csrf": []}]


def _parameters(operation: Operation, schemas: _Schemas) -> Iterator[dict[str, Any]]:
    for place, where in _PLACES.items():
        if place not in operation.inputs:
            continue
        properties, required = schemas.properties(operation.inputs[place])
        for name, schema in properties.items():
            parameter: dict[str, Any] = {"name": name, "in": where, "required": where == "path" or name in required}
            schema = _without_null(schema)
            if description := schema.pop("description", None):
                parameter["description"] = description
            yield parameter | {"schema": schema}


def _without_null(schema: Mapping[str, Any]) -> dict[str, Any]:
    """A parameter is left out, never null."""
    made = {name: value for name, value in schema.items() if (name, value) != ("default", None)}
    choices = [one for one in made.get("anyOf", ()) if one != {"type": "null"}]
    if len(choices) == 1:
        return dict(choices[0]) | {name: value for name, value in made.items() if name != "anyOf"}
    return made | {"anyOf": choices} if choices else made


def _answers(one: Declared, schemas: _Schemas) -> dict[int, Any]:
    operation = one.operation
    problems = {400: _OF_ALL[400]} if operation.public else dict(_OF_ALL)
    if not operation.public:
        problems[403] = _FORBIDDEN if one.method in csrf.SAFE_METHODS else _FORBIDDEN_OR_FOREIGN
    if "body" in operation.inputs:
        problems |= _OF_BODIES
    if "path" in operation.inputs:
        problems[404] = "There is no such thing."
    problems |= operation.problems
    answers: dict[int, Any] = {
        status: {
            "description": words,
            "content": {"application/problem+json": {"schema": {"$ref": _REFERENCE.format(model=PROBLEM)}}},
        }
        for status, words in problems.items()
    }
    for status, answer in operation.answers.items():
        answers[status] = _answer(status, answer, schemas)
    return answers


def _answer(status: int, answer: type[BaseModel] | Content, schemas: _Schemas) -> dict[str, Any]:
    if not isinstance(answer, Content):
        words = " ".join((answer.__doc__ or "").split()) if "__doc__" in answer.__dict__ else ""
        schema = schemas.reference(answer, "serialization")
        return {"description": words or HTTPStatus(status).phrase, "content": {JSON: {"schema": schema}}}
    made: dict[str, Any] = {"description": answer.description, "content": {answer.media_type: {}}}
    if answer.headers:
        made["headers"] = {
            name: {"description": words, "schema": {"type": "string"}} for name, words in answer.headers.items()
        }
    return made
