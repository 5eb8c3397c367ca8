"""The decorators by which a route says what it takes and answers; how to use them is told in `api.schema`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import wraps
from types import NoneType, UnionType
from typing import Any, Final, Union, get_args, get_origin, get_type_hints

from aiohttp import web
from aiohttp.typedefs import Handler
from pydantic import BaseModel

from api.guard import scope
from api.schema import reading
from mailcore.api_token import Scope

JSON: Final = "application/json"
PLACES: Final = ("path", "query", "headers", "body")

Answering = Callable[..., Awaitable[web.StreamResponse | BaseModel]]


@dataclass(frozen=True, slots=True)
class Content:
    """An answer that is not a model: its media type, what it is in words, and names of notable headers."""

    media_type: str
    description: str
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Operation:
    """What one route declares. `inputs` has the models of PLACES that its handler takes."""

    name: str
    tag: str
    summary: str
    description: str
    answers: Mapping[int, type[BaseModel] | Content]
    problems: Mapping[int, str]
    inputs: Mapping[str, type[BaseModel]]
    body_required: bool
    public: bool
    scopes: tuple[Scope, ...]


_OPERATION: Final = "__operation__"


def operation(
    tag: str,
    summary: str,
    *,
    answers: Mapping[int, type[BaseModel] | Content],
    problems: Mapping[int, str] | None = None,
    description: str = "",
    public: bool = False,
    scopes: tuple[Scope, ...] = (),
) -> Callable[[Answering], Handler]:
    """`public`: no credentials are needed; else a token needs one of these `scopes`. Raises TypeError for an argument
    that is not one of PLACES."""

    def declare(handler: Answering) -> Handler:
        inputs, optional = _inputs(handler)
        declared = Operation(
            name=handler.__name__,
            tag=tag,
            summary=summary,
            description=description,
            answers=dict(answers),
            problems=dict(problems or {}),
            inputs=inputs,
            body_required="body" in inputs and "body" not in optional,
            public=public,
            scopes=scopes,
        )
        first = next(iter(declared.answers))

        @wraps(handler)
        async def answer(request: web.Request) -> web.StreamResponse:
            given = {place: await reading.read(request, place, model) for place, model in inputs.items()}
            if declared.body_required and given["body"] is None:
                raise reading.no_body(inputs["body"])
            answered = await handler(request, **given)
            return as_json(answered, status=first) if isinstance(answered, BaseModel) else answered

        setattr(answer, _OPERATION, declared)
        scope.declare(answer, scopes)
        return answer

    return declare


def as_json(model: BaseModel, *, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    """The model as the whole body."""
    return web.Response(
        text=model.model_dump_json(by_alias=True), status=status, content_type=JSON, headers=dict(headers or {})
    )


def operation_of(handler: object) -> Operation | None:
    """What the handler declares, if it does."""
    found = getattr(handler, _OPERATION, None)
    return found if isinstance(found, Operation) else None


def _inputs(handler: Answering) -> tuple[dict[str, type[BaseModel]], set[str]]:
    hints: dict[str, Any] = get_type_hints(handler)
    inputs: dict[str, type[BaseModel]] = {}
    optional = set()
    for name, hint in hints.items():
        if name in ("return", "request", "_"):
            continue
        model = hint
        if get_origin(hint) in (Union, UnionType):
            (model,) = (one for one in get_args(hint) if one is not NoneType)
            optional.add(name)
        if name not in PLACES or not (isinstance(model, type) and issubclass(model, BaseModel)):
            raise TypeError(f"{handler.__qualname__}: {name} is none of {', '.join(PLACES)} with a pydantic model")
        inputs[name] = model
    return inputs, optional
