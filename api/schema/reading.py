"""Parameters and bodies out of a request, by the models that the API description is made of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from aiohttp import web
from pydantic import BaseModel, ValidationError

from api.http.connections import body as whole_body
from api.http.problem import Problem

_MOST_FAULTS: Final = 5


async def read(request: web.Request, place: str, model: type[BaseModel]) -> BaseModel | None:
    """`place` is `path`, `query`, `headers` or `body`; None for an empty body.

    Raises HTTPNotFound for a path that does not fit, Problem 400 for the others.
    """
    if place == "body":
        return await _body(request, model)
    if place == "path":
        try:
            return model.model_validate_strings(dict(request.match_info))
        except ValidationError:
            raise web.HTTPNotFound from None
    try:
        return model.model_validate_strings(_query(request) if place == "query" else _headers(request, model))
    except ValidationError as error:
        raise Problem(400, _words(error, "header" if place == "headers" else "parameter")) from None


def no_body(model: type[BaseModel]) -> Problem:
    """The request needs a body and has none."""
    return Problem(400, f"Send a JSON body with {', '.join(model.model_fields)}.")


def _query(request: web.Request) -> Mapping[str, str]:
    repeated = sorted({name for name in request.query if len(request.query.getall(name)) > 1})
    if repeated:
        raise Problem(400, f"Parameter {', '.join(map(_name, repeated[:_MOST_FAULTS]))}: given more than once.")
    return dict(request.query)


def _headers(request: web.Request, model: type[BaseModel]) -> Mapping[str, str]:
    names = (info.alias or name for name, info in model.model_fields.items())
    return {name: request.headers[name] for name in names if name in request.headers}


async def _body(request: web.Request, model: type[BaseModel]) -> BaseModel | None:
    raw = await whole_body(request)
    if not raw.strip():
        return None
    try:
        return model.model_validate_json(raw, strict=True)
    except ValidationError as error:
        raise Problem(400, f"The body does not fit. {_words(error, 'Member')}") from None


def _words(error: ValidationError, kind: str) -> str:
    """What is wrong, by name. The values are not repeated: they may be secrets sent to the wrong place."""
    faults = error.errors(include_url=False, include_context=False, include_input=False)
    told = []
    for fault in faults[:_MOST_FAULTS]:
        where = ".".join(str(step) for step in fault["loc"])
        told.append(f"{kind.capitalize()} {_name(where)}: {fault['msg']}." if where else f"{fault['msg']}.")
    return " ".join(told)


def _name(text: str) -> str:
    return repr(text[:100])
