"""How routes declare what they take, and what is read out of requests by that."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request
from aiohttp.typedefs import Handler
from pydantic import AwareDatetime, Field, TypeAdapter, ValidationError

from api.http.connections import CONNECTIONS, Connections
from api.http.problem import Problem
from api.schema.document import document, undeclared
from api.schema.operation import Content, operation, operation_of
from api.schema.reading import read
from api.schema.shape import example, limits, shape
from api.schema.values import Answer, Day, Flag, Query, RowId, Text, Timestamp


class Path(Query):
    id: RowId


class Filter(Query):
    sender: Text = Field("", alias="from", description="Who wrote it.")
    unread: Flag | None = None
    limit: int = Field(50, ge=1, le=200)


class Thing(Answer):
    name: str
    at: AwareDatetime | None = None
    parts: tuple[str, ...] = ()


class Wish(Answer):
    name: str


def make_app(handler: Handler, path: str = "/things/{id}/", method: str = "POST") -> web.Application:
    app = bounded()
    app.router.add_route(method, path, handler)
    return app


@operation("messages", "Things", answers={200: Thing, 206: Content("text/plain", "Some.")}, problems={409: "Not now."})
async def things(request: web.Request, path: Path, query: Filter, body: Wish | None) -> Thing:
    return Thing(name=f"{path.id} {query.sender} {query.limit} {body}", at=datetime(2026, 1, 1, tzinfo=UTC))


def bounded() -> web.Application:
    """With the limits that bodies are read within."""
    app = web.Application()
    app[CONNECTIONS] = Connections()
    return app


async def read_query(text: str, model: type[Query] = Filter) -> Any:
    return await read(make_mocked_request("GET", f"/?{text}"), "query", model)


@pytest.mark.asyncio
async def test_a_handler_is_given_what_it_declares_and_its_model_is_sent_as_json() -> None:
    request = make_mocked_request("GET", "/things/7/?from=ana&limit=3", match_info={"id": "7"}, app=bounded())
    request._read_bytes = b""  # an empty body, without a connection to read it from

    response = await things(request)

    assert isinstance(response, web.Response)
    assert response.status == 200
    assert response.content_type == "application/json"
    assert response.text == '{"name":"7 ana 3 None","at":"2026-01-01T00:00:00Z","parts":[]}'


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "text",
    ["limit=0", "limit=x", "limit=", "limit=5&limit=5", "sender=x", "Limit=5", "unread=on", "unread=1", "from=%00"],
)
async def test_a_parameter_that_is_unknown_or_repeated_or_does_not_fit_is_answered_400(text: str) -> None:
    with pytest.raises(Problem) as caught:
        await read_query(text)

    assert caught.value.status == 400
    assert "arameter" in caught.value.detail


@pytest.mark.asyncio
async def test_what_is_wrong_is_said_without_repeating_what_was_sent() -> None:
    with pytest.raises(Problem) as caught:
        await read_query("limit=my-secret-token")

    assert "limit" in caught.value.detail
    assert "my-secret-token" not in caught.value.detail


@pytest.mark.asyncio
@pytest.mark.parametrize("text", ["0", "-1", "x", "9223372036854775808", "1" * 5000, ""])
async def test_a_path_that_cannot_name_a_row_is_answered_404(text: str) -> None:
    with pytest.raises(web.HTTPNotFound):
        await read(make_mocked_request("GET", "/", match_info={"id": text}), "path", Path)


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "raw", [b"{", b"[]", b"null", b'{"name": 1}', b'{"name": "a", "more": 1}', b'{"name": "\\ud800"}']
)
async def test_a_body_that_does_not_fit_is_answered_400(raw: bytes) -> None:
    request = make_mocked_request("POST", "/", app=bounded())
    request._read_bytes = raw

    with pytest.raises(Problem) as caught:
        await read(request, "body", Wish)

    assert caught.value.status == 400


@pytest.mark.parametrize("text", ["2026-01-31T12:00:00Z", "2026-01-31t12:00:00.5+02:00", "2026-01-31 12:00:00z"])
def test_timestamps_are_of_rfc_3339(text: str) -> None:
    assert TypeAdapter(Timestamp).validate_strings(text).date().isoformat() == "2026-01-31"


@pytest.mark.parametrize(
    "text", ["0", "0.5", "1767225600", "2026-01-31", "2026-01-31T12:00:00", "٢026-01-31T12:00:00Z"]
)
def test_a_number_or_a_time_without_an_offset_is_no_timestamp(text: str) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(Timestamp).validate_strings(text)
    if text != "2026-01-31":
        with pytest.raises(ValidationError):
            TypeAdapter(Day).validate_strings(text)


def test_an_argument_that_no_request_has_is_refused_when_it_is_declared() -> None:
    async def wrong(request: web.Request, store: Path) -> Thing:
        raise AssertionError

    with pytest.raises(TypeError, match="store"):
        operation("messages", "Wrong", answers={200: Thing})(wrong)


def test_the_document_has_what_the_route_declares() -> None:
    made = document(make_app(things))

    operation = made["paths"]["/things/{id}/"]["post"]
    assert [(one["name"], one["in"], one["required"]) for one in operation["parameters"]] == [
        ("id", "path", True),
        ("from", "query", False),
        ("unread", "query", False),
        ("limit", "query", False),
    ]
    assert operation["parameters"][1]["description"] == "Who wrote it."
    assert operation["parameters"][2]["schema"] == {"type": "boolean"}
    assert operation["requestBody"]["required"] is False
    assert set(operation["responses"]) == {"200", "206", "400", "401", "403", "404", "408", "409", "413", "429"}
    assert {"session": [], "csrf": []} in operation["security"]
    assert made["components"]["schemas"]["Thing"]["required"] == ["name", "at", "parts"]
    assert "Filter" not in made["components"]["schemas"]


def test_a_path_with_a_pattern_is_written_without_it() -> None:
    assert list(document(make_app(things, "/things/{id:[0-9]+}/"))["paths"]) == ["/things/{id}/"]


def test_a_route_without_a_declaration_is_found() -> None:
    async def bare(_: web.Request) -> web.Response:
        raise AssertionError

    assert operation_of(bare) is None
    assert undeclared(make_app(bare, "/bare")) == ["/bare"]


def test_two_operations_of_one_name_are_refused() -> None:
    app = make_app(things)
    app.router.add_get("/other/{id}/", things)

    with pytest.raises(ValueError, match="things"):
        document(app)


def test_a_shape_is_read_at_a_glance() -> None:
    made = document(make_app(things))["components"]["schemas"]

    assert shape(made["Thing"], made) == '{\n  "name": string,\n  "at": date-time or null,\n  "parts": [string, …]\n}'
    assert shape({"enum": ["a", "b"]}, {}) == '"a" or "b"'
    assert example(made["Wish"], made) == {"name": ""}


def test_a_shape_that_holds_itself_ends() -> None:
    tree = {
        "type": "object",
        "properties": {"children": {"type": "array", "items": {"$ref": "#/components/schemas/Tree"}}},
    }

    assert "…" in shape(tree, {"Tree": tree})


def test_limits_are_told_in_words() -> None:
    assert limits({"type": "integer", "minimum": 1, "maximum": 200}) == "integer from 1 to 200"
    assert limits({"anyOf": [{"enum": ["", "all"]}, {"type": "string", "format": "date-time"}]}) == "all or date-time"
