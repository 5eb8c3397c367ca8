"""RFC 2047 encoded words, as mailers really write them. Never raises."""

from __future__ import annotations

import binascii
import re
from typing import Final

from mailcore.mime.charset import decode
from mailcore.mime.defects import Defects
from mailcore.mime.transfer import decode_base64_word

# RFC 2231 §5 adds a language after `*`. The bounds keep a failed match from costing more than a constant.
_START: Final = re.compile(r"=\?([^?\s*]{1,64})(?:\*[^?\s]{0,32})?\?([bBqQ])\?")


def decode_words(value: str, defects: Defects) -> str:
    """`value` with its encoded words decoded. White space between two of them goes (RFC 2047 §6.2). Neighbours of one
    charset are joined as bytes first: mailers split words inside a multibyte character (against §5). Defect:
    `bad-encoded-word`."""
    if "=?" not in value:
        return value
    out: list[str] = []
    run: list[tuple[str, str]] = []  # (encoding, payload) of neighbouring words in one charset
    run_charset = ""
    done = 0
    search_from = 0
    while (start := _START.search(value, search_from)) is not None:
        end = value.find("?=", start.end())
        if end < 0:
            defects.add("bad-encoded-word")
            break
        if defects.words <= 0:
            defects.add("too-many-encoded-words")
            break
        defects.words -= 1
        between = value[done : start.start()]
        charset = start[1].lower()
        if run and (not between or between.isspace()):
            if charset != run_charset:
                out.append(_decode_run(run, run_charset, defects))
                run = []
        else:
            if run:
                out.append(_decode_run(run, run_charset, defects))
                run = []
            out.append(between)
        run_charset = charset
        run.append((start[2], value[start.end() : end]))
        done = search_from = end + 2
    if run:
        out.append(_decode_run(run, run_charset, defects))
    out.append(value[done:])
    return "".join(out)


def _decode_run(run: list[tuple[str, str]], charset: str, defects: Defects) -> str:
    chunks: list[bytes] = []
    unfinished = ""  # base64 cut inside a group of four by a mailer that split the encoded text
    if all(encoding in "qQ" for encoding, _ in run):
        return decode(_q("".join([payload for _, payload in run])), charset, defects)
    for encoding, payload in run:
        if encoding in "qQ":
            if unfinished:
                chunks.append(_b(unfinished, defects))
                unfinished = ""
            chunks.append(_q(payload))
            continue
        payload = unfinished + "".join(payload.split())
        if len(payload) % 4 and not payload.endswith("="):
            unfinished = payload
        else:
            unfinished = ""
            chunks.append(_b(payload, defects))
    if unfinished:
        chunks.append(_b(unfinished, defects))
    return decode(b"".join(chunks), charset, defects)


def _b(payload: str, defects: Defects) -> bytes:
    data, clean = decode_base64_word(payload.encode("utf-8", "replace"))
    if not clean:
        defects.add("bad-encoded-word")
    return data


def _q(payload: str) -> bytes:
    return binascii.a2b_qp(payload.encode("utf-8", "replace"), header=True)
