"""docs/events.md, docs/schemas/ and docs/asyncapi.yaml say what the code does."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given

from mailcore.bus.layout.durables import ACK_WAIT, DURABLES
from mailcore.bus.layout.streams import MAIL, SUBJECTS, Limits, streams
from mailcore.events import asyncapi, control
from mailcore.events.dead_letter import dead_headers
from mailcore.events.message import MEANINGS, MessageEvent
from mailcore.events.schemas import CONTROL, files, schemas
from mailcore.events.thin import TYPES, ThinEvent
from tests.pure.events.strategies import message_events
from tests.pure.events.test_thin import thin_events
from tests.support.events import message

DOCS = Path(__file__).parents[3] / "docs"
SCHEMAS = schemas()
EVENTS = (DOCS / "events.md").read_text()


def holds(schema: str, instance: Any) -> None:
    jsonschema.Draft202012Validator(SCHEMAS[schema]).validate(instance)


def rows(heading: str) -> list[list[str]]:
    """The cells of the first table below that heading."""
    section = EVENTS.partition(f"## {heading}\n")[2]
    table = re.search(r"(?:^\|.*\n)+", section, re.MULTILINE)
    assert table, heading
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in table[0].splitlines()]
    return lines[2:]


def code(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


@pytest.mark.parametrize("name", files())
def test_made_files_are_up_to_date(name: str) -> None:
    assert (DOCS / name).read_text() == files()[name], "run: python -m mailcore.events.schemas"


def test_no_schema_is_left_from_earlier() -> None:
    assert {path.name for path in (DOCS / "schemas").iterdir()} == {f"{name}.v1.json" for name in SCHEMAS}


@pytest.mark.parametrize("name", SCHEMAS)
def test_schemas_are_schemas(name: str) -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMAS[name])


@given(message_events())
def test_message_events_fit_their_schema(event: MessageEvent) -> None:
    holds("message-headers", event.headers())
    holds("dead-letter-headers", dead_headers(event.headers(), "error", 1, "object"))


@given(thin_events)
def test_thin_events_fit_their_schemas(event: ThinEvent) -> None:
    holds("thin-headers", event.headers())
    holds(event.type, json.loads(event.payload()))


def test_schemas_refuse_what_is_not_published() -> None:
    headers = message(1).headers()
    for name, value in (("ce-id", "x"), ("ce-type", "mozzart.mail.stored.v1"), ("ce-time", "now"), ("ce-size", "-1")):
        with pytest.raises(jsonschema.ValidationError):
            holds("message-headers", {**headers, name: value})


def test_every_subject_of_the_streams_and_every_request_is_a_channel() -> None:
    addresses = {channel["address"] for channel in asyncapi.document()["channels"].values()} - {None}
    published = {address for address in addresses if not address.startswith("mozzart.")}
    patterns = {re.sub(r"\{\w+\}", "*", address) for address in published}
    wanted = {pattern for name in SUBJECTS for pattern in SUBJECTS[name]} - {"dead.>"} | {"dead.*.*"}
    assert patterns == wanted
    assert addresses - published == {
        *(control.START, control.RESULT, control.STATES, control.PART),
        *(control.ACCOUNTS, control.REREAD, control.TRIAL),
    }


def test_every_reference_of_the_document_leads_somewhere() -> None:
    document = asyncapi.document()

    def references(value: Any) -> list[str]:
        if isinstance(value, dict):
            own = [value["$ref"]] if "$ref" in value else []
            return own + [found for item in value.values() for found in references(item)]
        return [found for item in value for found in references(item)] if isinstance(value, list) else []

    found = references(document)
    assert found
    for reference in found:
        if reference.startswith("./"):
            assert (DOCS / reference).is_file()
        else:
            place: Any = document
            for step in reference.removeprefix("#/").split("/"):
                place = place[step]


def test_the_page_names_streams_subjects_and_limits() -> None:
    found = {code(row[0])[0]: row for row in rows("Streams and subjects")}
    assert set(found) == set(SUBJECTS)
    configs = streams(Limits())
    for stream, row in found.items():
        kinds = [name.rpartition(".")[2] for name in code(row[1])]
        assert kinds == [s.rpartition(".")[2] for s in SUBJECTS[stream]] or stream == "MAIL_DEAD"
        days, size = row[2].split(", ")
        assert configs[stream]["max_age"] == int(days.removesuffix(" days")) * 86_400 * 10**9
        number, unit = size.split()
        assert configs[stream]["max_bytes"] == int(number) * {"GiB": 1 << 30, "MiB": 1 << 20}[unit]


def test_the_page_names_every_header() -> None:
    optional = {
        "ce-dataref": "nats-object://mail-bodies/x",
        "mozzart-defects": "size-differs",
        "mozzart-mailbox-id": "7",
    }
    optional |= {"mozzart-email-id": "M1", "mozzart-thread-id": "T1", "mozzart-labels": "%5CInbox"}
    optional |= {"ce-type": "mozzart.mail.copy.v1", "mozzart-origin": str(message(2).identity)}
    event = MessageEvent.decode({**message(1).headers(), **optional}, b"")
    told = [name for row in rows("Message events: `new`, `backfill`, `copy`") for name in code(row[0])]
    assert sorted(told) == sorted(event.headers())
    dead = [name for row in rows("Dead letters") for name in code(row[0])]
    assert set(dead) - {"ce-dataref", "mozzart-redriven"} == set(dead_headers(event.headers(), "e", 1)) - set(
        event.headers()
    ) | {"Nats-Msg-Id"}


def test_the_page_names_every_defect_that_fetching_shows() -> None:
    (row,) = (row for row in rows("Message events: `new`, `backfill`, `copy`") if code(row[0]) == ["mozzart-defects"])
    assert set(code(row[1])) >= set(MEANINGS)


def test_the_page_names_every_thin_event_and_its_fields() -> None:
    found = {code(row[0])[0]: code(row[2]) for row in rows("Thin events")}
    assert set(found) == set(TYPES)
    for kind, fields in found.items():
        assert fields == [name for name in TYPES[kind].model_fields if name not in {"account", "mailbox", "at"}]


def test_the_page_names_every_request() -> None:
    named = [code(row[0])[0] for row in rows("Requests")]
    assert named == [
        *(control.START, control.RESULT, control.STATES, control.PART),
        *(control.ACCOUNTS, control.REREAD, control.TRIAL),
    ]
    for name in CONTROL:
        assert f"(schemas/{name}.v1.json)" in EVENTS


def test_the_page_names_the_durables() -> None:
    found = {code(row[0])[0]: (code(row[1])[0], code(row[2])) for row in rows("The consumers' own durables")}
    assert found == {
        name: (stream, config.get("filter_subjects") or [config["filter_subject"]])
        for name, (stream, config) in DURABLES.items()
    }
    assert f"{ACK_WAIT.total_seconds():.0f} s to ack" in EVENTS
    assert DURABLES["store"][0] == MAIL
