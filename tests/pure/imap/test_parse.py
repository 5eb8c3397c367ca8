"""Units become typed responses, and any bytes become a response or a ProtocolError."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailcore.errors import ProtocolError
from mailcore.imap.fetch import parse_fetch, parse_internaldate
from mailcore.imap.framing import Framer, Literal, Unit
from mailcore.imap.parse import parse
from mailcore.imap.response import (
    Capability,
    Condition,
    Continuation,
    Enabled,
    ESearch,
    Exists,
    Expunge,
    Fetch,
    ListItem,
    Other,
    Response,
    Search,
    Section,
    StatusItem,
    Tagged,
    Unreadable,
    Vanished,
)
from mailcore.imap.sequence import MAX_UID, UidSet


def read(data: bytes, *, keep: int = 65536) -> Response:
    (unit,) = Framer(keep=keep).feed(data + b"\r\n")
    return parse(unit)


@pytest.mark.parametrize(
    ("line", "response"),
    [
        (b"* 23 EXISTS", Exists(23)),
        (b"* 0 exists", Exists(0)),
        (b"* 44 EXPUNGE", Expunge(44)),
        (b"* 5 RECENT", Other("RECENT", b"* 5 RECENT")),
        (b"* VANISHED 41,43:45", Vanished(UidSet([41, 43, 44, 45]))),
        (b"* VANISHED (EARLIER) 1:2", Vanished(UidSet([1, 2]), earlier=True)),
        (b"* SEARCH", Search(())),
        (b"* SEARCH 5 3 84", Search((5, 3, 84))),
        (b"* SEARCH 2 5 (MODSEQ 917162500)", Search((2, 5), 917162500)),
        (b'* ESEARCH (TAG "A1") UID COUNT 5 ALL 4:19,21,28', None),
        (b"* ESEARCH (TAG A2) UID", ESearch("A2", uid=True)),
        (b"* ESEARCH MIN 1 MAX 9 MODSEQ 12", ESearch("", uid=False, min=1, max=9, modseq=12)),
        (b"* CAPABILITY IMAP4rev1 Idle", Capability(frozenset({"IMAP4REV1", "IDLE"}))),
        (b"* ENABLED CONDSTORE", Enabled(frozenset({"CONDSTORE"}))),
        (b"* ENABLED", Enabled(frozenset())),
        (b"* OK Still here", Condition("OK", "", "", "Still here")),
        (b"* ok", Condition("OK", "", "", "")),
        (b"* OK [UIDVALIDITY 3857529045] UIDs valid", Condition("OK", "UIDVALIDITY", "3857529045", "UIDs valid")),
        (b"* NO [alert] full", Condition("NO", "ALERT", "", "full")),
        (b'* OK [X "a]b" c] d', Condition("OK", "X", '"a]b" c', "d")),
        (b"* BYE [UNAVAILABLE] gone {5}", Condition("BYE", "UNAVAILABLE", "", "gone {5}")),
        (b"* PREAUTH hello", Condition("PREAUTH", "", "", "hello")),
        (b"* OK ** SALE * end", Condition("OK", "", "", "** SALE * end")),
        (b"A7 OK [READ-WRITE] done", Tagged("A7", "OK", "READ-WRITE", "", "done")),
        (b"A8 no", Tagged("A8", "NO", "", "", "")),
        (b"A9 BAD [CLIENTBUG", Tagged("A9", "BAD", "", "", "[CLIENTBUG")),
        (b"+ idling", Continuation("idling")),
        (b"+", Continuation("")),
        (
            b'* LIST (\\HasNoChildren \\Sent) "/" "Sent Items"',
            ListItem(("\\HasNoChildren", "\\Sent"), "/", "Sent Items"),
        ),
        (b"* LIST () NIL inbox", ListItem((), None, "inbox")),
        (b'* LIST () "\\\\" "a\\"b\\\\c"', ListItem((), "\\", 'a"b\\c')),
        (b'* LIST () "/" "** SALE * end ("', ListItem((), "/", "** SALE * end (")),
        (b'* LIST () "." &U,BTFw-', ListItem((), ".", "台北")),
        (b'* LIST () "." {7}\r\n(a b)"!', ListItem((), ".", '(a b)"!')),
        (b'* STATUS "a (b" (MESSAGES 3 UIDNEXT 4)', StatusItem("a (b", {"MESSAGES": 3, "UIDNEXT": 4})),
        (
            b"* STATUS {1}\r\nx (messages 3 MAILBOXID (F1) UNSEEN 2)",
            StatusItem("x", {"MESSAGES": 3, "UNSEEN": 2}, "F1"),
        ),
        (b'* ID ("name" "Dovecot")', Other("ID", b'* ID ("name" "Dovecot")')),
        (b"* FLAGS (\\Seen)", Other("FLAGS", b"* FLAGS (\\Seen)")),
        (b"* X-UNKNOWN {3}\r\nabc", Other("X-UNKNOWN", b"* X-UNKNOWN ")),
        (b"*", Other("", b"*")),
        (b"", Other("", b"")),
    ],
)
def test_what_servers_say(line: bytes, response: Response | None) -> None:
    found = read(line)
    if isinstance(found, ESearch) and response is None:
        assert (found.tag, found.uid, found.count, str(found.all)) == ("A1", True, 5, "4:19,21,28")
    elif isinstance(found, StatusItem) and response is None:
        assert found == StatusItem("x", {"MESSAGES": 3, "UNSEEN": 2})
    else:
        assert found == response


@pytest.mark.parametrize(
    "line",
    [
        b"hello",
        b"A1 MAYBE done",
        b"HTTP/1.1 400 Bad Request",
    ],
)
def test_what_is_no_response_is_a_protocol_error(line: bytes) -> None:
    with pytest.raises(ProtocolError):
        read(line)


@pytest.mark.parametrize(
    "line",
    [
        b"* 9999999999 EXISTS",
        b"* SEARCH 1 x",
        b"* SEARCH " + b"1" * 5000,
        b"* ESEARCH UID ALL 1:*",
        b"* ESEARCH UID COUNT " + b"9" * 5000,
        b"* ESEARCH UID ALL (1)",
        b"* VANISHED x",
        b"* LIST nonsense",
        b"* LIST () NIL ",
        b"* STATUS x",
        b"* SEARCH {3}\r\n1 2",
        b"* 1 FETCH",
        b"* 1 FETCH ",
        b"* 1 FETCH (UID 5",
        b"* 1 FETCH (UID x)",
        b"* 1 FETCH (UID 5) (",
        b"* 1 FETCH (UID 4294967296)",
        b"* 1 FETCH (UID " + b"1" * 5000 + b")",
        b"* 0 FETCH (UID 5)",
        b"* 1 FETCH (BODY[] 5)",
        b'* 1 FETCH (BODY[] "unbalanced)',
        b"* 1 FETCH (X (a (b))",
        b"* 1 FETCH (X {1}\r\na",
        b"* 1 FETCH (X ))",
    ],
)
def test_a_response_that_cannot_be_read_says_what_it_was_and_costs_nothing_else(line: bytes) -> None:
    found = read(line)
    assert isinstance(found, Unreadable)
    assert found.name in line.decode("latin-1")
    assert found.name in ("EXISTS", "SEARCH", "ESEARCH", "VANISHED", "LIST", "STATUS", "FETCH")
    assert found.fault.startswith("the server sent")


@pytest.mark.parametrize(
    ("line", "response"),
    [
        (b"* SEARCH 0", Search(())),
        (b"* SEARCH 0 1 00 2", Search((1, 2))),
        (b"* SEARCH 3 4294967296", Search((3,))),
        (b"* ESEARCH UID ALL 0,5:6", ESearch("", uid=True, all=UidSet([5, 6]))),
        (b"* ESEARCH UID ALL 0:2", ESearch("", uid=True, all=UidSet([1, 2]))),
        (b"* ESEARCH UID ALL 0", ESearch("", uid=True, all=UidSet())),
        (b"* VANISHED 0,7", Vanished(UidSet([7]))),
        (b"* 3 FETCH (UID 0 RFC822.SIZE 5)", Fetch(3, None, size=5)),
        (b'* 3 FETCH (UID 0 FLAGS () INTERNALDATE "" RFC822.SIZE 5)', Fetch(3, None, (), size=5)),
    ],
)
def test_what_can_be_no_uid_is_nobodys_and_the_others_are_believed(line: bytes, response: Response) -> None:
    assert read(line) == response


def test_an_error_shows_nothing_of_the_mail() -> None:
    unreadable = read(b'* 1 FETCH (BODY[] "my pin is 4711" oops)')
    assert isinstance(unreadable, Unreadable)
    assert "4711" not in repr(unreadable)
    assert "4711" not in repr(read(b'* 1 FETCH (BODY[] "my pin is 4711")'))
    assert "4711" not in repr(Literal(b"4711", 4))


def test_a_fetch_in_any_order_with_items_that_we_do_not_know() -> None:
    found = read(
        b'* 12 FETCH (X-GM-OTHERS ("\\\\Inbox" "a)b(" {2}\r\n)( ()) FLAGS (\\Seen $Junk) BODY[]<0> {5}\r\n)\r\n"( '
        b'ENVELOPE (NIL ((("x" NIL "y" {1}\r\n")))) MODSEQ (65402) RFC822.SIZE 5 BODY[HEADER.FIELDS (TO "(")] NIL '
        b'INTERNALDATE "17-Jul-1996 02:44:25 -0700" UID 4711 BODYSTRUCTURE ("text" ("a" "b]"))  BINARY[1]<0> ~{0}\r\n)'
    )
    assert found == Fetch(
        12,
        4711,
        ("\\Seen", "$Junk"),
        datetime(1996, 7, 17, 9, 44, 25, tzinfo=UTC),
        5,
        65402,
        {"": Section(b')\r\n"(', 0, 5), 'HEADER.FIELDS (TO "(")': Section(None, None, 0)},
    )


def test_a_body_that_is_nil_quoted_cut_or_in_a_part() -> None:
    def body(data: bytes, keep: int = 100) -> Section:
        found = read(b"* 1 FETCH (UID 1 " + data + b")", keep=keep)
        assert isinstance(found, Fetch)
        return found.sections[""]

    assert body(b"BODY[]<0> NIL") == Section(None, 0, 0)
    assert body(b"BODY[] NIL") == Section(None, None, 0)
    assert body(b'BODY[]<512> ""') == Section(b"", 512, 0)
    assert body(b'BODY[] "a\\"b(\\\\"') == Section(b'a"b(\\', None, 5)
    assert body(b"body[] {5}\r\n12345", keep=3) == Section(b"123", None, 5)


def test_a_date_that_is_none_does_not_stop_the_message() -> None:
    found = read(b'* 1 FETCH (UID 1 INTERNALDATE "99-Foo-0000 00:00:00 +0000" RFC822.SIZE 3)')
    assert found == Fetch(1, 1, None, None, 3)


@pytest.mark.parametrize(
    "raw",
    [
        b"03-Feb-2026 10:00:00 +0100",
        b" 3-Feb-2026 10:00:00 +0100",
        b"Tue, 03 Feb 2026 10:00:00 +0100",
        b"Tue, 3 Feb 2026 10:00 +0100 (CET)",
        b"3 February 2026 09:00:00 GMT",
        b"03-Feb-2026 9:00:00 UTC",
        b"03-FEB-2026 10:00:00 +01:00",
        b"03-Feb-2026 09:00:00Z",
        b"03-Feb-2026 10:00:00.000 +0100",
    ],
)
def test_a_date_as_headers_write_it_is_the_same_moment(raw: bytes) -> None:
    assert parse_internaldate(raw) == datetime(2026, 2, 3, 9, tzinfo=UTC)


@pytest.mark.parametrize(
    "raw",
    [
        b"00-Jan-0000 00:00:00 +0000",
        b"31-Feb-2026 10:00:00 +0100",
        b"03-Feb-2026 10:00:00",  # in which zone?
        b"03-Feb-2026 10:00:00 XST",
        b"03-Feb-26 10:00:00 +0100",
        b"Tue, 03 Feb 2026",
        b"",
        b"03-Feb-2026 " + b" " * 100 + b"10:00:00 +0100",
    ],
)
def test_what_is_no_date_is_none(raw: bytes) -> None:
    assert parse_internaldate(raw) is None


@given(
    st.datetimes(min_value=datetime(1, 1, 3), max_value=datetime(9999, 12, 29)),  # noqa: DTZ001  # naive is asked for
    st.integers(-14 * 60, 14 * 60),
)
def test_dates_come_back_in_utc(local: datetime, minutes: int) -> None:
    moment = local.replace(microsecond=0, tzinfo=timezone(timedelta(minutes=minutes)))
    month = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()[moment.month - 1]
    written = f"{moment.day:2}-{month}-{moment.year:04}" + moment.strftime(" %H:%M:%S %z")
    assert parse_internaldate(written.encode()) == moment


@given(st.binary(max_size=40) | st.from_regex(rb" ?\d\d?-[A-Z][a-z]{2}-\d{4} \d\d:\d\d:\d\d [+-]\d{4}", fullmatch=True))
def test_any_date_is_a_moment_in_utc_or_none(raw: bytes) -> None:
    found = parse_internaldate(raw)
    assert found is None or found.utcoffset() == timedelta(0)


usual = st.builds(
    lambda uid, flags, date, size, origin, body: (
        b'* 7 FETCH (UID %d FLAGS (%b) INTERNALDATE "%b" RFC822.SIZE %d' % (uid, flags, date, size) + origin,
        body,
    ),
    st.integers(0, MAX_UID + 1),
    st.sampled_from([b"", b"\\Seen", b"\\Seen $a", b"\\Seen (x", b'"', b"\xff"]),
    st.sampled_from([b"01-Jan-2026 10:00:00 +0100", b"", b'a\\"b', b"x(y"]),
    st.integers(0, 10**20),
    st.sampled_from([b" BODY[]<0> ", b" BODY[] ", b" BODY[]<7> ", b" BODY[1] ", b")", b" MODSEQ (5))", b" X (", b""]),
    st.none() | st.binary(max_size=9),
)


@given(usual, st.sampled_from([b")", b" UID 3)", b"", b") x"]))
def test_the_short_way_for_the_usual_fetch_gives_what_the_long_way_gives(
    made: tuple[bytes, bytes | None], tail: bytes
) -> None:
    head, body = made
    unit: Unit = [head] if body is None else [head, Literal(body, len(body)), tail]

    def result(way: Callable[[], Response]) -> Response | str:
        try:
            found = way()
        except ProtocolError as error:
            return str(error)
        return found.fault if isinstance(found, Unreadable) else found

    assert result(lambda: parse(unit)) == result(lambda: parse_fetch(7, unit, len(b"* 7 FETCH ")))


fragments = st.lists(
    st.sampled_from(
        b'* |1 |FETCH (|UID |5 |)|(|BODY[]|<0>| |NIL|"|\\|{3}\r\nabc|LIST |STATUS |() |"/" |ESEARCH |SEARCH |VANISHED |'
        b'ALL |1:3|(TAG "A") |OK |[|]|MODSEQ (|FLAGS (\\X) |INTERNALDATE |A1 |+ |99999999999|\xff'.split(b"|")
    )
    | st.binary(max_size=4),
    max_size=25,
).map(b"".join)


@given(fragments | st.binary(max_size=80))
def test_any_bytes_are_a_response_or_a_protocol_error(data: bytes) -> None:
    with contextlib.suppress(ProtocolError):
        for unit in Framer(max_line=1000, max_literal=100).feed(data + b"\r\n"):
            assert parse(unit) is not None


@pytest.mark.parametrize(
    "hostile",
    [
        lambda n: b"* 1 FETCH (X " + b"(" * n,
        lambda n: b"* 1 FETCH (X " + b"(" * n + b")" * n + b")",
        lambda n: b"* 1 FETCH (" + b"A" * n,
        lambda n: b'* 1 FETCH (X "' + b"\\a" * n,
        lambda n: b"* STATUS x (" + b"A" * n + b")",
        lambda n: b"* STATUS x (" + b"1" * n + b")",
        lambda n: b'* LIST () "/" "' + b"\\a" * n,
        lambda n: b"* LIST (" + b" " * n,
        lambda n: b"* OK [" + b'"' * n,
        lambda n: b"* OK [X " + b'"a' * n,
        lambda n: b"* ESEARCH " + b"A " * n,
        lambda n: b"* ESEARCH UID ALL " + b"1," * n + b"1",
        lambda n: b"* SEARCH " + b"7 " * n,
        lambda n: b"* " + b" " * n,
        lambda n: b"* 1 " + b" " * n,
        lambda n: b"A" * n,
        lambda n: b"* CAPABILITY " + b"A " * n,
    ],
)
def test_hostile_lines_cost_linear_time(hostile: object) -> None:
    def cost(n: int) -> float:
        line = hostile(n)  # type: ignore[operator]  # one of the lambdas above
        start = time.process_time()
        with contextlib.suppress(ProtocolError):
            parse([line])
        return time.process_time() - start

    small, large = min(cost(20_000) for _ in range(3)), min(cost(200_000) for _ in range(3))
    assert large < 30 * small + 0.05


@pytest.mark.parametrize(
    ("items", "found"),
    [
        (b"X-GM-MSGID 1278455344230334865 X-GM-THRID 12 X-GM-LABELS ()", ("1278455344230334865", "12", ())),
        (b'X-GM-LABELS ("\\\\Inbox" \\Sent Work "Z&APw-rich" "a b" "")', (None, None, ("\\Inbox", "\\Sent", "Work",
         "Zürich", "a b", ""))),
        (b"EMAILID (M00000001) THREADID (T_a-9)", ("M00000001", "T_a-9", None)),
        (b"EMAILID (M1) THREADID NIL", ("M1", None, None)),
        (b"EMAILID () THREADID (a b) X-GM-LABELS NIL", (None, None, None)),
        (b'X-GM-MSGID "sp ace" X-GM-LABELS atom', (None, None, None)),
    ],
)  # fmt: skip
def test_what_the_server_calls_a_message_is_read_and_what_is_no_name_costs_no_message(
    items: bytes, found: tuple[str | None, str | None, tuple[str, ...] | None]
) -> None:
    given = read(b"* 3 FETCH (UID 7 " + items + b" FLAGS (\\Seen))")
    assert isinstance(given, Fetch)
    assert (given.uid, given.flags) == (7, ("\\Seen",))
    assert (given.email_id, given.thread_id, given.labels) == found


def test_a_label_may_be_a_literal() -> None:
    given = read(b'* 3 FETCH (UID 7 X-GM-LABELS (Work {8}\r\n"quotes" Home) FLAGS ())')
    assert isinstance(given, Fetch)
    assert given.labels == ("Work", '"quotes"', "Home")
