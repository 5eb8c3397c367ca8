"""What /api/openapi.json says is what is served, and what docs/api.md tells."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import web
from jsonschema import Draft202012Validator

from api.admin.docs import groups
from api.dependencies import Dependencies
from api.main import application
from api.schema.document import declared, document, undeclared
from mailcore.settings import Settings

DOCUMENT = (Path(__file__).resolve().parents[2] / "docs" / "api.md").read_text()
# For people: what they see there is told elsewhere, and it is no contract.
PAGES = re.compile(r"/|/static/.*|/admin(/.*)?|/api/|/api/docs/|/favicon\.ico")


@pytest_asyncio.fixture
async def app(tmp_path: Path) -> AsyncIterator[web.Application]:
    """The whole application; nothing is served, and no NATS is there."""
    settings = Settings(
        _env_file=None,
        data_dir=tmp_path,
        database_url=f"sqlite+aiosqlite:///{tmp_path / 'test.db'}",
        nats_url="nats://127.0.0.1:1",
        admin_password="for-tests-alone",
    )
    dependencies = await Dependencies.open(settings)
    yield application(dependencies, "test-token")
    await dependencies.close()


@pytest.mark.asyncio
async def test_every_route_of_the_api_says_what_it_takes_and_answers(app: web.Application) -> None:
    assert [path for path in undeclared(app) if not PAGES.fullmatch(path)] == []


@pytest.mark.asyncio
async def test_the_description_is_made_of_valid_schemas_whose_references_lead_somewhere(app: web.Application) -> None:
    made = document(app)
    schemas = made["components"]["schemas"]

    for name, schema in schemas.items():
        Draft202012Validator.check_schema(schema)
        assert re.fullmatch(r"[A-Za-z0-9._-]+", name), name
    references = set(_references(made))
    assert references
    assert references <= {f"#/components/schemas/{name}" for name in schemas}


@pytest.mark.asyncio
async def test_every_path_parameter_is_declared(app: web.Application) -> None:
    for path, methods in document(app)["paths"].items():
        for method, operation in methods.items():
            names = {one["name"] for one in operation.get("parameters", ()) if one["in"] == "path"}
            assert names == set(re.findall(r"{(\w+)}", path)), f"{method} {path}"


@pytest.mark.asyncio
async def test_every_operation_answers_well_in_some_way_and_has_a_known_tag(app: web.Application) -> None:
    made = document(app)
    tags = {tag["name"] for tag in made["tags"]}

    for path, methods in made["paths"].items():
        for operation in methods.values():
            assert set(operation["tags"]) <= tags, path
            assert any(status.startswith("2") for status in operation["responses"]), path


@pytest.mark.asyncio
async def test_the_page_shows_every_operation(app: web.Application) -> None:
    shown = [(one["method"], one["path"]) for group in groups(document(app)) for one in group["operations"]]

    assert sorted(shown) == sorted((one.method, one.path) for one in declared(app))


@pytest.mark.asyncio
async def test_every_endpoint_is_documented_and_nothing_else_is(app: web.Application) -> None:
    headings = "\n".join(re.findall(r"^## (.+)$", DOCUMENT, re.MULTILINE))
    told = {(method, path) for method, path in re.findall(r"`(GET|POST|PUT|PATCH|DELETE) ([^`]+)`", headings)}

    served = {(one.method, one.path) for one in declared(app)}
    assert served - told == set(), "not in docs/api.md"
    assert told - served - {("GET", "/api/docs/"), ("GET", "/admin/"), ("POST", "/admin/login/")} == set()


@pytest.mark.asyncio
async def test_every_parameter_is_documented_where_its_endpoint_is(app: web.Application) -> None:
    sections = re.split(r"^## ", DOCUMENT, flags=re.MULTILINE)[1:]
    missing = []
    for path, methods in document(app)["paths"].items():
        for method, operation in methods.items():
            (section,) = (one for one in sections if f"`{method.upper()} {path}`" in one.partition("\n")[0])
            code = " ".join(re.findall(r"`([^`\n]+)`", section)) + section.partition("```")[2]
            missing += [
                f"{path} {one['name']}"
                for one in operation.get("parameters", ())
                if one["in"] != "path" and not re.search(rf"\b{re.escape(one['name'])}\b", code)
            ]
    assert missing == []


@pytest.mark.asyncio
async def test_every_status_that_is_answered_is_in_the_table_of_statuses(app: web.Application) -> None:
    table = DOCUMENT.partition("| Status |")[2].partition("\n\n")[0]
    told = {int(status) for row in re.findall(r"^\| ([\d, ]+) \|", table, re.MULTILINE) for status in row.split(",")}

    problems = {int(s) for one in document(app)["paths"].values() for op in one.values() for s in op["responses"]}
    assert {status for status in problems if status >= 400} <= told


def _references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        for one in value.values():
            yield from _references(one)
    elif isinstance(value, list):
        for one in value:
            yield from _references(one)
