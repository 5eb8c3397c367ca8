"""Log lines: one fact, one line, no secret, whatever the values are."""

from __future__ import annotations

import io
import json
import logging
import re
from collections.abc import Iterator

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from mailcore import log
from mailcore.settings import Settings

PASSWORD = 'pass"word\\with#everything ü'


@pytest.fixture(autouse=True)
def logging_as_it_was() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()
    log._secrets.clear()
    log._in_lines.clear()


def configured(**values: str) -> io.StringIO:
    stream = io.StringIO()
    settings = Settings(_env_file=None, imap_host="h", imap_user="ana", imap_password=PASSWORD, **values)  # type: ignore[arg-type]  # as the environment gives them
    log.configure(settings, "syncer", stream=stream)
    return stream


def test_a_line_says_when_how_grave_who_what_and_the_facts() -> None:
    stream = configured()
    structlog.get_logger("x").info("stored", identity="default/INBOX/1/2", size=12)

    (line,) = stream.getvalue().splitlines()
    date, time, rest = line.split(" ", 2)
    assert (len(date), time[-1]) == (10, "Z")
    assert rest.split() == ["INFO", "syncer", "stored", "identity=default/INBOX/1/2", "size=12"]


def test_json_lines_hold_the_same_as_an_object() -> None:
    stream = configured(log_format="json")
    structlog.get_logger("x").warning("swept", found=3)

    fact = json.loads(stream.getvalue())
    assert {name: fact[name] for name in ("level", "process", "event", "found")} == {
        "level": "warning",
        "process": "syncer",
        "event": "swept",
        "found": 3,
    }


@given(st.text() | st.text('\u202a\u202e\u2066\u2069 a="'))
def test_no_value_forges_a_second_line_or_moves_the_cursor(value: str) -> None:
    stream = configured()
    structlog.get_logger("x").info(value, subject=value, key=[value])

    lines = stream.getvalue().split("\n")
    assert lines.pop() == ""
    assert len(lines) == 1
    assert not any(ord(char) < 32 or 0x7F <= ord(char) < 0xA0 for char in lines[0])
    assert not re.search("[\u202a-\u202e\u2066-\u2069]", lines[0])


@pytest.mark.invariant("I10")
@pytest.mark.parametrize("form", ["console", "json"])
@pytest.mark.parametrize(
    "text",
    [
        PASSWORD,
        f"LOGIN ana {PASSWORD}",
        repr(PASSWORD),
        json.dumps(PASSWORD),
        "AGFuYQBwYXNzIndvcmRcd2l0aCNldmVyeXRoaW5nIMO8",  # AUTHENTICATE PLAIN, base64 of \0ana\0 and the password
    ],
)
def test_a_secret_is_struck_out_wherever_it_stands(form: str, text: str) -> None:
    stream = configured(log_format=form)
    logger = structlog.get_logger("x")
    logger.info(text, fact=text, nested={"a": [text]})
    logging.getLogger("some.library").error("said %s", text)
    try:
        raise ValueError(text)
    except ValueError:
        logger.exception("failed")

    written = stream.getvalue()
    assert log.STRUCK_OUT in written
    assert "with#everything" not in written
    assert text not in written


def test_a_short_secret_is_struck_out_as_a_whole_value_only() -> None:
    stream = configured()
    log.hide("abc")
    structlog.get_logger("x").info("words", secret="abc", word="abcdef")

    assert "secret=[secret]" in stream.getvalue()
    assert "word=abcdef" in stream.getvalue()


def test_the_level_holds_for_libraries_too_and_chatty_ones_say_only_what_is_wrong() -> None:
    stream = configured(log_level="INFO")
    structlog.get_logger("x").debug("unheard")
    logging.getLogger("nats").info("unheard")
    logging.getLogger("nats").warning("heard")

    assert "unheard" not in stream.getvalue()
    assert "heard" in stream.getvalue()


@given(st.text(min_size=1))
def test_a_value_reads_back_as_one_word_or_as_json(value: str) -> None:
    text = log.value_text(value)
    if text.startswith('"'):
        assert not any(ord(char) < 32 for char in text)
        assert text[-1] == '"'
    else:
        assert text == value
        assert " " not in text
