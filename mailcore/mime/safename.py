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


_EXTENSIONS: Final = {
    "application/gzip": ".gz",
    "application/ics": ".ics",
    "application/json": ".json",
    "application/ms-tnef": ".dat",
    "application/msword": ".doc",
    "application/pdf": ".pdf",
    "application/pgp-encrypted": ".asc",
    "application/pgp-keys": ".asc",
    "application/pgp-signature": ".asc",
    "application/pkcs7-mime": ".p7m",
    "application/pkcs7-signature": ".p7s",
    "application/rtf": ".rtf",
    "application/vnd.ms-excel": ".xls",
    "application/vnd.ms-outlook": ".msg",
    "application/vnd.ms-powerpoint": ".ppt",
    "application/vnd.oasis.opendocument.spreadsheet": ".ods",
    "application/vnd.oasis.opendocument.text": ".odt",
    "application/vnd.openxmlformats-officedocument.presentationml.presentation": ".pptx",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": ".xlsx",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": ".docx",
    "application/x-pkcs7-mime": ".p7m",
    "application/x-pkcs7-signature": ".p7s",
    "application/x-zip-compressed": ".zip",
    "application/xml": ".xml",
    "application/zip": ".zip",
    "audio/mp4": ".m4a",
    "audio/mpeg": ".mp3",
    "audio/ogg": ".ogg",
    "audio/wav": ".wav",
    "audio/x-wav": ".wav",
    "image/bmp": ".bmp",
    "image/gif": ".gif",
    "image/heic": ".heic",
    "image/jpeg": ".jpg",
    "image/jpg": ".jpg",
    "image/pjpeg": ".jpg",
    "image/png": ".png",
    "image/svg+xml": ".svg",
    "image/tiff": ".tiff",
    "image/webp": ".webp",
    "message/delivery-status": ".txt",
    "message/disposition-notification": ".txt",
    "message/global": ".eml",
    "message/rfc822": ".eml",
    "text/calendar": ".ics",
    "text/csv": ".csv",
    "text/html": ".html",
    "text/plain": ".txt",
    "text/rfc822-headers": ".txt",
    "text/rtf": ".rtf",
    "text/vcard": ".vcf",
    "text/x-vcard": ".vcf",
    "text/xml": ".xml",
    "video/mp4": ".mp4",
    "video/mpeg": ".mpg",
    "video/quicktime": ".mov",
}
"""Of what mail carries without a name. Our own list: a machine's would name the same file otherwise elsewhere."""


def nameless(stem: str, content_type: str) -> str:
    """What to call a file without a name: `stem` with the extension of its type, if that has one."""
    return stem + _EXTENSIONS.get(content_type.lower(), "")


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
