"""What of an attachment is shown, by what its bytes are."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.admin.previews import may_be_shown, media_type, text_of


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"\x89PNG\r\n\x1a\n...", "image/png"),
        (b"GIF89a", "image/gif"),
        (b"%PDF-1.7\n", "application/pdf"),
        (b"<svg onload=alert(1)>", "text/plain"),
        (b"<html><script>", "text/plain"),
        ("größe;東京\n".encode(), "text/plain"),
        ("Größe\r\n".encode("cp1252"), "text/plain"),
        (b"\x1b$B8+\x1b(B", "text/plain"),
        ("Zürich".encode("utf-16"), "text/plain"),
        (b"PK\x03\x04", ""),
        (b"MZ\x90\x00", ""),
        (b"", ""),
    ],
)
def test_it_is_what_its_bytes_are(content: bytes, expected: str) -> None:
    assert media_type(content) == expected


@given(st.binary(max_size=200))
def test_any_bytes_are_something_that_runs_nowhere(content: bytes) -> None:
    shown = media_type(content)
    assert shown in ("", "text/plain", "application/pdf", "image/png", "image/jpeg", "image/gif", "image/webp")
    assert isinstance(text_of(content), str)


@given(st.text(st.characters(exclude_characters="\0\ufeff", codec="utf-8"), min_size=1), st.integers(0, 3))
def test_a_text_that_was_cut_anywhere_is_read(text: str, cut: int) -> None:
    raw = text.encode()
    whole = text_of(raw[: len(raw) - cut])
    assert text.startswith(whole)
    assert len(raw) - len(whole.encode()) < cut + 4


def test_other_charsets_are_found() -> None:
    assert text_of("Zürich;Größe".encode("utf-16")) == "Zürich;Größe"
    assert text_of(("Die Größe der Übersicht für Jürgen. " * 5).encode("cp1252")).startswith("Die Größe der Übersicht")


@pytest.mark.parametrize(
    ("content_type", "filename", "shown"),
    [
        ("image/png", "", True),
        ("application/octet-stream", "Rechnung.PDF", True),
        ("text/csv", "", True),
        ("application/zip", "a.zip", False),
        ("image/svg+xml", "a.svg", False),
        ("application/octet-stream", "pdf", False),
        ("application/octet-stream", "", False),
    ],
)
def test_what_is_worth_a_look_is_offered(content_type: str, filename: str, shown: bool) -> None:
    assert may_be_shown(content_type, filename) is shown
