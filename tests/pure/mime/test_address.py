"""Address lists."""

from email.headerregistry import Address
from email.utils import formataddr
from typing import NoReturn

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailcore.mime import address
from mailcore.mime.address import address_text, parse_addresses
from mailcore.mime.defects import Defects


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("", []),
        ("a@b.c", [("", "a@b.c")]),
        ("<a@b.c>", [("", "a@b.c")]),
        ("A B <a@b.c>", [("A B", "a@b.c")]),
        ('"B, A" <a@b.c>, c@d.e', [("B, A", "a@b.c"), ("", "c@d.e")]),
        (r'"A \"the\" B" <a@b.c>', [('A "the" B', "a@b.c")]),
        ("=?utf-8?q?J=C3=BCrgen=2C_M?= <j@m.de>", [("Jürgen, M", "j@m.de")]),
        ("a@b.c (A B)", [("A B", "a@b.c")]),
        ("(one (two)) A <a@b.c>", [("A", "a@b.c")]),
        ("Team: a@b.c, B <b@b.c>;, c@d.e", [("", "a@b.c"), ("B", "b@b.c"), ("", "c@d.e")]),
        ("undisclosed-recipients:;", []),
        ("A <@relay,@other:a@b.c>", [("A", "a@b.c")]),
        ("A <a@[IPv6:2001:db8::1]>", [("A", "a@[IPv6:2001:db8::1]")]),
        ('"odd local"@b.c', [("", '"odd local"@b.c')]),
        ("A B <a@b.c", [("A B", "a@b.c")]),
        ("A <a@b.c> B <b@b.c>", [("A", "a@b.c"), ("B", "b@b.c")]),
        ("a@b.c d@e.f", [("", "a@b.c"), ("", "d@e.f")]),
        ("a@b.c; d@e.f", [("", "a@b.c"), ("", "d@e.f")]),
        ("Big Bug bb@bug.com", [("Big Bug", "bb@bug.com")]),
        ("=?utf-8?q?A_B_<a@b.c>?=", [("A B", "a@b.c")]),
        ("jdoe@test   . example", [("", "jdoe@test.example")]),
        ("MAILER-DAEMON", [("", "MAILER-DAEMON")]),
        ("A <>", [("A", "")]),
        (",,a@b.c,,", [("", "a@b.c")]),
        ("Jöhn <jdöe@mächine.example>", [("Jöhn", "jdöe@mächine.example")]),
    ],
)
def test_lists_as_mailers_write_them(value: str, expected: list[tuple[str, str]]) -> None:
    assert parse_addresses(value, Defects()) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("Otto, Eva <eva@x.org>", [("Otto, Eva", "eva@x.org")]),
        ("Otto, Eva, Dr. <eva@x.org>, b@x.org", [("Otto, Eva, Dr.", "eva@x.org"), ("", "b@x.org")]),
        ('b@x.org, "Otto", Eva <eva@x.org>', [("", "b@x.org"), ("Otto, Eva", "eva@x.org")]),
        ('"Otto, Eva", <eva@x.org>', [("Otto, Eva", "eva@x.org")]),
        ("=?utf-8?q?Otto=C3=A9?=, Eva <eva@x.org>", [("Ottoé, Eva", "eva@x.org")]),
        ("Otto (sales), Eva <eva@x.org>", [("Otto, Eva", "eva@x.org")]),
        ("root (local), b@x.org", [("local", "root"), ("", "b@x.org")]),
        ("root; Eva <eva@x.org>", [("", "root"), ("Eva", "eva@x.org")]),
        ("root, postmaster", [("", "root"), ("", "postmaster")]),
        ("root, eva@x.org", [("", "root"), ("", "eva@x.org")]),
        ("root, Team: eva@x.org;", [("", "root"), ("", "eva@x.org")]),
    ],
)
def test_a_word_before_a_comma_belongs_to_the_name_behind_it(value: str, expected: list[tuple[str, str]]) -> None:
    assert parse_addresses(value, Defects()) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("=?utf-8?q?B=C3=A9,_Jo?= <jo@x.org>", [("Bé, Jo", "jo@x.org")]),
        ("=?utf-8?q?B=C3=A9_(Jo;_x:y)?= <jo@x.org>, b@x.org", [("Bé (Jo; x:y)", "jo@x.org"), ("", "b@x.org")]),
        ("a@x.org, =?utf-8?q?jo@x,_b?= <jo@x.org>", [("", "a@x.org"), ("jo@x, b", "jo@x.org")]),
        ("Dr. =?utf-8?q?B=C3=A9,?= =?utf-8?q?_Jo?= <jo@x.org>", [("Dr. Bé, Jo", "jo@x.org")]),
        ("=? <jo@x.org>", [("=?", "jo@x.org")]),
    ],
)
def test_what_stands_in_an_encoded_word_delimits_nothing(value: str, expected: list[tuple[str, str]]) -> None:
    assert parse_addresses(value, Defects()) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ('<"eva otto"@x.org>', [("", '"eva otto"@x.org')]),
        ('E <"eva, otto"@x.org>, b@x.org', [("E", '"eva, otto"@x.org'), ("", "b@x.org")]),
        ('"eva  otto"@x.org', [("", '"eva  otto"@x.org')]),
        ('E <"eva@x.org">', [("E", "eva@x.org")]),
        ("E < eva @ x.org >", [("E", "eva@x.org")]),
    ],
)
def test_blanks_within_quotes_belong_to_an_address(value: str, expected: list[tuple[str, str]]) -> None:
    assert parse_addresses(value, Defects()) == expected


NAMES = st.text(st.characters(exclude_categories=["C", "Zs", "Zl", "Zp"]), max_size=30)
EMAILS = st.from_regex(r"[a-z0-9.+_-]{1,20}@[a-z0-9-]{1,20}\.[a-z]{2,6}", fullmatch=True)


@given(st.lists(st.tuples(NAMES, EMAILS), max_size=10))
def test_what_the_standard_library_writes_comes_back(people: list[tuple[str, str]]) -> None:
    assert parse_addresses(", ".join(formataddr(person) for person in people), Defects()) == people


@given(st.lists(st.tuples(NAMES.filter(lambda name: "=?" not in name), EMAILS), max_size=10))
def test_what_is_shown_of_people_can_be_told_apart(people: list[tuple[str, str]]) -> None:
    assert parse_addresses(", ".join(address_text(*person) for person in people), Defects()) == people
    assert address_text("Änna B", "a@b.c") == "Änna B <a@b.c>"


@given(st.text(alphabet='ab @.,;:<>()"\\=?q é\ud800', max_size=100))
def test_anything_becomes_a_list(value: str) -> None:
    for name, email in parse_addresses(value, Defects()):
        assert isinstance(name, str)
        assert isinstance(email, str)


@given(NAMES.filter(lambda name: "=?" not in name), EMAILS)
def test_quoted_names_come_back(name: str, email: str) -> None:
    local, _, domain = email.partition("@")
    try:
        written = str(Address(name, local, domain))
    except (ValueError, IndexError):  # local parts that the standard library refuses
        return
    assert parse_addresses(written, Defects()) == [(name, email)]


@pytest.mark.parametrize("value", ["team@example.org", " team@example.org ", "a@x.org, B <b@x.org>,c@x.org"])
def test_ordinary_lists_take_the_short_way(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def slow(rest: str, _: Defects) -> NoReturn:
        raise AssertionError(f"the long way for {rest!r}")

    monkeypatch.setattr(address, "_slow", slow)
    assert all("@" in found for _, found in address.parse_addresses(value, Defects()))
