"""Content-Transfer-Encodings, whole and broken."""

import base64
import binascii
import quopri

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailcore.mime import transfer
from mailcore.mime.defects import Defects
from mailcore.mime.transfer import decode_part, uu_blocks


def decoded(text: bytes, encoding: str) -> tuple[bytes, list[str]]:
    defects = Defects()
    # Neighbouring bytes belong to other parts: they must not be touched.
    raw = b"QUJD=\n" + text + b"\nQUJD=!"
    return decode_part(raw, 6, 6 + len(text), encoding, defects), list(defects)


@pytest.mark.parametrize(
    ("text", "expected", "clean"),
    [
        (b"QUJDREVG", b"ABCDEF", True),
        (b"QUJD\r\nREVG\r\n\r\n", b"ABCDEF", True),
        (b"QUI=\n", b"AB", True),
        (b"  QUJD\n\tREVG\n", b"ABCDEF", True),
        (b"", b"", True),
        (b"QUJD!REVG", b"ABCDEF", False),
        (b"QUJD\xe9REVG\0", b"ABCDEF", False),
        (b"QUJDRE", b"ABCD", True),  # the last group is cut at a byte
        (b"QUJDR", b"ABC", False),
        (b"QUI=QUJD", b"ABABC", False),
        (b"QQ==\nQg==\n", b"AB", False),
        (b"QUI=\r\n-- \r\nA list: join us\r\n", b"AB", False),
        (b"====", b"", True),
    ],
)
def test_base64_keeps_what_decodes(text: bytes, expected: bytes, clean: bool) -> None:
    data, defects = decoded(text, "base64")
    assert data == expected
    assert defects in ([], ["bad-base64"])
    if text != b"QUJDRE":
        assert (not defects) is clean


@given(st.binary(max_size=300), st.integers(1, 80), st.sampled_from([b"\n", b"\r\n"]))
def test_base64_in_lines_of_any_length_is_clean(data: bytes, width: int, eol: bytes) -> None:
    text = base64.b64encode(data)
    text = eol.join(text[i : i + width] for i in range(0, len(text), width))
    assert decoded(text, "Base64") == (data, [])


@given(st.binary(min_size=3, max_size=300), st.data())
def test_foreign_bytes_in_base64_are_skipped_and_named(data: bytes, draw: st.DataObject) -> None:
    text = base64.encodebytes(data[: len(data) // 3 * 3])
    at = draw.draw(st.integers(0, len(text)))
    junk = draw.draw(st.binary(min_size=1, max_size=9).filter(lambda b: not set(b) & set(transfer._EXPECTED)))
    found, defects = decoded(text[:at] + junk + text[at:], "base64")
    assert found == data[: len(data) // 3 * 3]
    assert defects == ["bad-base64"]


@given(st.lists(st.binary(max_size=50), max_size=8))
def test_base64_in_padded_pieces_is_joined(pieces: list[bytes]) -> None:
    text = b"\n".join(base64.b64encode(piece) for piece in pieces)
    assert decoded(text, "base64")[0] == b"".join(pieces)


def test_a_large_part_is_salvaged_piece_by_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    data = bytes(range(256)) * 30
    text = base64.encodebytes(data)
    monkeypatch.setattr(transfer, "_CHUNK", 101)
    monkeypatch.setattr(transfer, "_LARGE", 1000)
    assert decoded(text, "base64") == (data, [])
    assert decoded(text[:5000] + b"!" + text[5000:], "base64") == (data, ["bad-base64"])
    text = quopri.encodestring(data[:256] * 4).replace(b"\r", b"=0D")
    assert decoded(text, "quoted-printable")[0] == data[:256] * 4


@pytest.mark.parametrize(
    ("text", "expected", "defects"),
    [
        (b"caf=C3=A9", "café".encode(), []),
        (b"soft=\r\nbreak=\nhere", b"softbreakhere", ["?"]),
        (b"soft= \r\nbreak", b"softbreak", []),
        (b"trailing \t \r\nblank  ", b"trailing\r\nblank", []),
        (b"kept=20\r\n", b"kept \r\n", []),
        (b"lower=e9", b"lower\xe9", []),
        (b"a=ZZb", b"a=ZZb", ["bad-quoted-printable"]),
        (b"end=", b"end", ["?"]),
        (b"a=\rb", b"ab", ["?"]),
        (b"8bit \xe9", b"8bit \xe9", []),
    ],
)
def test_quoted_printable_oddities(text: bytes, expected: bytes, defects: list[str]) -> None:
    data, found = decoded(text, "quoted-printable")
    assert data == expected
    assert defects == ["?"] or found == defects


@given(st.binary(max_size=300))
def test_quoted_printable_comes_back(data: bytes) -> None:
    data = data.replace(b"\r", b"")
    text = quopri.encodestring(data, quotetabs=True)
    assert decoded(text, "Quoted-Printable") == (data, [])
    assert decoded(text.replace(b"\n", b"\r\n"), "quoted-printable") == (data.replace(b"\n", b"\r\n"), [])


@pytest.mark.parametrize("encoding", ["", "7bit", "8BIT", "binary", " 7bit ", "8bit (really)", "7-bit"])
def test_the_identity_encodings_leave_every_byte(encoding: str) -> None:
    assert decoded(b"=41 \0\xff QUJD", encoding) == (b"=41 \0\xff QUJD", [])


def test_an_unknown_encoding_is_named_and_nothing_is_decoded() -> None:
    assert decoded(b"=41", "x-yenc") == (b"=41", ["unknown-transfer-encoding"])


def uuencode(data: bytes, name: str) -> bytes:
    lines = [binascii.b2a_uu(data[i : i + 45], backtick=True) for i in range(0, len(data), 45)]
    return b"begin 644 %s\n%s`\nend\n" % (name.encode(), b"".join(lines))


@given(st.lists(st.binary(min_size=1, max_size=200), max_size=4))
def test_uuencoded_files_are_found_in_a_text(files: list[bytes]) -> None:
    blocks = [uuencode(data, f"file {i}.bin") for i, data in enumerate(files)]
    text = b"Hello,\nbegin here\n" + b"some text\n".join(blocks) + b"bye\n"
    found = uu_blocks(text)
    assert [(name, data) for _, _, name, data in found] == [(f"file {i}.bin", data) for i, data in enumerate(files)]
    assert [text[start:end] for start, end, _, _ in found] == blocks


@pytest.mark.parametrize(
    "text",
    [
        b"begin 644 x\nnot uu at all\nend\n",
        b"begin 644 x\n#86)C\n",
        b"begin 644 x\nend\n",
        b"begin 644\n",
        b"let us begin 644 x\n",
    ],
)
def test_what_is_no_whole_uuencoded_file_stays_text(text: bytes) -> None:
    assert uu_blocks(text) == []


def test_a_part_encoded_by_uuencode_is_decoded() -> None:
    assert decoded(uuencode(b"data", "x"), "x-uuencode") == (b"data", [])
    assert decoded(b"nothing", "uuencode") == (b"nothing", ["bad-uuencode"])
    assert decoded(b"begin-base64 644 x\nQUJD\nREVG\n====\n", "uue") == (b"ABCDEF", [])


@given(st.binary(max_size=300), st.sampled_from(["base64", "quoted-printable", "uuencode", "7bit", "nonsense"]))
def test_any_bytes_decode(text: bytes, encoding: str) -> None:
    data, _ = decoded(text, encoding)
    assert isinstance(data, bytes)
