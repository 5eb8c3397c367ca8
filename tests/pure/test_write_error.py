"""What the answer to a deletion that touches nothing says about a stream's store."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailcore.write_error import failure, question, words, write_error


def answer(description: str) -> bytes:
    return json.dumps({"error": {"code": 500, "err_code": 10057, "description": description}}).encode()


@pytest.mark.parametrize(
    "said",
    [
        "write /nats/jetstream/$G/streams/MAIL/msgs/1.blk: no space left on device",
        "open /nats/jetstream/$G/streams/MAIL/msgs/2.blk: too many open files",
        "sync C:\\nats\\1.blk: The disk is full.",
        "write /nats/1.blk: input/output error",
    ],
)
def test_what_the_system_said_is_told(said: str) -> None:
    assert write_error(answer(said)) == said
    assert said in words({"MAIL": said})


@pytest.mark.parametrize("said", ["stream store EOF", "no message found", "stream not found", "message deleted"])
def test_a_refusal_for_another_reason_is_no_error_of_the_store(said: str) -> None:
    assert write_error(answer(said)) == ""


@given(st.binary() | st.builds(answer, st.text()))
def test_whatever_comes_is_an_answer(data: bytes) -> None:
    assert isinstance(write_error(data), str)
    assert write_error(b'{"success": true}') == write_error(b"null") == failure("") == ""


def test_the_question_names_its_stream() -> None:
    assert question("MAIL") == "$JS.API.STREAM.MSG.DELETE.MAIL"
