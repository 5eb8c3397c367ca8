"""Files inside winmail.dat."""

import importlib.util
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailcore.mime.defects import Defects
from mailcore.mime.tnef import is_tnef, tnef_files

_SPEC = importlib.util.spec_from_file_location("winmail", Path(__file__).with_name("winmail.py"))
assert _SPEC is not None
assert _SPEC.loader is not None
winmail = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(winmail)

NAMES = st.text(
    st.characters(codec="cp1252", exclude_characters="\0", exclude_categories=["Cc"]), min_size=1, max_size=20
)


@given(st.lists(st.tuples(NAMES, st.binary(max_size=100)), max_size=5))
def test_the_attached_files_come_out(files: list[tuple[str, bytes]]) -> None:
    defects = Defects()
    content = winmail.winmail(*[winmail.attached(name, data) for name, data in files])
    assert is_tnef("application/ms-tnef", "", content)
    assert is_tnef("application/x-other", "WINMAIL.DAT", content)
    assert not is_tnef("application/pdf", "a.pdf", content)
    assert not is_tnef("application/ms-tnef", "", b"x" + content)
    assert [(file.name, file.content) for file in tnef_files(content, defects)] == files
    assert not defects


def test_the_long_name_the_type_and_the_content_id_are_read() -> None:
    content = winmail.winmail(
        winmail.attached(
            "LONGNA~1.PNG",
            b"png",
            winmail.mapi_property(0x3705, 0x0003, b"\x01\0\0\0"),
            winmail.mapi_property(0x8001, 0x001F, "named".encode("utf-16-le")),
            winmail.mapi_property(0x3707, 0x001F, "Läng名前.png\0".encode("utf-16-le")),
            winmail.mapi_property(0x370E, 0x001E, b"image/png\0"),
            winmail.mapi_property(0x3712, 0x001F, "<pic@1>\0".encode("utf-16-le")),
        )
    )
    (file,) = tnef_files(content, Defects())
    assert file == ("Läng名前.png", "image/png", "pic@1", b"png")


def test_files_of_an_attached_message_come_out_too() -> None:
    inner = winmail.winmail(winmail.attached("inner.txt", b"inner"))
    wrapper = winmail.attribute(2, winmail.REND_DATA, bytes(14)) + winmail.attribute(
        2, winmail.ATTACHMENT, winmail.properties(winmail.mapi_property(0x3701, 0x000D, bytes(16) + inner))
    )
    content = winmail.winmail(winmail.attached("outer.txt", b"outer"), wrapper)
    assert [(file.name, file.content) for file in tnef_files(content, Defects())] == [
        ("outer.txt", b"outer"),
        ("inner.txt", b"inner"),
    ]


def test_messages_inside_messages_end_somewhere() -> None:
    content = winmail.winmail(winmail.attached("innermost", b"x"))
    for _ in range(50):
        content = winmail.winmail(
            winmail.attribute(2, winmail.REND_DATA, bytes(14)),
            winmail.attribute(
                2, winmail.ATTACHMENT, winmail.properties(winmail.mapi_property(0x3701, 0x000D, bytes(16) + content))
            ),
        )
    assert tnef_files(content, Defects()) == []


@pytest.mark.parametrize("cut", range(3, 42))
def test_what_stands_before_the_damage_is_kept(cut: int) -> None:
    whole = winmail.winmail(winmail.attached("a.txt", b"A" * 40), winmail.attached("b.txt", b"B" * 40))
    defects = Defects()
    assert [file.content for file in tnef_files(whole[:-cut], defects)] == [b"A" * 40]
    assert list(defects) == ["bad-tnef"]


@given(st.binary(max_size=200), st.integers(0, 300))
def test_any_bytes_after_the_signature_give_a_list(junk: bytes, at: int) -> None:
    whole = winmail.winmail(winmail.attached("a.txt", b"A" * 40, winmail.mapi_property(0x370E, 0x001E, b"image/png\0")))
    for content in (winmail.SIGNATURE + junk, whole[:at] + junk + whole[at:]):
        for file in tnef_files(content, Defects()):
            (file.name + file.content_type + file.content_id).encode()
