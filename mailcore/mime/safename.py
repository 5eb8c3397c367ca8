"""A sender's file name as one path component that no file system minds."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

MAX_BYTES: Final = 112
"""With the 27 bytes that `attachment_path` puts before it, a component stays under the 143 bytes of the tightest
file systems (ecryptfs)."""

_LAST_RESORT: Final = "attachment"
_WORK: Final = 1024
_UNWANTED: Final = re.compile(r'[/\\<>:"|?*]')
_SPACE: Final = re.compile(r"\s+")
_EXTENSION: Final = re.compile(r"\.[A-Za-z0-9]{1,16}\Z")
# Names that Windows keeps for devices, with any extension.
_DEVICE: Final = re.compile(r"(?:con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³]|conin\$|conout\$)(?=\.|\Z)", re.IGNORECASE)
# Controls, surrogates, private use, unassigned, and format characters (a right-to-left override hides an extension).
_DROPPED: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn"})


def safe_filename(name: str, fallback: str) -> str:
    """`name` as one path component: NFC, at most `MAX_BYTES` bytes of UTF-8, its extension kept, never hidden, empty,
    reserved or pointing elsewhere. `fallback` serves when nothing of `name` is left."""
    return _clean(name) or _clean(fallback) or _LAST_RESORT


def _clean(name: str) -> str:
    if len(name) > 2 * _WORK:  # both ends: the extension is at the far one
        name = name[:_WORK] + name[-64:]
    name = unicodedata.normalize("NFC", _visible(_SPACE.sub(" ", name)))
    # A singleton may compose into a character that was to be dropped or replaced: look once more.
    name = unicodedata.normalize("NFC", _UNWANTED.sub("_", _visible(_SPACE.sub(" ", name))))
    name = name.strip(" .~")
    if not name.strip("_"):
        return ""
    if _DEVICE.match(name):
        name = f"_{name}"
    return _cut(name)


def _visible(name: str) -> str:
    if name.isascii() and name.isprintable():
        return name
    return "".join([char for char in name if unicodedata.category(char) not in _DROPPED])


def _cut(name: str) -> str:
    encoded = name.encode()
    if len(encoded) <= MAX_BYTES:
        return name
    found = _EXTENSION.search(name)
    extension = found.group() if found else ""
    stem = encoded[: len(encoded) - len(extension)][: MAX_BYTES - len(extension)]
    return stem.decode(errors="ignore").rstrip(" .~") + extension
