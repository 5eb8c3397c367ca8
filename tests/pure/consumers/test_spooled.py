"""A message in a file is read as the same bytes in memory are."""

from __future__ import annotations

import random
import subprocess
import sys
from base64 import b64encode, encodebytes
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.spooled import Content, find_runs, parse_file
from mailcore.mime.parse import parse

DATA = random.Random(7).randbytes(900_000)


def coded(data: bytes, eol: bytes = b"\r\n", width: int = 76) -> bytes:
    text = b64encode(data)
    return b"".join(text[at : at + width] + eol for at in range(0, len(text), width))


def part(kind: str, body: bytes, *, encoding: str = "base64", more: str = "") -> bytes:
    return (
        f"--edge\r\nContent-Type: {kind}\r\nContent-Transfer-Encoding: {encoding}\r\n{more}\r\n".encode()
        + body
        + b"\r\n"
    )


def mail(*parts: bytes) -> bytes:
    head = b'From: Ann <ann@example.org>\r\nSubject: large\r\nContent-Type: multipart/mixed; boundary="edge"\r\n\r\n'
    text = part("text/plain; charset=utf-8", "Grüße".encode(), encoding="8bit")
    return head + text + b"".join(parts) + b"--edge--\r\n"


PDF = "application/pdf; name=a.pdf"
INNER = mail(part(PDF, coded(DATA))).replace(b"edge", b"inner")
MESSAGES = {
    "one": mail(part(PDF, coded(DATA))),
    "line feeds alone": mail(part(PDF, coded(DATA))).replace(b"\r\n", b"\n"),
    "several": mail(*(part(PDF, coded(DATA[at:])) for at in (0, 1, 2, 800_000))),
    "other widths": mail(*(part(PDF, coded(DATA, width=width)) for width in (60, 72, 40, 20, 75, 996, 1000))),
    "an attached message": mail(part("message/rfc822", INNER, encoding="8bit")),
    "an attached message in base64": mail(part("message/rfc822", coded(INNER))),
    "a text in base64": mail(part("text/plain", coded(DATA))),
    "a named text": mail(part("text/plain; name=a.txt", coded(DATA))),
    "a named text alone": mail(part("text/plain; name=a.txt", coded(DATA))).replace("Grüße".encode(), b""),
    "no encoding": mail(part(PDF, coded(DATA), encoding="7bit")),
    "quoted-printable": mail(part(PDF, coded(DATA), encoding="quoted-printable")),
    "an unknown encoding": mail(part(PDF, coded(DATA), encoding="zip")),
    "out of step": mail(part(PDF, b"abc\r\n" + coded(DATA))),
    "foreign bytes before": mail(part(PDF, b"=== begin ===\r\n" + coded(DATA))),
    "foreign bytes amidst": mail(part(PDF, coded(DATA[:600_000]) + b"a!b\r\n" + coded(DATA[600_000:]))),
    "padded pieces": mail(part(PDF, coded(DATA[:600_001]) + coded(DATA))),
    "a footer": mail(part(PDF, coded(DATA) + b"\r\n____\r\nlist mailing list\r\n")),
    "before the first part": mail(part(PDF, b"")).replace(b"--edge\r\n", coded(DATA) + b"--edge\r\n", 1),
    "no end": mail(part(PDF, coded(DATA)))[:-500_000],
    "winmail.dat": mail(part("application/ms-tnef; name=winmail.dat", coded(b"\x78\x9f\x3e\x22\x01\x00" + DATA))),
    "no part at all": b"Subject: x\r\nContent-Type: application/pdf\r\nContent-Transfer-Encoding: base64\r\n\r\n"
    + coded(DATA),
    "in the header": b"Subject: x\r\nX-Long: a\r\n" + coded(DATA) + b"\r\ntext\r\n",
    "nothing but letters": coded(DATA),
    "empty": b"",
}


@pytest.mark.parametrize("name", MESSAGES)
def test_a_message_in_a_file_is_parsed_as_its_bytes_are(tmp_path: Path, name: str) -> None:
    path = tmp_path / "spooled"
    path.write_bytes(MESSAGES[name])
    wanted = parse(MESSAGES[name])
    parsed, contents = parse_file(path)
    assert replace(parsed, attachments=()) == replace(wanted, attachments=())
    for found, part_of, content in zip(parsed.attachments, wanted.attachments, contents, strict=True):
        assert replace(found, content=b"") == replace(part_of, content=b"")
        whole = content if isinstance(content, bytes) else b"".join(content.blocks())
        assert whole == part_of.content
        assert isinstance(content, bytes) or content.size == len(part_of.content)


@pytest.mark.parametrize("name", ["one", "line feeds alone", "several", "an attached message", "no end", "a footer"])
def test_what_is_long_stays_in_the_file(tmp_path: Path, name: str) -> None:
    path = tmp_path / "spooled"
    path.write_bytes(MESSAGES[name])
    contents = parse_file(path)[1]
    assert any(isinstance(content, Content) for content in contents)
    in_memory = sum(
        len(piece)
        for content in contents
        for piece in (content.pieces if isinstance(content, Content) else [content])
        if isinstance(piece, bytes)
    )
    assert in_memory < 600_000


def test_a_spooled_file_that_was_cut_short_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "spooled"
    path.write_bytes(MESSAGES["one"])
    (content,) = parse_file(path)[1]
    assert isinstance(content, Content)
    path.write_bytes(MESSAGES["one"][:400_000])
    with pytest.raises(OSError, match="cut short"):
        list(content.blocks())


@given(
    st.lists(
        st.sampled_from([b"A" * 76 + b"\r\n", b"A" * 76 + b"\n", b"b" * 60 + b"\n", b"x\n", b"=\n", b"\n", b"+" * 98]),
        max_size=6,
    ),
    st.integers(1, 9),
    st.integers(50, 5_000),
)
def test_runs_are_whole_lines_of_one_kind_however_the_bytes_come(lines: list[bytes], repeated: int, size: int) -> None:
    data = b"".join(line * (4_000 * repeated) for line in lines)
    end = 0
    for run in find_runs(data[at : at + size * 20] for at in range(0, len(data), size * 20)):
        assert end <= run.start < run.end <= len(data)
        end = run.end
        text = data[run.start : run.end]
        assert not run.start or data[run.start - 1 : run.start] == b"\n"
        assert {len(line) for line in text.split(run.eol)[:-1]} == {run.width}
        assert text.endswith(run.eol)


_MEASURE = """
import asyncio, sys
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from consumers.draft import draft
from mailcore.events.identity import Identity
from mailcore.media import Media

async def main(spooled, root):
    media = Media.open(root)
    drafted = draft(Identity("a", "b", 1, 2), datetime.now(UTC), spooled)
    await media.write(drafted.files)
    media.close()
    (row,) = drafted.attachments
    # Not getrusage(): that remembers the process which started this one.
    peak = Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]
    print(row.size, int(peak) // 1024)

asyncio.run(main(Path(sys.argv[1]), Path(sys.argv[2])))
"""


def _large(megabytes: int) -> Iterator[bytes]:
    lines = encodebytes(DATA[:570_000]).replace(b"\n", b"\r\n")
    yield mail(part(PDF, b""))[: -len(b"\r\n--edge--\r\n")]
    for _ in range(megabytes * 1_000_000 // len(lines)):
        yield lines
    yield b"\r\n--edge--\r\n"


def test_a_message_of_200_megabytes_needs_no_more_than_150(tmp_path: Path) -> None:
    path = tmp_path / "spooled"
    with path.open("wb") as file:
        file.writelines(_large(200))
    command = [sys.executable, "-c", _MEASURE, str(path), str(tmp_path / "media")]
    size, peak = subprocess.run(command, check=True, capture_output=True, text=True, timeout=110).stdout.split()
    assert int(size) > 140_000_000
    assert int(peak) < 150
