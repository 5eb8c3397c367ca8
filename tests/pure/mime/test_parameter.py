"""Content-Type and Content-Disposition values."""

import re
from email.message import EmailMessage
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailcore.mime import parameter
from mailcore.mime.defects import Defects
from mailcore.mime.parameter import parse_parameters


@pytest.mark.parametrize(
    ("value", "main", "parameters"),
    [
        ("text/plain", "text/plain", {}),
        ("TEXT/Plain; CharSet=UTF-8", "text/plain", {"charset": "UTF-8"}),
        ('text/plain; charset="utf-8"; format=flowed', "text/plain", {"charset": "utf-8", "format": "flowed"}),
        ("text/plain;charset=utf-8;", "text/plain", {"charset": "utf-8"}),
        ("attachment; filename=two words.pdf; size=3", "attachment", {"filename": "two words.pdf", "size": "3"}),
        ('attachment; filename="semi;colon.pdf"', "attachment", {"filename": "semi;colon.pdf"}),
        (r'attachment; filename="a\"b\\c.pdf"', "attachment", {"filename": r'a"b\c.pdf'}),
        ('attachment; filename="never closed.pdf', "attachment", {"filename": "never closed.pdf"}),
        ('attachment; filename="a "quoted" b.pdf"', "attachment", {"filename": 'a "quoted" b.pdf'}),
        ('attachment filename="x.pdf" size=1', "attachment", {"filename": "x.pdf", "size": "1"}),
        ("application/pdf name=x.pdf", "application/pdf", {"name": "x.pdf"}),
        ("a/b; name = spaced ", "a/b", {"name": "spaced"}),
        ("attachment; filename=report (1).pdf; size=2", "attachment", {"filename": "report (1).pdf", "size": "2"}),
        ('attachment (as one); filename="a (1).pdf" (now)', "attachment", {"filename": "a (1).pdf"}),
        ("attachment; filename=a/b.pdf", "attachment", {"filename": "a/b.pdf"}),
        ("text/plain (never closed; charset=utf-8", "text/plain", {"charset": "utf-8"}),
        ("text/plain; charset=utf-8 (Unicode)", "text/plain", {"charset": "utf-8"}),
        ("text/plain; charset=utf-8 format=flowed", "text/plain", {"charset": "utf-8", "format": "flowed"}),
        ("a/b; filename*=; filename=x.jpg", "a/b", {"filename": "x.jpg"}),
        ("a/b; filename*=utf-8''; filename==?utf-8?q?=C3=BC?=", "a/b", {"filename": "ü"}),
        ('a/b; filename*0=""; filename="x.jpg"', "a/b", {"filename": "x.jpg"}),
        ('a/b; boundary="=?utf-8?q?x?="; name="=?utf-8?q?x?="', "a/b", {"boundary": "=?utf-8?q?x?=", "name": "x"}),
        ("text/plain, charset=utf-8", "text/plain", {"charset": "utf-8"}),
        ("a/b; boundary='B'", "a/b", {"boundary": "'B'"}),
        ("a/b; name=first; name=second", "a/b", {"name": "first"}),
        ("a/b; name==?utf-8?q?caf=C3=A9?=", "a/b", {"name": "café"}),
        ('a/b; name="=?utf-8?B?Y2Fmw6k=?="', "a/b", {"name": "café"}),
        ("a/b; name==?utf-8?q?a;b?=.txt", "a/b", {"name": "a;b.txt"}),
        ("a/b; filename*=utf-8''caf%C3%A9.txt; filename=cafe.txt", "a/b", {"filename": "café.txt"}),
        ("a/b; filename=cafe.txt; filename*=iso-8859-1'fr'caf%E9.txt", "a/b", {"filename": "café.txt"}),
        ("a/b; filename*=\"utf-8''caf%C3%A9\"", "a/b", {"filename": "café"}),
        ("a/b; n*0=one; n*1=two; n*2=three", "a/b", {"n": "onetwothree"}),
        ("a/b; n*2=three; n*0=one; n*1=two", "a/b", {"n": "onetwothree"}),
        ("a/b; n*0*=utf-8''caf%C3; n*1*=%A9; n*2=.txt", "a/b", {"n": "café.txt"}),
        ("a/b; n*0=a; n*2=c", "a/b", {"n": "ac"}),
        ("a/b; n*=caf%C3%A9", "a/b", {"n": "café"}),
        ('a/b; n*0="=?utf-8?q?a?="; n*1=" =?utf-8?q?b?="', "a/b", {"n": "ab"}),
        ("a/b; n*=nonsense''caf%E9", "a/b", {"n": "café"}),
        ("", "", {}),
        (";;;=;", "", {}),
    ],
)
def test_values_as_mailers_write_them(value: str, main: str, parameters: dict[str, str]) -> None:
    assert parse_parameters(value, Defects()) == (main, parameters)


@given(st.text(st.characters(exclude_categories=["Cc", "Cs", "Zs", "Zl", "Zp"]), min_size=1, max_size=100))
def test_what_the_standard_library_writes_comes_back(name: str) -> None:
    message = EmailMessage()
    message.add_header("Content-Disposition", "attachment", filename=name)
    value = message.as_bytes().decode("ascii").partition(":")[2].rstrip("\n").replace("\n ", " ")
    assert parse_parameters(value, Defects()) == ("attachment", {"filename": name})


@given(st.text(alphabet="ab/;=\"\\*'%0123? \tq\ud800é()<>", max_size=100))
def test_anything_becomes_parameters(value: str) -> None:
    main, parameters = parse_parameters(value, Defects())
    assert isinstance(main, str)
    assert all(isinstance(text, str) for text in parameters.values())


@given(
    st.from_regex(r"[a-z/.+-]{1,8}", fullmatch=True),
    st.sampled_from(["charset", "boundary", "name", "Filename", "x-y"]),
    st.text("ab1='\"\\?;()/ _-ü", max_size=12),
    st.booleans(),
)
def test_the_short_way_leads_where_the_long_one_does(main: str, name: str, value: str, quoted: bool) -> None:
    written = f'{main}; {name}="{value}"' if quoted else f"{main}; {name}={value}"
    with patch.object(parameter, "_USUAL", re.compile("(?!)")):
        long = parse_parameters(written, Defects())
    assert parse_parameters(written, Defects()) == long
