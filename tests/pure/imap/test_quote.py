"""Whatever a string holds, the server reads exactly it."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from mailcore.imap.quote import LITERAL_MINUS_MAX, Text, command, may_be_sent, nonsync_limit, quoted, text

values = st.binary(max_size=60).map(lambda raw: raw.replace(b"\0", b""))


def read_by_server(chunks: list[bytes]) -> list[bytes]:
    """The arguments as a server's grammar (RFC 9051 §9, astring) finds them; asserts where it would ask to go on."""
    data = b"".join(chunks)
    waits: list[int] = []
    found: list[bytes] = []
    position = 0
    while not data.startswith(b"\r\n", position):
        if position:
            assert data[position : position + 1] == b" "
            position += 1
        if literal := re.compile(rb"\{(\d+)(\+?)\}\r\n").match(data, position):
            end = literal.end() + int(literal[1])
            found.append(data[literal.end() : end])
            if not literal[2]:
                waits.append(literal.end())
            position = end
        elif string := re.compile(rb'"((?:[^"\\\r\n\x80-\xff\0]|\\["\\])*)"').match(data, position):
            found.append(re.sub(rb"\\(.)", rb"\1", string[1], flags=re.DOTALL))
            position = string.end()
        else:
            atom = re.compile(rb"[A-Z0-9]+").match(data, position)
            assert atom, data[position:]
            found.append(atom[0])
            position = atom.end()
    assert position + 2 == len(data)
    assert waits == [sum(map(len, chunks[: i + 1])) for i in range(len(chunks) - 1)]
    return found


@given(st.lists(values, max_size=4), st.sampled_from([0, 10, LITERAL_MINUS_MAX, 1 << 20]))
def test_the_server_reads_the_bytes_given(sent: list[bytes], nonsync: int) -> None:
    chunks = command((b"LOGIN", *map(Text, sent)), nonsync=nonsync)
    assert read_by_server(chunks) == [b"LOGIN", *sent]


@given(values, values)
def test_no_value_can_end_the_command_line(first: bytes, second: bytes) -> None:
    for chunk in command((b"A", Text(first), Text(second))):
        assert chunk.endswith(b"\r\n")
    assert quoted(b"a\r\nB LOGOUT") is None
    assert quoted("ü".encode()) is None


def test_literals_wait_unless_the_server_takes_them_at_once() -> None:
    password = text("pass\r\nword ü")
    assert command((b"X", password)) == [b"X {13}\r\n", b"pass\r\nword \xc3\xbc\r\n"]
    assert command((b"X", password), nonsync=nonsync_limit({"LITERAL+"})) == [b"X {13+}\r\npass\r\nword \xc3\xbc\r\n"]


def test_how_large_a_literal_may_come_unasked() -> None:
    assert nonsync_limit({"LITERAL+"}) > nonsync_limit({"LITERAL-"}) == nonsync_limit({"IMAP4REV2"}) == 4096
    assert nonsync_limit({"IMAP4REV1"}) == 0


def test_a_text_shows_nothing_of_itself() -> None:
    assert "hunter2" not in repr(text("hunter2")) + str(text("hunter2")) + repr([text("hunter2")])


def test_only_nul_cannot_be_sent() -> None:
    assert may_be_sent('any"thing\\ \r\n ü')
    assert not may_be_sent("a\0b")
