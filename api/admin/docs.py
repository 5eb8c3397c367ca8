"""`/api/docs/`: the description for people, with forms to try every operation as whoever is signed in."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

from aiohttp import web
from markupsafe import Markup

from api.admin.templates import render
from api.http.page import page
from api.routes.openapi import describe
from api.schema.operation import JSON
from api.schema.shape import example, limits, shape

routes = web.RouteTableDef()

_PROBLEM_JSON: Final = "application/problem+json"


@routes.get("/api/")
@page
async def beginning(request: web.Request) -> web.StreamResponse:
    """Of the api: whoever looks around is led to its description."""
    raise web.HTTPSeeOther("/api/docs/")


@routes.get("/api/docs/")
@page
async def docs(request: web.Request) -> web.StreamResponse:
    document = describe(request.app)
    return render(request, "docs.html", version=document["info"]["version"], groups=groups(document))


def groups(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The operations by tag, as the template shows them. Pure."""
    components = document["components"]["schemas"]
    every = [
        (operation["tags"][0], _shown(method, path, operation, components))
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]
    return [
        {
            "title": tag["name"],
            "lead": tag["description"],
            "operations": [one for name, one in every if name == tag["name"]],
        }
        for tag in document["tags"]
    ]


def _shown(method: str, path: str, operation: Mapping[str, Any], components: Mapping[str, Any]) -> dict[str, Any]:
    body = operation.get("requestBody")
    return {
        "id": operation["operationId"],
        "method": method.upper(),
        "path": path,
        "summary": operation["summary"],
        "description": _marked(operation.get("description", "")),
        "public": not operation["security"],
        "scopes": [scope for way in operation["security"] for scope in way.get("token", ())],
        "parameters": [_parameter(one) for one in operation.get("parameters", ())],
        "body": json.dumps(example(body["content"][JSON]["schema"], components), indent=2) if body else None,
        "body_required": bool(body and body["required"]),
        "answers": [_answer(status, one, components) for status, one in operation["responses"].items()],
    }


def _parameter(parameter: Mapping[str, Any]) -> dict[str, Any]:
    schema = parameter["schema"]
    choices = schema.get("enum") or (["true", "false"] if schema.get("type") == "boolean" else [])
    default = schema.get("default")
    return {
        "name": parameter["name"],
        "place": parameter["in"],
        "required": parameter["required"],
        "description": _marked(parameter.get("description", "")),
        "limits": limits(schema),
        "choices": [one for one in choices if one != ""],
        "default": "" if default is None else json.dumps(default).strip('"'),
        "is_number": schema.get("type") in ("integer", "number"),
    }


def _answer(status: str, answer: Mapping[str, Any], components: Mapping[str, Any]) -> dict[str, Any]:
    phrase = HTTPStatus(int(status)).phrase
    media_type, content = next(iter(answer["content"].items()))
    return {
        "status": status,
        "phrase": phrase,
        "good": int(status) < 400,
        "words": "" if answer["description"] == phrase else _marked(answer["description"]),
        "media_type": media_type,
        "shape": shape(content["schema"], components) if content and media_type != _PROBLEM_JSON else "",
    }


def _marked(text: str) -> Markup:
    """Escaped, with `code` as code."""
    pieces = re.split(r"`([^`]+)`", text)
    return Markup("").join(
        Markup("<code>{}</code>").format(one) if index % 2 else one for index, one in enumerate(pieces)
    )
