"""Names and ranges of downloads."""

from __future__ import annotations

from email.message import Message

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.http.download import byte_range, disposition


@pytest.mark.parametrize(
    ("name", "header"),
    [
        ("a b.pdf", 'attachment; filename="a b.pdf"'),
        ("größe.pdf", "attachment; filename=\"gr__e.pdf\"; filename*=UTF-8''gr%C3%B6%C3%9Fe.pdf"),
        ('../../x"\r\nSet-Cookie: a=b.html', 'attachment; filename="_.._x_ Set-Cookie_ a=b.html"'),
        ("100%.txt", "attachment; filename=\"100_.txt\"; filename*=UTF-8''100%25.txt"),
        ("", 'attachment; filename="fallback"'),
        ("\u202efdp.exe", 'attachment; filename="fdp.exe"'),
    ],
)
def test_a_name_is_told_as_rfc_6266_says(name: str, header: str) -> None:
    assert disposition(name, "fallback") == header


@given(st.text())
def test_any_name_is_one_harmless_header(name: str) -> None:
    header = disposition(name, "fallback")
    assert header.isascii()
    assert header.isprintable()
    message = Message()
    message["Content-Disposition"] = header
    found = message.get_filename()
    assert found
    assert "/" not in found
    assert "\\" not in found


@pytest.mark.parametrize(
    ("header", "found"),
    [
        ("", None),
        ("bytes=0-0", (0, 1)),
        ("bytes=5-", (5, 10)),
        ("bytes=-3", (7, 10)),
        ("bytes=-30", (0, 10)),
        ("bytes=2-300", (2, 10)),
        ("bytes=3-2", None),
        ("bytes=-", None),
        ("bytes=1-2,4-5", None),
        ("lines=1-2", None),
        ("bytes=a-b", None),
        ("bytes=١-٢", None),
    ],
)
def test_a_range_is_understood_or_passed_over(header: str, found: tuple[int, int] | None) -> None:
    assert byte_range(header, 10) == found


@pytest.mark.parametrize(("header", "size"), [("bytes=10-", 10), ("bytes=-0", 10), ("bytes=0-", 0), ("bytes=-1", 0)])
def test_a_range_without_a_byte_is_refused(header: str, size: int) -> None:
    with pytest.raises(ValueError, match="there are only"):
        byte_range(header, size)


@given(st.text(), st.integers(0, 100))
def test_a_range_never_leaves_the_file(header: str, size: int) -> None:
    try:
        found = byte_range(header, size)
    except ValueError:
        return
    assert found is None or 0 <= found[0] < found[1] <= size
