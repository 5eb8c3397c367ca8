"""Flags, as rows hold them and as people read them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mailcore.imap.flag import in_words, named

ANY_TEXT = st.lists(st.text(max_size=5), max_size=6)


@given(ANY_TEXT)
def test_what_rows_hold_is_named_once_and_for_all(flags: list[str]) -> None:
    once = named(flags)
    assert named(once) == once
    assert len({flag.lower() for flag in once}) == len(once)
    assert not any("\0" in flag or " " in flag for flag in once), "PostgreSQL takes no NUL, and a flag has no blank"


def test_system_flags_are_written_as_the_rfc_does_and_keywords_as_sent() -> None:
    assert named(["\\SEEN", "$MDNSent", "Junk", "\\recent", "\\Recent"]) == ("$MDNSent", "\\Seen", "Junk")


def test_people_read_words() -> None:
    assert in_words(()) == ("unread",)
    assert in_words(("read",)) == ("unread", "read"), "a keyword may be called anything"
    assert in_words(("\\Flagged", "\\Seen", "$Forwarded", "\\Recent")) == ("read", "$Forwarded", "flagged")
    assert in_words(("\\ANSWERED", "\\Draft", "\\Deleted")) == ("unread", "answered", "draft", "to be deleted")
