"""Addresses that let in whoever has them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from api.admin.pictures import kind_of
from api.guard.security_headers import message
from api.guard.signed import LIFETIME, is_signed, sign

KEY = b"k" * 32
PATH = "/admin/messages/1/pictures/2/"


def signature(path: str = PATH, now: float = 1_000.0) -> str:
    address, _, made = sign(KEY, path, now).partition("?signature=")
    assert address == path
    return made


def test_it_is_good_for_its_path_and_its_time_alone() -> None:
    made = signature()
    assert is_signed(KEY, PATH, made, 1_000)
    assert is_signed(KEY, PATH, made, 1_000 + LIFETIME - 1)
    assert not is_signed(KEY, PATH, made, 1_000 + LIFETIME)
    assert not is_signed(KEY, "/admin/messages/1/pictures/3/", made, 1_000)
    assert not is_signed(KEY, "/admin/messages/2/pictures/2/", made, 1_000)
    assert not is_signed(b"another", PATH, made, 1_000)


def test_nobody_lengthens_its_time() -> None:
    until, _, mac = signature().partition(".")
    assert not is_signed(KEY, PATH, f"{int(until) + 1}.{mac}", 1_000)


@given(st.text(max_size=90), st.text(max_size=20))
def test_whatever_else_is_said_is_none(made: str, path: str) -> None:
    assert not is_signed(KEY, path, made, 1_000)
    assert not is_signed(KEY, PATH, "\udcff" + made, 1_000)


def test_a_message_may_show_its_own_pictures_and_no_others() -> None:
    def pictures(host: str) -> str:
        return (
            message(host, "/admin/messages/1/pictures/")["Content-Security-Policy"].split("img-src ")[1].split(";")[0]
        )

    assert pictures("mail.example.org") == "data: mail.example.org/admin/messages/1/pictures/"
    assert pictures("127.0.0.1:8000") == "data: 127.0.0.1:8000/admin/messages/1/pictures/"
    assert pictures("[::1]:8000") == "data: 'self'", "a policy has no words for it"
    assert pictures("a;script-src") == "data: 'self'"


def test_a_picture_is_known_by_its_bytes() -> None:
    assert kind_of(b"\x89PNG\r\n\x1a\n\0\0\0\r") == "image/png"
    assert kind_of(b"\xff\xd8\xff\xe0\0\x10JFIF\0\1") == "image/jpeg"
    assert kind_of(b"GIF89a\1\0\1\0\0\0") == "image/gif"
    assert kind_of(b"RIFF\0\0\0\0WEBPVP8 ") == "image/webp"
    for other in (b"", b"<svg xmlns=", b"<html>", b"RIFF\0\0\0\0WAVE", b"%PDF-1.7", b"GIF90a"):
        assert kind_of(other) == ""
