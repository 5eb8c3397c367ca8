"""Any split of the server's bytes gives the same units; caps hold; the work is linear."""

from __future__ import annotations

import time
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailcore.errors import ProtocolError
from mailcore.imap.framing import Framer, Literal, Unit

text = st.binary(max_size=30).map(
    lambda raw: raw.replace(b"\r", b"").replace(b"\n", b"").replace(b"}", b"").replace(b"~", b"")
)
literals = st.binary(max_size=200)
pieces = st.lists(st.tuples(literals, text), max_size=4)


def on_the_wire(unit: Unit) -> bytes:
    return (
        b"".join(
            b"{%d}\r\n" % piece.size + piece.data if isinstance(piece, Literal) else piece
            for piece in unit  # a text before a literal announces it
        )
        + b"\r\n"
    )


@st.composite
def units(draw: st.DrawFn) -> Unit:
    unit: Unit = [b"* X" + draw(text)]
    for literal, following in draw(pieces):
        unit += [Literal(literal, len(literal)), following]
    return unit


def split(data: bytes, cuts: list[int]) -> list[bytes]:
    edges = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    return [data[low:high] for low, high in pairwise(edges)]


def outcome(framer: Framer, chunks: list[bytes]) -> tuple[list[Unit], str]:
    found: list[Unit] = []
    try:
        for chunk in chunks:
            found.extend(framer.feed(chunk))
    except ProtocolError as error:
        return found, str(error)
    return found, ""


@given(st.lists(units(), max_size=5), st.lists(st.integers(0, 10_000), max_size=30))
def test_units_come_back_whole_however_the_bytes_are_split(sent: list[Unit], cuts: list[int]) -> None:
    data = b"".join(on_the_wire(unit) for unit in sent)
    assert outcome(Framer(), split(data, cuts)) == (sent, "")


@given(st.lists(units(), max_size=5))
def test_a_byte_at_a_time_gives_the_same(sent: list[Unit]) -> None:
    data = b"".join(on_the_wire(unit) for unit in sent)
    framer = Framer()
    assert outcome(framer, [data[i : i + 1] for i in range(len(data))]) == (sent, "")
    assert not framer.pending


crooked = st.lists(
    st.sampled_from(
        [
            b"* ",
            b"OK ",
            b"{3}",
            b"{3}\r\n",
            b"{0}\r\n",
            b"~{2}\r\n",
            b"{9+}\r\n",
            b"\r",
            b"\n",
            b"\r\n",
            b"a",
            b"}",
            b"+ ",
        ]
    )
    | st.binary(max_size=6),
    max_size=40,
).map(b"".join)


@given(crooked, st.lists(st.integers(0, 10_000), max_size=30))
def test_any_bytes_give_the_same_units_and_the_same_refusal_however_split(data: bytes, cuts: list[int]) -> None:
    def small() -> Framer:
        return Framer(max_line=12, max_literal=8, max_unit=30, max_pieces=5, keep=4)

    whole, refusal = outcome(small(), [data])
    again, refusal_again = outcome(small(), split(data, cuts))
    assert again == whole
    assert bool(refusal_again) == bool(refusal)


@given(st.binary(min_size=1, max_size=500), st.integers(0, 100), st.lists(st.integers(0, 10_000), max_size=10))
def test_of_a_long_literal_only_the_first_bytes_are_held(data: bytes, keep: int, cuts: list[int]) -> None:
    wire = b"* 1 FETCH (BODY[] {%d}\r\n%b)\r\n" % (len(data), data)
    found, _ = outcome(Framer(keep=keep), split(wire, cuts))
    assert found == [[b"* 1 FETCH (BODY[] ", Literal(data[:keep], len(data)), b")"]]


def test_a_human_readable_text_announces_no_literal() -> None:
    for line in (b"* OK see {5}", b"* no {5}", b"* BYE {5}", b"* PREAUTH {5}", b"A1 OK done {5}", b"+ send {5}"):
        assert list(Framer().feed(line + b"\r\n* 1 EXISTS\r\n")) == [[line], [b"* 1 EXISTS"]]


def test_a_lone_cr_or_lf_ends_no_line() -> None:
    assert list(Framer().feed(b"* X a\nb\rc\r\r\n")) == [[b"* X a\nb\rc\r"]]


def test_pending_tells_that_something_has_begun() -> None:
    framer = Framer()
    for chunk, pending in (
        (b"* OK x\r", True),
        (b"\n", False),
        (b"* X {3}\r\n", True),
        (b"abc", True),
        (b"\r\n", False),
    ):
        list(framer.feed(chunk))
        assert framer.pending is pending


@pytest.mark.parametrize(
    "data",
    [
        b"* " + b"x" * 2000,
        b"* " + b"x" * 2000 + b"\r\n",
        b"* 1 FETCH (BODY[] {5001}\r\n",
        b"* 1 FETCH (BODY[] {99999999999999999999}\r\n",
        b"* 1 FETCH (" + b"X {0}\r\n " * 30,
        b"* 1 FETCH (" + b"X {900}\r\n%b " % (b"x" * 900) * 12,
    ],
)
def test_more_than_the_caps_is_a_protocol_error(data: bytes) -> None:
    framer = Framer(max_line=1000, max_literal=5000, max_unit=10_000, max_pieces=50, keep=5000)
    _, refusal = outcome(framer, [data])
    assert refusal


def test_two_thousand_short_lines_in_one_chunk_are_framed_without_recursion() -> None:
    assert len(list(Framer().feed(b"* 1 EXISTS\r\n" * 20_000))) == 20_000


def test_time_grows_with_the_bytes_not_with_their_square() -> None:
    def cost(n: int) -> float:
        framer = Framer(keep=1 << 30, max_line=1 << 30)
        start = time.process_time()
        for _ in range(n):
            assert not list(framer.feed(b"x" * 100))  # one endless line
        list(framer.feed(b"\r\n* 1 FETCH (BODY[] {%d}\r\n" % (n * 100)))
        for _ in range(n):
            list(framer.feed(b"\n" * 100))  # one endless literal of line ends
        assert len(list(framer.feed(b")\r\n"))) == 1
        return time.process_time() - start

    cost(1000)
    small, large = min(cost(3_000) for _ in range(3)), min(cost(30_000) for _ in range(3))
    assert large < small * 30 + 0.05
